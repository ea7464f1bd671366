using System.Collections.Immutable;
using Coppice.Delivery;
using Coppice.Server.Registry;
using Coppice.Server.Replicas;
using Coppice.Server.Sealing;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Server.Patches;

/// <summary>Makes the patches that save devices most bytes, behind everything else that the server does, and removes those that nobody needs any more.</summary>
sealed partial class PatchWorker(
    PatchNeeds needs, Repository repository, ContentKeyStore keys, Conductor conductor, ControlPlaneOptions options, PatchSignal signal, TimeProvider time, ILogger<PatchWorker> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromMinutes(1);

    /// <summary>Patches remembered; a server that runs for years begins anew.</summary>
    const int MostRemembered = 100_000;

    readonly PatchMaker maker = new(repository.Tree, options.LargestPatched);
    readonly SemaphoreSlim one = new(1);
    readonly Dictionary<string, DateTimeOffset> unneeded = new(StringComparer.Ordinal);
    readonly HashSet<string> once = new(StringComparer.Ordinal); // those of the left out that the next round tries again if they are not there
    ImmutableHashSet<string> leftOut = [];

    /// <summary>Patches that are not tried again by this process.</summary>
    public int NotWorth => leftOut.Count;

    /// <summary>Makes every patch that is worth it now, most bytes saved first, and removes what nobody has needed for long.</summary>
    /// <returns>How many were made.</returns>
    public async Task<int> MakeAsync(CancellationToken cancel)
    {
        await one.WaitAsync(cancel);
        try
        {
            var made = await MakeAllAsync(cancel);
            Forget((await needs.FindAsync(cancel)).All);
            return made;
        }
        finally
        {
            one.Release();
        }
    }

    async Task<int> MakeAllAsync(CancellationToken cancel)
    {
        var made = 0;
        var underway = new Dictionary<Task<PatchOutcome>, PatchWish>();
        for (; ; )
        {
            cancel.ThrowIfCancellationRequested();
            // Chosen anew after each: a patch that is there makes others worth less, and a release that came meanwhile may be worth more.
            var demands = await needs.FindAsync(cancel);
            var busy = leftOut.Union(underway.Values.Select(wish => wish.File));
            foreach (var wish in PatchChoice.Wishes(demands.All, repository.Tree.PatchesTo, busy).Take(Math.Max(1, options.PatchThreads) - underway.Count))
            {
                var opened = await keys.OpenAsync(wish.From.Append(wish.To).Select(blob => demands.Files.GetValueOrDefault(blob.Digest)?.Sealed?.Key).OfType<Sha256Digest>(), cancel);
                underway.Add(BehindAsync(() => Try(wish, demands, opened.GetValueOrDefault, cancel)), wish);
            }

            if (underway.Count == 0)
                return made;
            var done = await Task.WhenAny(underway.Keys);
            underway.Remove(done, out var tried);
            try
            {
                made += await done == PatchOutcome.Made ? 1 : 0;
            }
            catch
            {
                await Task.WhenAll(underway.Keys).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default); // nobody writes on after this returns
                throw;
            }

            // Whatever came of it, it is not wished for again in this round; one whose blobs are missing is in the next.
            leftOut = (leftOut.Count >= MostRemembered ? [] : leftOut).Add(tried!.File);
            if (await done != PatchOutcome.NotWorth)
                once.Add(tried.File);
        }
    }

    /// <summary>Removes patches that no device's cheapest way has used for long.</summary>
    void Forget(IReadOnlyList<PatchDemand> demands)
    {
        leftOut = leftOut.Except(once);
        once.Clear();
        var (tree, now) = (repository.Tree, time.GetUtcNow());
        var used = PatchChoice.Needed(demands, tree.PatchesTo);
        var there = new HashSet<string>(StringComparer.Ordinal);
        foreach (var to in tree.Patched())
        {
            foreach (var entry in tree.PatchesTo(to)?.Patches ?? [])
            {
                var file = entry.File(to);
                there.Add(file);
                if (used.Contains(file))
                    unneeded.Remove(file);
                else
                    unneeded.TryAdd(file, now);
            }

            if (tree.RemovePatches(to, entry => unneeded.TryGetValue(entry.File(to), out var since) && now - since >= options.KeepPatches) is > 0 and var gone)
                LogRemoved(gone, to.ToString()[..16]);
        }

        foreach (var file in unneeded.Keys.Where(file => !there.Contains(file)).ToList())
            unneeded.Remove(file);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!options.Patches)
            return;
        await using var clock = time.CreateTimer(_ => signal.Raise(), null, TimeSpan.Zero, Pause);
        await foreach (var _ in signal.AllAsync(stoppingToken))
        {
            try
            {
                if (conductor.IsHeld)
                    await MakeAsync(stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(e); // a full disk or the like; devices fetch whole files meanwhile
            }
        }
    }

    public override void Dispose()
    {
        one.Dispose();
        base.Dispose();
    }

    PatchOutcome Try(PatchWish wish, PatchDemands demands, Func<Sha256Digest, ContentKey?> key, CancellationToken cancel)
    {
        var name = demands.Files.GetValueOrDefault(wish.To.Digest)?.Name ?? wish.To.ToString();
        var from = wish.From.IsEmpty ? "nothing" : string.Join(" and ", wish.From);
        try
        {
            var outcome = maker.Make(wish, demands.Files.GetValueOrDefault, key, cancel);
            if (outcome == PatchOutcome.Made)
                LogMade(name, from, wish.To.ToString());
            return outcome;
        }
        catch (Exception e) when (e is not (IOException or OperationCanceledException)) // of these files, whatever is the matter with them: the next wish has others
        {
            LogGaveUp(e, name, from, wish.To.ToString());
            return PatchOutcome.NotWorth;
        }
    }

    /// <summary>Runs on a thread of its own that gives way to requests, where the system knows priorities of threads.</summary>
    static Task<PatchOutcome> BehindAsync(Func<PatchOutcome> work) => Task.Factory.StartNew(
        () =>
        {
            Thread.CurrentThread.Priority = ThreadPriority.BelowNormal;
            return work();
        },
        CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    [LoggerMessage(LogLevel.Information, "Patch of {File} made from {From} to {To}.")]
    partial void LogMade(string file, string from, string to);

    [LoggerMessage(LogLevel.Information, "{Count} patches to {To}… removed; no device needs them.")]
    partial void LogRemoved(int count, string to);

    [LoggerMessage(LogLevel.Warning, "No patch of {File} could be made from {From} to {To}; devices fetch it another way.")]
    partial void LogGaveUp(Exception e, string file, string from, string to);

    [LoggerMessage(LogLevel.Error, "Patches could not be made; the next try is in a minute.")]
    partial void LogFailed(Exception e);
}
