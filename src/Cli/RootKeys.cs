using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using Coppice.Cli.Publishing;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice root</c>: who signs what. Each verb writes a request, which people sign; <c>apply</c> puts it in force.</summary>
static class RootKeys
{
    static readonly Argument<string> RequestArgument = new("REQUEST") { Description = "The request's file, to be written." };

    public static Command Build() => new("root", "Who signs what in a repository: make it, show it, change it, renew it.") { Create(), Show(), Change(), Renew(), RotateOnline(), Apply() };

    static Command Create()
    {
        var root = Keys("--root-key", "A root key's .pub file; repeat it. Root keys decide over all others: keep them offline, with different people.");
        var rootThreshold = Threshold("--root-threshold", "How many root keys must sign.");
        var targets = Keys("--targets-key", "A targets key's .pub file; repeat it. Targets keys say who signs releases. Default: the root keys.");
        var targetsThreshold = Threshold("--targets-threshold", "How many targets keys must sign. Default: as many as root keys where they are the same, else 1.");
        var releases = Keys("--release-key", "A release key's .pub file; repeat it.");
        var releaseThreshold = Threshold("--release-threshold", "How many release keys must sign a release.");
        var online = new OnlineKeyOptions();
        var command = new Command("create", "Asks for a new repository with these keys.") { RequestArgument, root, rootThreshold, targets, targetsThreshold, releases, releaseThreshold };
        online.AddTo(command);
        command.SetAction(parsed => Ceremony.RunAsync(() =>
        {
            RoleOfKeys Of(Option<string[]> keys, Option<int?> threshold) => new(parsed.GetValue(threshold) ?? 1, Read(parsed.GetValue(keys)));
            var roots = Of(root, rootThreshold);
            var roles = new Dictionary<string, RoleOfKeys>(StringComparer.Ordinal)
            {
                [TopLevelRole.Root] = roots,
                [TopLevelRole.Targets] = parsed.GetValue(targets) is { Length: > 0 } ? Of(targets, targetsThreshold) : roots with { Threshold = parsed.GetValue(targetsThreshold) ?? roots.Threshold },
                [RepositoryLayout.ReleasesRole] = Of(releases, releaseThreshold),
            };
            foreach (var (role, key) in online.Read(parsed, all: true))
                roles[role] = new(1, [key]);
            Ceremony.WriteNew(parsed.GetRequiredValue(RequestArgument), KeyCeremony.Create(roles, TimeProvider.System.GetUtcNow()));
        }));
        return command;
    }

    static Command Show()
    {
        var (repo, token) = (Ceremony.Repo(), Ceremony.Token());
        var json = Output.JsonOption();
        var command = new Command("show", "Shows who signs what, until when, and what is to be done.") { repo, token, json };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            using var repository = Ceremony.Open(parsed.GetValue(repo), null, parsed.GetValue(token));
            var status = await repository.StatusAsync(cancel);
            if (parsed.GetValue(json))
                Output.Json(status, ControlContext.Default.RepositoryView);
            else
                Tell(status);
        }));
        return command;
    }

    /// <summary>Who signs what, for people; warnings go to standard error.</summary>
    internal static void Tell(RepositoryView status)
    {
        Output.Table(["ROLE", "SIGNS", "VERSION", "EXPIRES", "NEEDS", "KEYS"], [.. status.Roles.Select(role => new[]
        {
            role.Role, Signs(role), role.Version.ToString(CultureInfo.InvariantCulture), role.Expires.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
            $"{role.Threshold} of {role.Keys.Length}{(role.Online ? ", online" : "")}", string.Join(", ", role.Keys.Select(key => new NamedKey(key.Id, key.Name))),
        })], "No role.");
        foreach (var warning in status.Warnings)
            Console.Error.WriteLine($"warning: {warning}");
    }

    static string Signs(RoleView role) => role.Role switch
    {
        TopLevelRole.Root => "who signs the rest",
        TopLevelRole.Targets => "who signs which releases",
        RepositoryLayout.RolloutsRole => "rollout plans",
        TopLevelRole.Snapshot => "what belongs together",
        TopLevelRole.Timestamp => "what is newest",
        RepositoryLayout.ReleasesRole => "releases of all other models",
        _ => "releases of " + string.Join(", ", role.Paths.Select(path => TeamPattern.TryReadPath(path, out var pattern) ? pattern.ToString() : path)),
    };

    static Command Change()
    {
        var (repo, token) = (Ceremony.Repo(), Ceremony.Token());
        var add = new Option<string[]>("--add") { Description = "ROLE=FILE.pub: a key for a role; may be repeated." };
        var remove = new Option<string[]>("--remove") { Description = "ROLE=KEY: takes a key from a role, by its id, 8 digits or more of it, or its name; may be repeated." };
        var threshold = new Option<string[]>("--threshold") { Description = "ROLE=N: how many keys must sign; may be repeated." };
        var why = new Option<string?>("--why") { Description = "For the people who sign." };
        var command = new Command("change", "Asks for other keys or thresholds: rotate, add, revoke. ROLE is root, targets, releases, a team's role (team-vision), rollouts, snapshot or timestamp.")
        {
            RequestArgument, repo, token, add, remove, threshold, why,
        };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            var changes = new Dictionary<string, RoleChange>(StringComparer.Ordinal);
            RoleChange Of(string role) => changes.TryGetValue(role, out var change) ? change : new(role);
            foreach (var (role, file) in Pairs(parsed.GetValue(add), "--add", "ROLE=FILE.pub"))
                changes[role] = Of(role) with { Add = Of(role).Add.Add(KeyFiles.Public(file)) };
            foreach (var (role, key) in Pairs(parsed.GetValue(remove), "--remove", "ROLE=KEY"))
                changes[role] = Of(role) with { Remove = Of(role).Remove.Add(key) };
            foreach (var (role, number) in Pairs(parsed.GetValue(threshold), "--threshold", "ROLE=N"))
                changes[role] = Of(role) with { Threshold = int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : throw new UsageException($"--threshold: '{number}' is not a number; write {role}=2.") };
            if (changes.Count == 0)
                throw new UsageException("What is to change? Give --add, --remove or --threshold.");
            using var repository = Ceremony.Open(parsed.GetValue(repo), null, parsed.GetValue(token));
            var purpose = parsed.GetValue(why) ?? $"Change the keys of {string.Join(", ", changes.Keys)}.";
            Ceremony.WriteNew(parsed.GetRequiredValue(RequestArgument), KeyCeremony.Change(purpose, await PresentAsync(repository, cancel), [.. changes.Values], [], TimeProvider.System.GetUtcNow(), await repository.LeastNextAsync(cancel)));
        }));
        return command;
    }

    static Command Renew()
    {
        var (repo, token) = (Ceremony.Repo(), Ceremony.Token());
        var roles = new Option<string[]>("--role") { Description = "Only this role; may be repeated. Default: everything that offline keys sign." };
        var command = new Command("renew", "Asks for the same again, for another year.") { RequestArgument, repo, token, roles };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            using var repository = Ceremony.Open(parsed.GetValue(repo), null, parsed.GetValue(token));
            var present = await PresentAsync(repository, cancel);
            string[] wanted = parsed.GetValue(roles) is { Length: > 0 } some ? some : [.. present.Select(file => file.Key)];
            if (wanted.FirstOrDefault(role => present.All(file => file.Key != role)) is { } unknown)
                throw new UsageException($"--role: '{unknown}' is not signed by offline keys here; there are {string.Join(", ", present.Select(file => file.Key))}.");
            Ceremony.WriteNew(parsed.GetRequiredValue(RequestArgument), KeyCeremony.Change($"Renew {string.Join(", ", wanted)}.", present, [], wanted, TimeProvider.System.GetUtcNow(), await repository.LeastNextAsync(cancel)));
        }));
        return command;
    }

    static Command RotateOnline()
    {
        var (repo, token) = (Ceremony.Repo(), Ceremony.Token());
        var online = new OnlineKeyOptions();
        var command = new Command("rotate-online", "Asks for other online keys. Put the private key where the server finds it first: DATA/keys/online.") { RequestArgument, repo, token };
        online.AddTo(command);
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            using var repository = Ceremony.Open(parsed.GetValue(repo), null, parsed.GetValue(token));
            Ceremony.WriteNew(parsed.GetRequiredValue(RequestArgument), KeyCeremony.RotateOnline(await PresentAsync(repository, cancel), online.Read(parsed, all: false), TimeProvider.System.GetUtcNow()));
        }));
        return command;
    }

    static Command Apply()
    {
        var files = new Argument<string[]>("REQUEST") { Description = "The signed request; with copies that others signed, all of them.", Arity = ArgumentArity.OneOrMore };
        var (repo, keys, token) = (Ceremony.Repo(), Ceremony.Keys(), Ceremony.Token());
        var command = new Command("apply", "Puts a request in force that enough people have signed. A folder that holds no repository yet becomes one.") { files, repo, keys, token };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            var request = Ceremony.Read(parsed.GetRequiredValue(files));
            if (!request.IsComplete)
                throw new PublicationException($"Signatures are missing; nothing was changed.\n  {string.Join("\n  ", SigningSummary.Signatures(request))}");
            using var repository = Ceremony.Open(parsed.GetValue(repo), parsed.GetValue(keys), parsed.GetValue(token));
            var changed = await repository.ApplyAsync(request, cancel);
            Console.Out.WriteLine(changed ? "In force:" : "It was in force already:");
            foreach (var line in SigningSummary.Of(request).Where(line => !line.StartsWith(' ')).Skip(1))
                Console.Out.WriteLine("  " + line);
            if (request.NextRoot is { Signed.Version: 1 } first)
                Console.Out.WriteLine($"Devices must pin this root: sha256 {Sha256Digest.Of(first.Bytes.Span)}");
        }));
        return command;
    }

    /// <summary>What is published now.</summary>
    /// <exception cref="PublicationException">There is no repository.</exception>
    internal static async Task<ImmutableArray<KeyValuePair<string, ReadOnlyMemory<byte>>>> PresentAsync(ISigningRepository repository, CancellationToken cancel) =>
        await repository.PresentAsync(cancel) is { IsEmpty: false } present ? present : throw new PublicationException("There is no repository yet; begin with 'coppice root create'.");

    internal static ImmutableArray<PublicKey> Read(string[]? files) => [.. (files ?? []).Select(KeyFiles.Public)];

    internal static Option<string[]> Keys(string name, string description) => new(name) { Description = description, AllowMultipleArgumentsPerToken = true };

    internal static Option<int?> Threshold(string name, string description) => new(name) { Description = description };

    static IEnumerable<(string Role, string Value)> Pairs(string[]? texts, string option, string form) => (texts ?? []).Select(text =>
        text.Split('=', 2) is [{ Length: > 0 } role, { Length: > 0 } value] ? (role, value) : throw new UsageException($"{option}: '{text}' is not {form}."));
}

/// <summary>Online keys: one for all three roles, or one for each.</summary>
sealed class OnlineKeyOptions
{
    readonly Option<string?> online = new("--online-key") { Description = "The server's .pub file, for snapshot, timestamp and rollouts together." };
    readonly Option<string?> snapshot = new("--snapshot-key") { Description = "A .pub file for the snapshot alone." };
    readonly Option<string?> timestamp = new("--timestamp-key") { Description = "A .pub file for the timestamp alone." };
    readonly Option<string?> rollouts = new("--rollouts-key") { Description = "A .pub file for rollout plans alone." };

    public void AddTo(Command command)
    {
        foreach (var option in (Option<string?>[])[online, snapshot, timestamp, rollouts])
            command.Options.Add(option);
    }

    /// <exception cref="UsageException">None is given, or <paramref name="all"/> are wanted and one is missing.</exception>
    public Dictionary<string, PublicKey> Read(ParseResult parsed, bool all)
    {
        var keys = new Dictionary<string, PublicKey>(StringComparer.Ordinal);
        foreach (var (role, option) in new[] { (TopLevelRole.Snapshot, snapshot), (TopLevelRole.Timestamp, timestamp), (RepositoryLayout.RolloutsRole, rollouts) })
        {
            if ((parsed.GetValue(option) ?? parsed.GetValue(online)) is { } file)
                keys[role] = KeyFiles.Public(file);
            else if (all)
                throw new UsageException($"Which online key signs the {role}? Give --online-key for all three, or {option.Name}.");
        }

        return keys.Count > 0 ? keys : throw new UsageException("Which online key? Give --online-key, or one of --snapshot-key, --timestamp-key and --rollouts-key.");
    }
}
