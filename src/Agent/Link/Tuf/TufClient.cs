using Coppice.Trust;

namespace Coppice.Agent.Link.Tuf;

/// <summary>Follows one TUF repository: keeps its metadata current and fetches the small files that it vouches for.</summary>
/// <remarks>
/// What is trusted is decided by <see cref="TrustedMetadataSet"/>; this class fetches and stores in the order of the
/// specification's section 5. A call that fails leaves what was trusted before, and the next call starts again from it.
/// Retries, back-off and time-outs are the caller's. One call at a time.
/// </remarks>
/// <param name="source">Where the repository is.</param>
/// <param name="store">Where trusted metadata is kept.</param>
/// <param name="pinnedRoot">The root that came with the program. It is the start when nothing is stored, when what is stored is
/// damaged, and when it is newer. Empty when the stored root is the only anchor.</param>
/// <param name="limits">What the repository may cost; left out, the defaults.</param>
/// <param name="offlineGrace">How long timestamp and snapshot are taken after they expired; see <see cref="TrustedMetadataSet"/>.</param>
public sealed class TufClient(
    IMetadataSource source, IMetadataStore store, ReadOnlyMemory<byte> pinnedRoot = default, TufLimits? limits = null, TimeSpan offlineGrace = default)
{
    readonly TufLimits _limits = limits ?? new TufLimits();
    TrustedMetadataSet? _trusted; // whole: with final snapshot and targets
    string? _timestampTag;        // of the timestamp in _trusted

    /// <summary>The trusted metadata after the last refresh that went through; null before the first.</summary>
    public TrustedMetadataSet? Trusted => _trusted;

    /// <summary>Looks for something new with one conditional request, and refreshes when there is.</summary>
    /// <param name="now">The time by which expiry is judged.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>Whether the trusted metadata may have changed: always after the first call and after an expiry.</returns>
    /// <remarks>
    /// An unchanged timestamp says that nothing below it changed. A new root is found at the latest when the timestamp
    /// expires, which is as long as a mirror could have held it back anyway.
    /// </remarks>
    /// <inheritdoc cref="RefreshAsync" path="/exception"/>
    public async Task<bool> PollAsync(DateTimeOffset now, CancellationToken cancel)
    {
        if (_trusted is not { Timestamp: { } known } trusted || trusted.EarliestExpiry <= now)
        {
            await RefreshAsync(now, cancel);
            return true;
        }
        var fetched = await source.FetchMetadataAsync("timestamp.json", _limits.TimestampBytes, _timestampTag, cancel);
        if (fetched.Outcome == FetchOutcome.Unchanged)
            return false;
        if (fetched.Outcome == FetchOutcome.Found && fetched.Bytes.Span.SequenceEqual(known.Bytes.Span))
        {
            _timestampTag = fetched.Tag;
            return false;
        }
        await RefreshAsync(now, cancel);
        return _trusted!.Timestamp!.Signed.Version != known.Signed.Version || _trusted.Root.Signed.Version != trusted.Root.Signed.Version;
    }

    /// <summary>Brings root, timestamp, snapshot and targets up to date (5.1 to 5.6.6).</summary>
    /// <param name="now">The fixed start of the update (5.1).</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="UntrustedMetadataException">The repository offers what must not be trusted.</exception>
    /// <exception cref="HttpRequestException">The server was not reached or answered with an error.</exception>
    /// <exception cref="IOException">The connection broke, or the store cannot be written.</exception>
    public async Task RefreshAsync(DateTimeOffset now, CancellationToken cancel)
    {
        var trusted = Start(now);
        await UpdateRootAsync(trusted, cancel);
        var tag = await UpdateTimestampAsync(trusted, cancel);
        await UpdateSnapshotAsync(trusted, cancel);
        await LoadTargetsAsync(trusted, TopLevelRole.Targets, TopLevelRole.Root, cancel);
        (_trusted, _timestampTag) = (trusted, tag);
    }

    /// <summary>Searches for a target (5.6.7), loading delegated roles on its way.</summary>
    /// <param name="path">The target path.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>What the most trusted role says of it; null when no role speaks of it.</returns>
    /// <inheritdoc cref="RefreshAsync" path="/exception"/>
    public async Task<TargetInfo?> GetTargetAsync(string path, CancellationToken cancel) => (await SearchAsync(path, cancel)).Found;

    /// <summary>Searches for a target as <see cref="GetTargetAsync"/>, and tells which role speaks of it.</summary>
    /// <param name="path">The target path.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <inheritdoc cref="RefreshAsync" path="/exception"/>
    public async Task<TargetSearch> SearchAsync(string path, CancellationToken cancel)
    {
        var trusted = _trusted ?? throw new InvalidOperationException("Refresh before asking for targets.");
        var search = new TargetSearch(path, _limits.Roles);
        while (search.Next(out var role, out var delegator))
            search.Visit((await LoadTargetsAsync(trusted, role, delegator, cancel)).Signed);
        return search;
    }

    /// <summary>The metadata of a role that the top-level targets delegate to: to list what it names, or to sign its next version.</summary>
    /// <param name="role">Its name.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <inheritdoc cref="RefreshAsync" path="/exception"/>
    public Task<MetadataFile<Targets>> GetDelegatedAsync(string role, CancellationToken cancel)
    {
        var trusted = _trusted ?? throw new InvalidOperationException("Refresh before asking for roles.");
        return LoadTargetsAsync(trusted, role, TopLevelRole.Targets, cancel);
    }

    /// <summary>Downloads a small target into memory and checks it (5.7.3).</summary>
    /// <param name="target">From <see cref="GetTargetAsync"/>.</param>
    /// <param name="mostBytes">A longer target is refused before anything is read.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>Bytes of exactly the length and digests that the metadata says.</returns>
    /// <inheritdoc cref="RefreshAsync" path="/exception"/>
    public async Task<ReadOnlyMemory<byte>> DownloadTargetAsync(TargetInfo target, int mostBytes, CancellationToken cancel)
    {
        var trusted = _trusted ?? throw new InvalidOperationException("Refresh before downloading targets.");
        if (target.Length > mostBytes)
            throw SourcePath.TooLong(target.Path, mostBytes);
        var stored = target.StoredPath(trusted.Root.Signed.ConsistentSnapshot);
        var fetched = await source.FetchTargetAsync(stored, (int)target.Length, cancel);
        if (fetched.Outcome != FetchOutcome.Found)
            throw Missing(target.Path, stored);
        target.Verify(fetched.Bytes.Span);
        return fetched.Bytes;
    }

    // 5.2, and recovery: damaged files are dropped, and the chain of roots starts again from the pinned one.
    TrustedMetadataSet Start(DateTimeOffset now)
    {
        TrustedMetadataSet? stored = null;
        if (store.Read(TopLevelRole.Root) is { } bytes)
        {
            try
            {
                stored = new TrustedMetadataSet(bytes, now, offlineGrace);
            }
            catch (UntrustedMetadataException) when (!pinnedRoot.IsEmpty)
            {
                store.Delete(TopLevelRole.Root);
            }
        }
        else if (pinnedRoot.IsEmpty)
        {
            throw new UntrustedMetadataException(TopLevelRole.Root, Distrust.Missing, "no root is stored or pinned", "give the repository's root file first");
        }
        if (pinnedRoot.IsEmpty || (stored is not null && stored.Root.Bytes.Span.SequenceEqual(pinnedRoot.Span)))
            return stored!;

        var pinned = new TrustedMetadataSet(pinnedRoot, now, offlineGrace);
        if (stored is not null && stored.Root.Signed.Version >= pinned.Root.Signed.Version)
            return stored;
        if (stored is not null && TrustedMetadataSet.Revokes(stored.Root.Signed, pinned.Root.Signed))
            ForgetOnlineRoles();
        store.Write(TopLevelRole.Root, pinnedRoot);
        return pinned;
    }

    async Task UpdateRootAsync(TrustedMetadataSet trusted, CancellationToken cancel)
    {
        for (var rotations = 0; rotations < _limits.RootRotations; rotations++)
        {
            var name = $"{trusted.Root.Signed.Version + 1}.root.json"; // 5.3.3
            var fetched = await source.FetchMetadataAsync(name, _limits.RootBytes, null, cancel);
            if (fetched.Outcome != FetchOutcome.Found)
                return;
            if (trusted.UpdateRoot(fetched.Bytes))
                ForgetOnlineRoles(); // 5.3.11, before the root is stored: a power cut in between loses nothing that is needed
            store.Write(TopLevelRole.Root, fetched.Bytes); // 5.3.8
        }
    }

    async Task<string?> UpdateTimestampAsync(TrustedMetadataSet trusted, CancellationToken cancel)
    {
        var tag = LoadStoredTimestamp(trusted) ? _timestampTag : null;
        var fetched = await source.FetchMetadataAsync("timestamp.json", _limits.TimestampBytes, tag, cancel); // 5.4.1
        if (fetched.Outcome == FetchOutcome.Absent)
            throw Missing(TopLevelRole.Timestamp, "timestamp.json");
        var bytes = fetched.Outcome == FetchOutcome.Found ? fetched.Bytes : trusted.Timestamp!.Bytes;
        if (trusted.UpdateTimestamp(bytes))
        {
            store.Write(TopLevelRole.Timestamp, bytes); // 5.4.5
            return fetched.Tag;
        }
        // Of the same version but other bytes is not the file that is held: its tag must not stand for it.
        return bytes.Span.SequenceEqual(trusted.Timestamp!.Bytes.Span) ? fetched.Tag : null;
    }

    // Whether the stored one is the one the tag in hand belongs to.
    bool LoadStoredTimestamp(TrustedMetadataSet trusted)
    {
        if (store.Read(TopLevelRole.Timestamp) is not { } stored)
            return false;
        try
        {
            trusted.LoadTimestamp(stored);
        }
        catch (UntrustedMetadataException)
        {
            store.Delete(TopLevelRole.Timestamp);
            return false;
        }
        return _trusted?.Timestamp is { } held && held.Bytes.Span.SequenceEqual(stored.Span);
    }

    async Task UpdateSnapshotAsync(TrustedMetadataSet trusted, CancellationToken cancel)
    {
        if (LoadStoredSnapshot(trusted))
            return;
        var named = trusted.Timestamp!.Signed.Snapshot;
        var bytes = await FetchNamedAsync(trusted, TopLevelRole.Snapshot, named, _limits.SnapshotBytes, cancel); // 5.5.1
        trusted.UpdateSnapshot(bytes);
        store.Write(TopLevelRole.Snapshot, bytes); // 5.5.7
    }

    bool LoadStoredSnapshot(TrustedMetadataSet trusted)
    {
        if (store.Read(TopLevelRole.Snapshot) is not { } stored)
            return false;
        try
        {
            return trusted.LoadSnapshot(stored);
        }
        catch (UntrustedMetadataException problem) when (problem.Role == TopLevelRole.Snapshot)
        {
            store.Delete(TopLevelRole.Snapshot);
            return false;
        }
    }

    async Task<MetadataFile<Targets>> LoadTargetsAsync(
        TrustedMetadataSet trusted, string role, string delegator, CancellationToken cancel)
    {
        if (trusted.TryGetTargets(role, delegator, out var loaded))
            return loaded;
        var named = trusted.NamedInSnapshot(role);
        if (store.Read(role) is { } stored)
        {
            try
            {
                return trusted.UpdateTargets(stored, role, delegator);
            }
            catch (UntrustedMetadataException)
            {
                // Older than the snapshot says, or damaged: fetched again, and replaced when the new one is trusted.
            }
        }
        var bytes = await FetchNamedAsync(trusted, role, named, _limits.TargetsBytes, cancel); // 5.6.1
        var targets = trusted.UpdateTargets(bytes, role, delegator);
        store.Write(role, bytes); // 5.6.6
        return targets;
    }

    async Task<ReadOnlyMemory<byte>> FetchNamedAsync(
        TrustedMetadataSet trusted, string role, MetaFile named, int mostBytes, CancellationToken cancel)
    {
        var name = trusted.Root.Signed.ConsistentSnapshot ? $"{named.Version}.{role}.json" : $"{role}.json";
        var most = (int)Math.Min(named.Length ?? mostBytes, mostBytes);
        var fetched = await source.FetchMetadataAsync(name, most, null, cancel);
        return fetched.Outcome == FetchOutcome.Found ? fetched.Bytes : throw Missing(role, name);
    }

    void ForgetOnlineRoles()
    {
        store.Delete(TopLevelRole.Timestamp);
        store.Delete(TopLevelRole.Snapshot);
    }

    static UntrustedMetadataException Missing(string role, string file) =>
        new(role, Distrust.Missing, $"the repository has no '{file}'", "it must hold every file that its metadata names");
}
