using System.Collections.Immutable;

namespace Coppice.Trust;

/// <summary>Makes signing requests: a new repository, other keys, other teams, later expiry. It signs nothing and publishes nothing.</summary>
public static class KeyCeremony
{
    static readonly string[] OnlineRoles = [TopLevelRole.Snapshot, TopLevelRole.Timestamp, RepositoryLayout.RolloutsRole];

    /// <summary>How long what offline keys sign is trusted.</summary>
    public static readonly TimeSpan Life = ReleaseSigning.DefaultLifetime;

    /// <summary>The first root, targets and releases of a repository.</summary>
    /// <param name="keys">By role: root, targets, releases, snapshot, timestamp, rollouts.</param>
    /// <param name="now">The time of making.</param>
    /// <exception cref="RepositoryConflictException">A role has no key, too few for its threshold, or one that it must not share.</exception>
    public static SigningRequest Create(IReadOnlyDictionary<string, RoleOfKeys> keys, DateTimeOffset now)
    {
        RoleOfKeys Of(string role) => keys.TryGetValue(role, out var given) && given.Keys.Length > 0
            ? given.Threshold >= 1 && given.Threshold <= given.Keys.Length ? given : throw new RepositoryConflictException(role, $"{given.Threshold} of {given.Keys.Length} key(s) cannot sign; give a threshold of 1 to {given.Keys.Length}.")
            : throw new RepositoryConflictException(role, "it has no key; give at least one.");
        var root = new RootDraft(null);
        foreach (var role in (string[])[TopLevelRole.Root, TopLevelRole.Targets, TopLevelRole.Snapshot, TopLevelRole.Timestamp])
            root.SetRole(role, Of(role).Threshold, Of(role).Keys.AsSpan());
        var (releases, rollouts) = (Of(RepositoryLayout.ReleasesRole), Of(RepositoryLayout.RolloutsRole));
        var targets = new TargetsDraft(null)
            .Delegate(RepositoryLayout.ReleasesRole, [RepositoryLayout.ReleasesPattern], true, releases.Threshold, releases.Keys.AsSpan())
            .Delegate(RepositoryLayout.RolloutsRole, [RepositoryLayout.RolloutsPattern], true, rollouts.Threshold, rollouts.Keys.AsSpan());
        return Finish("Make the repository.", [], root, targets, [], _ => null, now);
    }

    /// <summary>Changes keys and thresholds of roles, and signs roles anew.</summary>
    /// <param name="purpose">For the people who sign.</param>
    /// <param name="present">Published root, targets, and every role that signs releases.</param>
    /// <param name="changes">What changes; one for each role at most.</param>
    /// <param name="renew">Offline roles to be signed anew, whatever changes.</param>
    /// <param name="now">The time of making.</param>
    /// <param name="leastNext">From <see cref="Snapshot.LeastNext"/>; null for a repository that was never restored.</param>
    /// <exception cref="RepositoryConflictException">A role or key is not known, or the result may not be published.</exception>
    public static SigningRequest Change(
        string purpose, IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> present, IReadOnlyList<RoleChange> changes, IReadOnlyCollection<string> renew, DateTimeOffset now,
        IReadOnlyDictionary<string, long>? leastNext = null)
    {
        var (root, targets) = Read(present);
        var leastTargets = leastNext?.GetValueOrDefault(TopLevelRole.Targets) ?? 1;
        var delegations = targets.Signed.Delegations;
        RootDraft? nextRoot = renew.Contains(TopLevelRole.Root) ? new(root.Signed) : null;
        TargetsDraft? nextTargets = renew.Contains(TopLevelRole.Targets) ? new(targets.Signed, leastTargets) : null;
        foreach (var change in changes)
        {
            if (TopLevelRole.Is(change.Role))
            {
                var keys = change.Apply(root.Signed);
                (nextRoot ??= new(root.Signed)).SetRole(change.Role, keys.Threshold, keys.Keys.AsSpan());
            }
            else
            {
                var role = delegations?.Roles.FirstOrDefault(role => role.Name == change.Role)
                    ?? throw new RepositoryConflictException(change.Role, $"the targets do not delegate to it; there are root, targets, snapshot, timestamp, {string.Join(", ", delegations?.Roles.Select(known => known.Name) ?? [])}.");
                var keys = change.Apply(targets.Signed);
                (nextTargets ??= new(targets.Signed, leastTargets)).Delegate(role.Name, role.Paths, role.Terminating, keys.Threshold, keys.Keys.AsSpan());
            }
        }
        return Finish(purpose, present, nextRoot, nextTargets, renew, _ => null, now, leastNext);
    }

    /// <summary>Puts other online keys in place of all present ones.</summary>
    /// <param name="present">Published root, targets, and every role that signs releases.</param>
    /// <param name="keys">The new key of snapshot, timestamp and rollouts each.</param>
    /// <param name="now">The time of making.</param>
    public static SigningRequest RotateOnline(
        IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> present, IReadOnlyDictionary<string, PublicKey> keys, DateTimeOffset now)
    {
        var (root, targets) = Read(present);
        var changes = OnlineRoles.Where(keys.ContainsKey).Select(role =>
        {
            IDelegator delegator = TopLevelRole.Is(role) ? root.Signed : targets.Signed;
            var gone = (delegator.KeysOf(role)?.KeyIds ?? []).Where(id => id != keys[role].ComputeKeyId());
            return new RoleChange(role) { Add = [keys[role]], Remove = [.. gone], Threshold = 1 };
        });
        return Change("Replace the online keys.", present, [.. changes], [], now);
    }

    /// <summary>Gives models to a team, or changes which and with which keys.</summary>
    /// <param name="team">The team's name.</param>
    /// <param name="patterns">The models.</param>
    /// <param name="keys">The team's keys.</param>
    /// <param name="present">Published root, targets, and every role that signs releases.</param>
    /// <param name="last">The last metadata of the team's role, if it was there before; else null.</param>
    /// <param name="now">The time of making.</param>
    public static SigningRequest Delegate(
        string team, IReadOnlyCollection<TeamPattern> patterns, RoleOfKeys keys, IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> present, Targets? last, DateTimeOffset now)
    {
        var role = RepositoryLayout.TeamRole(team);
        var (_, targets) = Read(present);
        if (keys.Threshold < 1 || keys.Threshold > keys.Keys.Length)
            throw new RepositoryConflictException(role, $"{keys.Threshold} of {keys.Keys.Length} key(s) cannot sign; give a threshold of 1 to {keys.Keys.Length}.");
        var others = (targets.Signed.Delegations?.Roles ?? []).Where(other => other.Name != role)
            .Select(other => (other.Name, other.Paths.Select(path => TeamPattern.TryReadPath(path, out var pattern) ? pattern : null).OfType<TeamPattern>().ToImmutableArray())).ToList();
        if (!TeamPattern.TryPlace(patterns, others, out var place, out var clash))
            throw new RepositoryConflictException(role, clash + ".");
        var order = others.Select(other => other.Name).ToList();
        order.Insert(place, role);
        var draft = new TargetsDraft(targets.Signed).Delegate(role, patterns.Select(pattern => pattern.Path), true, keys.Threshold, keys.Keys.AsSpan()).Order(order);
        return Finish($"Let team {team} sign {string.Join(", ", patterns)}.", present, null, draft, [], name => name == role ? last : null, now);
    }

    /// <summary>Takes its models from a team; the releases it signed are signed by whoever has the models now.</summary>
    public static SigningRequest Undelegate(string team, IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> present, DateTimeOffset now)
    {
        var role = RepositoryLayout.TeamRole(team);
        var draft = new TargetsDraft(Read(present).Targets.Signed);
        return draft.Undelegate(role)
            ? Finish($"Let team {team} sign no more.", present, null, draft, [], _ => null, now)
            : throw new RepositoryConflictException(role, "the targets do not delegate to it; 'coppice delegate list' shows the teams.");
    }

    /// <summary>Asks for a release to be signed by the keys of the role that its model is delegated to.</summary>
    /// <param name="present">Published root, targets, and that role.</param>
    /// <param name="path">The release's target path.</param>
    /// <param name="manifest">Its manifest, byte for byte.</param>
    /// <param name="now">The time of making.</param>
    /// <param name="leastNext">From <see cref="Snapshot.LeastNext"/>; null for a repository that was never restored.</param>
    public static SigningRequest Release(
        IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> present, string path, ReadOnlyMemory<byte> manifest, DateTimeOffset now, IReadOnlyDictionary<string, long>? leastNext = null)
    {
        var (_, targets) = Read(present);
        var role = ReleaseIndex.RoleFor(targets.Signed, path) ?? throw new RepositoryConflictException(RepositoryLayout.ReleasesRole, $"nobody may sign '{path}'.");
        var file = MetadataFile.ReadTargets(present.First(given => given.Key == role).Value, role);
        var next = ReleaseSigning.Prepare(file, [new TargetInfo(path, manifest.Span)], now, Life, leastNext?.GetValueOrDefault(role) ?? 1);
        return SigningRequest.Create(
            $"Publish {path["releases/".Length..^".json".Length]}.", now, present.Where(given => given.Key is TopLevelRole.Root or TopLevelRole.Targets || given.Key == role),
            [new(role, next)], [new(path, manifest)]);
    }

    // Adds whatever else must be signed for the drafts to be published, and nothing more.
    static SigningRequest Finish(
        string purpose, IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> present, RootDraft? root, TargetsDraft? targets,
        IReadOnlyCollection<string> renew, Func<string, Targets?> lastOf, DateTimeOffset now, IReadOnlyDictionary<string, long>? leastNext = null)
    {
        var expires = now + Life;
        var files = present.ToDictionary(file => file.Key, file => file.Value, StringComparer.Ordinal);
        var presentTargets = files.TryGetValue(TopLevelRole.Targets, out var bytes) ? MetadataFile.ReadTargets(bytes) : null;
        var next = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        if (root is not null)
            next[TopLevelRole.Root] = root.Sign(expires);
        var nextRoot = MetadataFile.ReadRoot(next.GetValueOrDefault(TopLevelRole.Root, files.GetValueOrDefault(TopLevelRole.Root))).Signed;
        if (targets is null && presentTargets is not null && !IsSignedFor(presentTargets, nextRoot))
            targets = new(presentTargets.Signed, leastNext?.GetValueOrDefault(TopLevelRole.Targets) ?? 1);
        if (targets is not null)
            next[TopLevelRole.Targets] = targets.Sign(expires);
        var nextTargets = MetadataFile.ReadTargets(next.GetValueOrDefault(TopLevelRole.Targets, files.GetValueOrDefault(TopLevelRole.Targets))).Signed;
        if (SplitOfPower.Check(nextRoot, nextTargets) is { IsEmpty: false } problems)
            throw new RepositoryConflictException(root is null ? TopLevelRole.Targets : TopLevelRole.Root, string.Join("; ", problems) + ".");

        var roles = files.Where(file => RepositoryLayout.IsReleaseRole(file.Key)).ToDictionary(file => file.Key, file => MetadataFile.ReadTargets(file.Value, file.Key), StringComparer.Ordinal);
        var published = presentTargets is null ? [] : ReleaseIndex.All(presentTargets.Signed, role => roles.GetValueOrDefault(role)?.Signed);
        foreach (var role in nextTargets.Delegations!.Roles.Select(delegated => delegated.Name).Where(RepositoryLayout.IsReleaseRole))
        {
            var file = roles.GetValueOrDefault(role);
            var before = file?.Signed ?? lastOf(role);
            // Releases of models that this role has from now on: published stays published.
            var adopted = published.Values.Where(release => ReleaseIndex.RoleFor(nextTargets, release.Path) == role
                && !(before?.Files.GetValueOrDefault(release.Path)?.SaysTheSameAs(release) ?? false)).ToArray();
            if (file is not null && adopted.Length == 0 && !renew.Contains(role) && IsSignedFor(file, nextTargets))
                continue;
            next[role] = adopted.Aggregate(new TargetsDraft(before, leastNext?.GetValueOrDefault(role) ?? 1), (draft, release) => draft.Put(release)).Sign(expires);
        }
        if (next.Count == 0)
            throw new RepositoryConflictException(TopLevelRole.Root, "nothing changes; say what to change or to sign anew.");
        return SigningRequest.Create(purpose, now, files.Where(file => file.Key is TopLevelRole.Root or TopLevelRole.Targets || next.ContainsKey(file.Key)), next);
    }

    static bool IsSignedFor(MetadataFile<Targets> file, IDelegator delegator) =>
        delegator.KeysOf(file.Role) is { } keys && file.CountSigners(delegator, keys) >= keys.Threshold;

    static (MetadataFile<Root> Root, MetadataFile<Targets> Targets) Read(IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> present) =>
        (MetadataFile.ReadRoot(present.First(file => file.Key == TopLevelRole.Root).Value), MetadataFile.ReadTargets(present.First(file => file.Key == TopLevelRole.Targets).Value));
}

/// <summary>The keys of a role and how many of them must sign.</summary>
/// <param name="Threshold">1 to the number of keys.</param>
/// <param name="Keys">Each once.</param>
public sealed record RoleOfKeys(int Threshold, ImmutableArray<PublicKey> Keys);

/// <summary>Other keys for a role.</summary>
/// <param name="Role">root, targets, snapshot, timestamp, or a delegated role.</param>
public sealed record RoleChange(string Role)
{
    const int LeastDigits = 8;

    /// <summary>Keys that it gets.</summary>
    public ImmutableArray<PublicKey> Add { get; init; } = [];

    /// <summary>Keys that it loses: key ids, their first 8 digits or more, or names.</summary>
    public ImmutableArray<string> Remove { get; init; } = [];

    /// <summary>How many must sign from now on; null for as many as before.</summary>
    public int? Threshold { get; init; }

    internal RoleOfKeys Apply(IDelegator delegator)
    {
        var present = delegator.KeysOf(Role) ?? throw new RepositoryConflictException(Role, "there is no such role.");
        var keys = present.KeyIds.Where(delegator.Keys.ContainsKey).ToDictionary(id => id, id => delegator.Keys[id], StringComparer.Ordinal);
        foreach (var wanted in Remove)
        {
            var found = keys.Where(key => key.Key == wanted || key.Value.Name == wanted || (wanted.Length >= LeastDigits && key.Key.StartsWith(wanted, StringComparison.Ordinal))).ToArray();
            if (found.Length != 1)
                throw new RepositoryConflictException(Role, $"{(found.Length == 0 ? "none" : found.Length.ToString(System.Globalization.CultureInfo.InvariantCulture))} of its keys is '{UntrustedMetadataException.Shown(wanted)}'; it has {string.Join(", ", NamedKey.Of(delegator, Role))}. Name one by its id, 8 digits or more of it, or its name.");
            keys.Remove(found[0].Key);
        }
        foreach (var key in Add)
        {
            if (keys.Values.Any(known => known.Identity == key.Identity))
                throw new RepositoryConflictException(Role, $"it has the key {new NamedKey(key.ComputeKeyId(), key.Name)} already.");
            keys.Add(key.ComputeKeyId(), key);
        }
        var threshold = Threshold ?? (int)present.Threshold;
        if (threshold < 1 || threshold > keys.Count)
            throw new RepositoryConflictException(Role, $"{threshold} of {keys.Count} key(s) cannot sign; change the threshold too, or add keys.");
        return new(threshold, [.. keys.Values]);
    }
}
