using System.Collections.Immutable;
using Coppice.Agent.Link.Tuf;
using Coppice.Delivery;
using Coppice.Mirror.Tree;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Mirror.Bundles;

/// <summary>A bundle is not taken. Nothing of it was used.</summary>
/// <param name="problem">What was found, what is wanted, what to do.</param>
/// <param name="inner">Why.</param>
public sealed class BundleRefusedException(string problem, Exception? inner = null) : Exception(problem, inner);

/// <summary>A bundle whose signatures were followed from a trusted root to every document in it.</summary>
/// <param name="Root">Digest of the newest root.</param>
/// <param name="TimestampVersion">Version of its timestamp.</param>
/// <param name="TimestampExpires">When that stops being trusted.</param>
/// <param name="Releases">Its release manifests.</param>
/// <param name="Plans">Its rollout plans.</param>
/// <param name="Missing">Files of its releases that it does not hold.</param>
public sealed record ReviewedBundle(
    Sha256Digest Root, long TimestampVersion, DateTimeOffset TimestampExpires, ImmutableArray<ReleaseManifest> Releases, ImmutableArray<RolloutPlan> Plans, ImmutableArray<ReleaseFile> Missing);

/// <summary>The checks that a bundle passes before a byte of it is used: those that a device makes online, on all of it at once.</summary>
/// <param name="bundle">The bundle.</param>
/// <param name="offlineGrace">How long timestamp and snapshot are taken after they expired.</param>
public sealed class BundleReview(BundleFile bundle, TimeSpan offlineGrace)
{
    /// <summary>Follows the bundle's signatures from each floor.</summary>
    /// <param name="floors">What is trusted here already: each must accept the bundle, so that none goes back. May be empty at a first bundle.</param>
    /// <param name="root">The root to begin with where no floor has one.</param>
    /// <param name="now">The time by which expiry is judged.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="BundleRefusedException">It is not to be trusted, or holds what nothing in it vouches for.</exception>
    public async Task<ReviewedBundle> RunAsync(IReadOnlyList<IMetadataStore> floors, Sha256Digest? root, DateTimeOffset now, CancellationToken cancel)
    {
        try
        {
            var anchored = floors.Where(floor => floor.Read(TopLevelRole.Root) is not null).ToList();
            TufClient? client = null;
            foreach (var floor in anchored)
            {
                client = new TufClient(bundle, new FloorStore(floor), offlineGrace: offlineGrace);
                await client.RefreshAsync(now, cancel);
            }

            if (client is null)
            {
                if (root is null)
                    throw new BundleRefusedException("Nothing is trusted here yet, so a bundle cannot be checked; name the repository's root with --root SHA256, as for a device.");
                var store = new FloorStore(null);
                store.Write(TopLevelRole.Root, await RootAnchor.FindAsync(bundle, root, cancel)
                    ?? throw new BundleRefusedException($"The bundle has no root with the SHA-256 {root}: it is of another repository."));
                client = new TufClient(bundle, store, offlineGrace: offlineGrace);
                await client.RefreshAsync(now, cancel);
            }

            return await DocumentsAsync(client, cancel);
        }
        catch (UntrustedMetadataException e)
        {
            throw new BundleRefusedException($"The bundle is not trusted: {e.Message}{Advice(e)}", e);
        }
    }

    static string Advice(UntrustedMetadataException e) => e switch
    {
        { Reason: Distrust.Rollback } => " It is older than what is here: take a newer one.",
        { Reason: Distrust.Expired, Role: TopLevelRole.Timestamp or TopLevelRole.Snapshot } => " Make a new bundle, or allow its age with --offline-grace where the site's rules do.",
        { Reason: Distrust.TooFewSignatures, Role: TopLevelRole.Root or TopLevelRole.Timestamp } => " It is of another repository, or was altered.",
        _ => "",
    };

    async Task<ReviewedBundle> DocumentsAsync(TufClient client, CancellationToken cancel)
    {
        var trusted = client.Trusted!;
        RequireNamed(trusted);
        var (releases, plans) = (ImmutableArray.CreateBuilder<ReleaseManifest>(), ImmutableArray.CreateBuilder<RolloutPlan>());
        foreach (var entry in bundle.Index.Entries.Where(entry => entry.Kind == BundleKind.Target))
        {
            var path = TargetPath(entry);
            if (await client.GetTargetAsync(path, cancel) is not { } target || "targets/" + target.StoredPath(consistentSnapshot: true) != entry.Path)
                throw new BundleRefusedException($"The bundle holds {entry.Path}, which its signed metadata does not name.");
            var bytes = await client.DownloadTargetAsync(target, BundleIndex.MaxSmall, cancel);
            if (path.StartsWith("releases/", StringComparison.Ordinal) && DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out _))
                releases.Add(manifest);
            else if (path.StartsWith("rollouts/", StringComparison.Ordinal) && DocumentJson.TryRead(bytes.Span, out RolloutPlan? plan, out _))
                plans.Add(plan);
        }

        var files = releases.SelectMany(release => release.Files).DistinctBy(file => file.StoredDigest);
        var blobs = releases.SelectMany(release => release.Blobs).DistinctBy(blob => blob.Digest).ToDictionary(blob => blob.Digest, blob => blob.Length);
        var made = releases.SelectMany(release => release.Files).Select(file => file.Digest).ToHashSet();
        foreach (var entry in bundle.Index.Entries.Where(entry => entry.Kind is BundleKind.Blob or BundleKind.Patch))
        {
            var digest = entry.Kind == BundleKind.Blob ? entry.Digest : Sha256Digest.Parse(entry.Path.AsSpan(entry.Path.Length - 4 - Sha256Digest.HexLength, Sha256Digest.HexLength));
            if (entry.Kind == BundleKind.Patch ? !made.Contains(digest) : !blobs.TryGetValue(digest, out var length) || length != entry.Length)
                throw new BundleRefusedException($"The bundle holds {entry.Path}, which no release in it names so.");
        }

        foreach (var entry in bundle.Index.Entries.Where(entry => entry.Kind == BundleKind.PatchIndex))
        {
            if (!DocumentJson.TryRead(bundle.ReadSmall(entry), out PatchIndex? index, out _) || RepositoryLayout.PatchIndexFile(index.To.Digest) != entry.Path || !made.Contains(index.To.Digest))
                throw new BundleRefusedException($"{entry.Path} in the bundle is no index of the patches to a file of its releases.");
        }

        foreach (var entry in bundle.Index.Entries.Where(entry => entry.Kind == BundleKind.Grant))
            RequireGrants(entry);
        return new(
            Sha256Digest.Of(trusted.Root.Bytes.Span), trusted.Timestamp!.Signed.Version, trusted.Timestamp.Signed.Expires, releases.ToImmutable(), plans.ToImmutable(),
            [.. files.Where(file => bundle.Index.Find(RepositoryLayout.BlobFile(file.StoredDigest)) is null)]);
    }

    /// <summary>Grants carry no signature: one that was meddled with does not open. That they are grants, and of whom, is looked at.</summary>
    void RequireGrants(BundleEntry entry)
    {
        try
        {
            if (RepositoryLayout.GrantFile(GrantFile.Read(bundle.ReadSmall(entry)).Recipient) != entry.Path)
                throw new BundleRefusedException($"{entry.Path} in the bundle holds grants for another key than its name says.");
        }
        catch (BrokenSealException e)
        {
            throw new BundleRefusedException($"{entry.Path} in the bundle is no file of grants: {e.Message}", e);
        }
    }

    /// <summary>Holds every metadata file against the snapshot: nothing lies in the bundle that it does not name, and all that it names is there.</summary>
    void RequireNamed(TrustedMetadataSet trusted)
    {
        var named = trusted.Snapshot!.Signed.Files.ToDictionary(file => $"metadata/{file.Value.Version}.{Uri.EscapeDataString(file.Key)}", file => file.Value, StringComparer.Ordinal);
        foreach (var entry in bundle.Index.Entries.Where(entry => entry.Kind == BundleKind.Metadata))
        {
            var bytes = bundle.ReadSmall(entry); // also of what is here already: damage is told rather than passed over
            if (named.Remove(entry.Path, out var file))
            {
                if (file.Length is { } length && length != entry.Length || (file.Hashes is { } hashes && !hashes.Match(bytes)))
                    throw new BundleRefusedException($"{entry.Path} in the bundle is not the file that its snapshot names: it was altered.");
            }
            else if (entry.Path is not "metadata/timestamp.json" && entry.Path != $"metadata/{trusted.Snapshot.Signed.Version}.snapshot.json" && !entry.Path.EndsWith(".root.json", StringComparison.Ordinal))
            {
                throw new BundleRefusedException($"The bundle holds {entry.Path}, which its snapshot does not name.");
            }
        }

        if (named.Count > 0)
            throw new BundleRefusedException($"The bundle lacks {named.Keys.Order(StringComparer.Ordinal).First()}, which its snapshot names; make it again.");
    }

    /// <summary><c>targets/a/b/SHA256.name</c> is the target <c>a/b/name</c>.</summary>
    static string TargetPath(BundleEntry entry)
    {
        var name = entry.Path.LastIndexOf('/') + 1;
        return string.Concat(entry.Path.AsSpan("targets/".Length, name - "targets/".Length), entry.Path.AsSpan(name + Sha256Digest.HexLength + 1));
    }
}
