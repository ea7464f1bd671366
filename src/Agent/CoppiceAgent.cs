using System.Collections.Frozen;
using System.Collections.Immutable;
using Coppice.Agent.Inventory;
using Coppice.Agent.Link;
using Coppice.Agent.Link.Sealing;
using Coppice.Agent.Link.Tuf;
using Coppice.Agent.Quality;
using Coppice.Agent.Serving;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Agent.Updates;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Runtimes.OnnxRuntime;
using Coppice.Trust;

namespace Coppice.Agent;

/// <summary>Keeps the models of this device current, and serves them.</summary>
/// <example><code>
/// await using var agent = await CoppiceAgent.OpenAsync(new AgentOptions { Data = "data", Server = "https://…", JoinToken = "cpj_…", Models = ["plant/bearing"] });
/// await agent.WaitForModelAsync("plant/bearing");
/// using var lease = agent.Model("plant/bearing").Lease();
/// using var result = lease.Run(Tensor.Of(window, 1, 32));
/// </code></example>
public sealed class CoppiceAgent : IAsyncDisposable
{
    /// <summary>Neither a server's wish nor an option makes a loop wait longer; a timer takes 49 days at most.</summary>
    static readonly TimeSpan LongestWait = TimeSpan.FromDays(7);

    /// <summary>Between two looks for an answer of the device's user, which may be written by another program.</summary>
    static readonly TimeSpan AnswerPause = TimeSpan.FromSeconds(2);

    readonly AgentOptions options;
    readonly IDisk disk;
    readonly FileStream hold;
    readonly HistoryLog history;
    readonly LiveFile live;
    readonly DeviceFacts facts;
    readonly HeldPassport passport;
    readonly ReportQueue reports;
    readonly DeviceLink? link;
    readonly ServerConnection? connection;
    readonly HttpClient http;
    BlobRedirects? redirects;
    readonly TufRepository repository;
    readonly KeyRing keys;
    readonly FrozenDictionary<string, AgentModel> models;
    readonly CancellationTokenSource closing = new();
    readonly SemaphoreSlim send = new(0, 1);
    readonly Lock telling = new();
    readonly Random random;
    readonly DeviceIdentity identity;
    readonly DeviceSets sets;
    Task work = Task.CompletedTask;
    int disposed;

    CoppiceAgent(AgentOptions options, FileStream hold)
    {
        (this.options, this.hold) = (options, hold);
        disk = new FolderDisk(options.Data);
        sets = new(disk);
        random = options.Seed is { } seed ? new(seed) : new();
        history = new(disk);
        live = new(disk, options.Time);
        identity = DeviceIdentity.OpenOrMake(disk, options.Device);
        reports = new(disk);
        var runtimes = options.Runtimes ?? [new OnnxRuntime()];
        passport = new(disk, identity.Device, () => repository?.PlanSigners);
        passport.Changed += () =>
        {
            foreach (var model in models?.Values ?? [])
                Signal(model.Nudge); // a rollout may be meant for it now
        };
        facts = new(disk, runtimes, options.App, options.Facts) { Labels = () => passport.Labels, Withheld = [.. options.WithheldFacts] };
        var token = Token(options);
        var server = options.Server is { } address ? AsFolder(address, "server") : null;
        var pin = token?.Authority ?? Digest(options.Authority, "authority");
        connection = server is null ? null : new(server, identity, pin, options.Time);
        link = server is null ? null : new(connection!.Http, server, token, identity, disk, reports, passport, options.Time) { TakesRoots = pin is not null || identity.Roots is not null };
        if (link is not null)
        {
            link.Certified += () => connection!.Trust.Take(identity.Roots);
        }

        (http, var metadata, var repositoryFiles) = Sources(options, server);
        keys = new(disk, identity.Sealing, repositoryFiles, link is null ? null : link.KeysAsync);
        var files = new SealedFiles(repositoryFiles, keys);
        repository = new(metadata, disk, token?.Root ?? Digest(options.Root, "root"), options.Stall + options.Stall, options.Time, options.OfflineGrace);
        models = Models(runtimes, files).ToFrozenDictionary(model => model.Name.ToString(), StringComparer.Ordinal);
    }

    /// <summary>The device's id.</summary>
    public string Device => identity.Device;

    /// <summary>Opens the agent: releases on this disk serve when this returns, without a network. Everything else goes on behind.</summary>
    /// <exception cref="ArgumentException">An option is wrong; says which and what is wanted.</exception>
    /// <exception cref="IOException">The data folder cannot be used, or another agent holds it.</exception>
    /// <exception cref="InferenceException">The native library that a serving release needs is not here; with it back, the release serves again.</exception>
    public static async Task<CoppiceAgent> OpenAsync(AgentOptions options, CancellationToken cancel = default)
    {
        FolderDisk.MakePrivate(options.Data);
        FileStream hold;
        try
        {
            hold = new(Path.Combine(options.Data, DataFolder.Lock), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"{options.Data} is held by another agent; stop it, or give another folder. ({e.Message})", e);
        }

        CoppiceAgent? agent = null;
        try
        {
            agent = new(options, hold);
            await agent.StartAsync(cancel);
            return agent;
        }
        catch
        {
            if (agent is null)
                hold.Dispose();
            else
                await agent.DisposeAsync();
            throw;
        }
    }

    /// <summary>A model of this agent.</summary>
    /// <exception cref="ArgumentException">It is not among <see cref="AgentOptions.Models"/>.</exception>
    public AgentModel Model(string name) => models.TryGetValue(name, out var model)
        ? model
        : throw new ArgumentException($"'{name}' is not kept by this agent; it keeps {string.Join(", ", models.Keys)}.", nameof(name));

    /// <summary>Ends when a release of the model serves.</summary>
    public Task WaitForModelAsync(string name, CancellationToken cancel = default) => Model(name).WaitAsync(cancel);

    /// <summary>Takes the right to run several models until it is given back, all of one moment: where a rollout switches them together, all from before it or all from after.</summary>
    /// <param name="names">The models; each among <see cref="AgentOptions.Models"/>.</param>
    /// <exception cref="ArgumentException">One is not.</exception>
    /// <exception cref="ModelNotReadyException">Nothing serves of one.</exception>
    public LeaseSet LeaseTogether(params ReadOnlySpan<string> names)
    {
        var wanted = new AgentModel[names.Length];
        for (var i = 0; i < names.Length; i++)
            wanted[i] = Model(names[i]);
        return LeaseSet.Take(wanted, () => sets.Epoch);
    }

    async Task StartAsync(CancellationToken cancel)
    {
        Tell(new(options.Time.GetUtcNow(), AgentEventKind.Opened, $"agent {DeviceFacts.AgentVersion} of {identity.Device}, {string.Join(", ", models.Keys)}"));
        if (reports.Damage is { } damage)
            Tell(new(options.Time.GetUtcNow(), AgentEventKind.Damaged, damage));
        await UpdateRunner.StartAsync([.. models.Values.Select(model => model.Runner)], cancel);
        work = Task.WhenAll([.. models.Values.Select(model => Task.Run(() => KeepAsync(model), CancellationToken.None)), Task.Run(LinkAsync, CancellationToken.None)]);
    }

    /// <summary>The life of one model's update.</summary>
    async Task KeepAsync(AgentModel model)
    {
        while (!closing.IsCancellationRequested)
        {
            TimeSpan wait;
            try
            {
                wait = await model.Runner.StepAsync(closing.Token);
                if (reports.Waiting > 0 && send.CurrentCount == 0)
                    Signal(send);
            }
            catch (OperationCanceledException) when (closing.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) // a fault of this program: the device goes on serving, and says what it was
            {
                wait = options.Policy.Poll;
                Tell(new(options.Time.GetUtcNow(), AgentEventKind.Trouble, $"a fault in the agent at {model.State.Step}, please report it: {e}") { Model = model.Name });
            }

            if (wait > TimeSpan.Zero)
                await WaitAsync(model, wait);
        }
    }

    /// <summary>Enrols once, then delivers reports as they come and says now and then that the device is there.</summary>
    async Task LinkAsync()
    {
        if (link is null)
            return;
        var checkIn = options.CheckIn ?? options.Policy.Poll * 10;
        var failures = 0;
        while (!closing.IsCancellationRequested)
        {
            TimeSpan wait;
            try
            {
                await send.WaitAsync(TimeSpan.Zero, closing.Token); // what asked for this round asks for no other
                if (await link.EnrolAsync(facts.Told(), closing.Token))
                    Tell(new(options.Time.GetUtcNow(), AgentEventKind.Enrolled, $"{identity.Server} knows {identity.Device}"));
                if (await link.RenewAsync(closing.Token))
                    Tell(new(options.Time.GetUtcNow(), AgentEventKind.Renewed, $"the certificate of {identity.Device} is good until {identity.Certificate![0].NotAfter.ToUniversalTime():u}"));
                await link.ReportAsync(facts.Told(), closing.Token);
                (failures, live.Link) = (0, null);
                wait = Backoff.Around(checkIn, random.NextDouble());
                if (identity.RenewAt - options.Time.GetUtcNow() is { } untilRenewal && untilRenewal < wait)
                    wait = untilRenewal > options.Policy.Retry ? untilRenewal : options.Policy.Retry;
            }
            catch (OperationCanceledException) when (closing.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                var passes = e is LinkException or IOException or UnauthorizedAccessException;
                if (live.Link != e.Message)
                    Tell(new(options.Time.GetUtcNow(), AgentEventKind.Trouble, passes ? e.Message : $"a fault in the agent's link, please report it: {e}"));
                live.Link = e.Message;
                if (e is LinkException { Unknown: true })
                    identity.Forget(); // a server that lost its devices or its authority: the same id and key join again
                wait = Backoff.After(++failures, options.Policy.Retry, options.Policy.Poll, random.NextDouble());
                if (e is LinkException { After: { } asked } told && (asked > wait || told.Waits))
                    wait = told.Waits ? Backoff.Around(asked, random.NextDouble()) : asked;
            }

            await WaitAsync(send, wait, failures > 0);
        }
    }

    /// <summary>Waits for a model's next step. An answer that the command line wrote down for the user ends the wait.</summary>
    async Task WaitAsync(AgentModel model, TimeSpan span)
    {
        if (model.Question is not { } question)
        {
            await WaitAsync(model.Nudge, span);
            return;
        }

        bool Answered() => model.Runner.Answers().Any(answer => (answer.Rollout, answer.Attempt) == (question.Rollout, question.Attempt));
        var began = options.Time.GetTimestamp();
        while (!closing.IsCancellationRequested && span - options.Time.GetElapsedTime(began) is var left && left > TimeSpan.Zero && !Answered())
        {
            var pause = left < AnswerPause ? left : AnswerPause;
            var paused = options.Time.GetTimestamp();
            await WaitAsync(model.Nudge, pause);
            if (options.Time.GetElapsedTime(paused) < pause)
                return; // somebody asked for it
        }
    }

    /// <summary>Waits, unless somebody asks for it earlier; after a failure nobody can.</summary>
    async Task WaitAsync(SemaphoreSlim nudge, TimeSpan span, bool whole = false)
    {
        using var done = CancellationTokenSource.CreateLinkedTokenSource(closing.Token);
        var pause = Task.Delay(span < LongestWait ? span : LongestWait, options.Time, done.Token);
        var asked = whole ? Task.Delay(Timeout.Infinite, done.Token) : nudge.WaitAsync(done.Token);
        await Task.WhenAny(pause, asked);
        await done.CancelAsync();
    }

    static void Signal(SemaphoreSlim nudge)
    {
        try
        {
            nudge.Release();
        }
        catch (SemaphoreFullException) // asked for already
        {
        }
    }

    void Tell(AgentEvent happened)
    {
        Note(happened);
        if (options.OnEvent is not { } onEvent)
            return;
        lock (telling) // models and link tell from their own threads
        {
            try
            {
                onEvent(happened);
            }
            catch (Exception e) // the app's fault must not end updates and reports
            {
                Note(new(options.Time.GetUtcNow(), AgentEventKind.Trouble, $"OnEvent failed at {happened.Kind}: {e.Message}"));
            }
        }
    }

    void Note(AgentEvent happened)
    {
        try
        {
            history.Add(happened);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) // a full disk must not stop what is told; the event is told all the same
        {
        }
    }

    IEnumerable<AgentModel> Models(IReadOnlyList<IModelRuntime> runtimes, IRepositoryFiles files)
    {
        var names = options.Models.Select(Name).Distinct().ToList();
        var blobs = new BlobStore(disk, options.Quota);
        var rate = new RateLimit(options.RatePerSecond, options.Time);
        var needs = new BlobNeeds(names);
        var boot = MachineBoot.Current();
        var runners = new List<UpdateRunner>();
        var hosts = new List<ModelHost>();
        sets.Nudge = name => models?.GetValueOrDefault(name.ToString())?.Poll();
        foreach (var name in names)
        {
            var slots = new SlotStore(disk, blobs, name);
            var host = new ModelHost(name);
            hosts.Add(host);
            UpdateContext context = null!;
            UpdateRunner runner = null!;
            context = new()
            {
                Model = name,
                Device = identity.Device,
                Boot = boot,
                Disk = disk,
                Blobs = blobs,
                Slots = slots,
                Loader = new(disk, slots, runtimes, options.Limits, options.Time),
                Host = host,
                Repository = repository,
                Puller = new(
                    disk, blobs,
                    [
                        new WholeBlob(disk, files, rate, options.Stall, options.Time),
                        new PatchedBlob(disk, files, rate, options.Stall, options.Time),
                        new RangedBlob(disk, blobs, files, () => slots.Files(((Slot?[])[runner.State.Serving, runner.State.Previous, runner.State.Shadow?.Slot]).OfType<Slot>()), rate, options.Stall, options.Time),
                    ],
                    (kind, why) => context.Happened(kind, why)),
                Keys = keys,
                Reports = reports,
                Trial = new TrialRunner(options.Time).Run,
                Facts = facts.Now,
                Time = options.Time,
                Random = new(random.Next()),
                Tell = Tell,
                Needs = needs,
                Sets = sets,
                Others = () => runners.Where(other => other.State.Model != name && other.State.Serving is not null).ToImmutableDictionary(other => other.State.Model, other => other.State.Serving!.Release),
                NeededBy = () => [.. hosts.Select(other => other.Serving).OfType<LoadedRelease>().SelectMany(other => ModelNeed.Of(other.Manifest, name))],
                Policy = options.Policy,
                Checks = options.Checks,
                DeviceData = () => options.TrialData.TryGetValue(name.ToString(), out var path) && File.Exists(path) ? File.ReadAllBytes(path) : null,
                Nudge = () => models?.GetValueOrDefault(name.ToString())?.Poll(),
                Shown = () => live.Show(name, context.Live),
            };
            runners.Add(runner = new(context));
            yield return new(host, runner, disk);
        }
    }

    static ModelName Name(string text) => ModelName.TryParse(text, out var name)
        ? name
        : throw new ArgumentException($"models: '{text}' is not a model name; write owner/name in lower case, as plant/bearing.");

    (HttpClient Http, IMetadataSource Metadata, IRepositoryFiles Files) Sources(AgentOptions given, Uri? server)
    {
        var (client, metadata, network) = NetworkSources(given, server);
        var copy = Path.Combine(given.Data, DataFolder.Repository); // there once a bundle was applied, which may be while this agent runs
        return (client, new NewerSource(metadata, new FolderSource(copy)), new NearerFiles(copy, network));
    }

    (HttpClient Http, IMetadataSource Metadata, IRepositoryFiles Files) NetworkSources(AgentOptions given, Uri? server)
    {
        var place = given.Repository ?? (server is null ? null : new Uri(server, "repository/").ToString());
        if (place is null)
        {
            var none = new NoSource();
            return Directory.Exists(Path.Combine(given.Data, DataFolder.Repository))
                ? (ServerConnection.Open(null), none, none)
                : throw new ArgumentException("repository: give a server, the folder or address of a repository, or apply a bundle to the data folder first.");
        }

        if (!place.Contains("://", StringComparison.Ordinal))
            return (ServerConnection.Open(null), new FolderSource(place), new FolderFiles(place));
        var address = AsFolder(place, "repository");
        var client = ServerConnection.Open(server is not null && address.Authority == server.Authority && address.Scheme == server.Scheme ? connection!.Trust : null);
        return (client, new HttpSource(client, address), new HttpFiles(client, address, redirects = new(ServerConnection.Open(null), given.Time)));
    }

    static Uri AsFolder(string text, string option) =>
        Uri.TryCreate(text.EndsWith('/') ? text : text + "/", UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
            ? address
            : throw new ArgumentException($"{option}: '{text}' is not an address; write it as https://coppice.example.");

    static JoinToken? Token(AgentOptions options) => options.JoinToken is not { } text ? null
        : JoinToken.TryParse(text, out var token) ? token
        : throw new ArgumentException("joinToken: it is not one; it reads cpj_SECRET_ROOT or cpj_SECRET_ROOT_AUTHORITY and is made with 'coppice join-token create'.");

    static Sha256Digest? Digest(string? given, string option) => given is not { } text ? null
        : Sha256Digest.TryParse(text, out var digest) ? digest
        : throw new ArgumentException($"{option}: '{text}' is not a SHA-256; give its 64 hex digits.");

    /// <summary>Ends in order. Leases that are out stay good until they come back.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, 1) != 0)
            return;
        await closing.CancelAsync();
        await work;
        foreach (var model in models.Values)
        {
            model.Runner.Stop();
            model.Host.Dispose();
            model.Nudge.Dispose();
        }

        Tell(new(options.Time.GetUtcNow(), AgentEventKind.Closed, "the agent ended in order"));
        live.Close();
        repository.Dispose();
        keys.Dispose();
        http.Dispose();
        redirects?.Dispose();
        connection?.Dispose();
        identity.Dispose();
        send.Dispose();
        sets.Dispose();
        closing.Dispose();
        await hold.DisposeAsync();
    }
}
