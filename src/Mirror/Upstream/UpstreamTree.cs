using System.Globalization;
using Coppice.Agent.Link.Tuf;
using Coppice.Mirror.Tree;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Mirror.Upstream;

/// <summary>Keeps the tree's metadata as new as upstream's: all of a state, or none of it. Only what a client would accept is taken.</summary>
/// <param name="tree">Where to.</param>
/// <param name="upstream">Where from.</param>
/// <param name="root">The root to begin with; null takes the first that upstream offers.</param>
public sealed class UpstreamTree(SiteTree tree, IMetadataSource upstream, Sha256Digest? root)
{
    string? tag;
    ReadOnlyMemory<byte> tagged;

    /// <summary>Looks for a newer timestamp, with one conditional request when there is none, and takes in all that it leads to.</summary>
    /// <returns>What the tree publishes now, when that changed; null when it did not.</returns>
    /// <exception cref="UntrustedMetadataException">Upstream offers what no client should take; the tree stays.</exception>
    /// <exception cref="HttpRequestException">Upstream is not reached.</exception>
    /// <exception cref="IOException">The tree is being written by somebody else, or the disk refuses.</exception>
    public async Task<TufClient?> RefreshAsync(DateTimeOffset now, CancellationToken cancel)
    {
        using var writing = tree.LockForWriting();
        var floor = new TreeMetadata(tree.Disk);
        var published = floor.Read(TopLevelRole.Timestamp);
        var known = published is { } bytes && bytes.Span.SequenceEqual(tagged.Span) ? tag : null;
        var fetched = await upstream.FetchMetadataAsync("timestamp.json", new TufLimits().TimestampBytes, known, cancel);
        if (fetched.Outcome == FetchOutcome.Unchanged || (fetched.Outcome == FetchOutcome.Found && published is { } same && same.Span.SequenceEqual(fetched.Bytes.Span)))
        {
            if (fetched.Outcome == FetchOutcome.Found)
                (tag, tagged) = (fetched.Tag, fetched.Bytes);
            return null;
        }

        var recorded = new RecordedSource(upstream);
        var store = new FloorStore(floor);
        if (floor.Read(TopLevelRole.Root) is null)
        {
            store.Write(TopLevelRole.Root, await RootAnchor.FindAsync(recorded, root, cancel)
                ?? throw new UntrustedMetadataException(TopLevelRole.Root, Distrust.Missing, "upstream has no root" + (root is null ? "" : $" with the SHA-256 {root}"), "check --upstream and --root"));
        }

        var client = new TufClient(recorded, store);
        await client.RefreshAsync(now, cancel);
        foreach (var (name, file) in client.Trusted!.Snapshot!.Signed.Files)
        {
            var versioned = string.Create(CultureInfo.InvariantCulture, $"{file.Version}.{name}");
            if (recorded.Metadata.ContainsKey(versioned) || tree.LengthOf("metadata/" + Uri.EscapeDataString(versioned)) is not null)
                continue;
            var role = await recorded.FetchMetadataAsync(versioned, new TufLimits().TargetsBytes, null, cancel);
            if (role.Outcome != FetchOutcome.Found || (file.Hashes is { } hashes && !hashes.Match(role.Bytes.Span)))
                throw new UntrustedMetadataException(name, role.Outcome == FetchOutcome.Found ? Distrust.WrongHash : Distrust.Missing, $"upstream's {versioned} is not what its snapshot names", "it is asked again at the next poll");
        }

        foreach (var (name, file) in recorded.Metadata.Where(file => file.Key != "timestamp.json"))
            tree.PutSmall("metadata/" + Uri.EscapeDataString(name), file.Span);
        tree.PutTimestamp(client.Trusted.Timestamp!.Bytes.Span);
        (tag, tagged) = (null, default);
        return client;
    }

    /// <summary>The files that the devices of this site will ask for next: of models whose plans they have read, in the variants whose files they have fetched.</summary>
    /// <param name="client">From <see cref="RefreshAsync"/>.</param>
    /// <param name="models">Models that devices asked for.</param>
    /// <param name="cancel">Ends the call.</param>
    public async Task<IReadOnlyList<(string Path, long Length)>> WantedAsync(TufClient client, IEnumerable<ModelName> models, CancellationToken cancel)
    {
        var wanted = new List<(string, long)>();
        foreach (var model in models)
        {
            if (await TargetAsync(client, RepositoryLayout.PlanTarget(model.ToString()), RolloutPlan.MaxBytes, cancel) is not { } bytes
                || !DocumentJson.TryRead(bytes.Span, out RolloutPlan? plan, out _))
                continue;
            foreach (var rollout in plan.Rollouts.Where(rollout => rollout.State != RolloutState.Reverted && !plan.Revoked.Contains(rollout.Release)))
            {
                if (await TargetAsync(client, RepositoryLayout.ReleaseTarget(model.ToString(), rollout.Release.ToString()), ReleaseManifest.MaxBytes, cancel) is { } written
                    && DocumentJson.TryRead(written.Span, out ReleaseManifest? manifest, out _) && rollout == plan.Rollouts.First(newest => newest.State != RolloutState.Reverted))
                    wanted.AddRange(Files(manifest));
            }
        }

        return wanted;
    }

    IEnumerable<(string, long)> Files(ReleaseManifest manifest)
    {
        // A site that has fetched nothing of the model yet says by its first request which variant it takes.
        var here = manifest.Variants.Where(variant => variant.Files.Any(file => tree.LengthOf(RepositoryLayout.BlobFile(file.StoredDigest)) is not null)).ToList();
        return (here.Count > 0 ? here : manifest.Variants.Length == 1 ? [.. manifest.Variants] : []).SelectMany(variant => variant.Files).Concat(manifest.Trial?.Files ?? [])
            .SelectMany(file => (BlobName?[])[file.TensorMap, file.Stored]).OfType<BlobName>().Select(blob => (RepositoryLayout.BlobFile(blob.Digest), blob.Length));
    }

    async Task<ReadOnlyMemory<byte>?> TargetAsync(TufClient client, string path, int most, CancellationToken cancel)
    {
        if (await client.GetTargetAsync(path, cancel) is not { } target)
            return null;
        var bytes = await client.DownloadTargetAsync(target, most, cancel);
        var file = "targets/" + target.StoredPath(consistentSnapshot: true);
        if (tree.LengthOf(file) is null)
            tree.PutSmall(file, bytes.Span);
        return bytes;
    }

    /// <summary>Remembers the metadata that went by.</summary>
    sealed class RecordedSource(IMetadataSource inner) : IMetadataSource
    {
        public Dictionary<string, ReadOnlyMemory<byte>> Metadata { get; } = new(StringComparer.Ordinal);

        public async Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel)
        {
            var file = await inner.FetchMetadataAsync(fileName, mostBytes, knownTag, cancel);
            if (file.Outcome == FetchOutcome.Found)
                Metadata[fileName] = file.Bytes;
            return file;
        }

        public Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel) => inner.FetchTargetAsync(path, mostBytes, cancel);
    }
}
