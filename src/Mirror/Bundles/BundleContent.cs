using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Agent.Link;
using Coppice.Agent.Link.Tuf;
using Coppice.Delivery;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Mirror.Bundles;

/// <summary>What a bundle should carry.</summary>
/// <param name="Models">Models, each with the version wanted; null for the one that the newest rollout brings, else the highest.</param>
public sealed record BundleOrder(ImmutableArray<(ModelName Model, SemanticVersion? Version)> Models)
{
    /// <summary>Names of the variants that the site's devices take; empty for all.</summary>
    public ImmutableArray<string> Variants { get; init; } = [];

    /// <summary>Versions that the site's devices hold: patches from their files go in.</summary>
    public ImmutableArray<SemanticVersion> From { get; init; } = [];

    /// <summary>Public keys, of devices or groups, whose grants of content keys go in.</summary>
    public ImmutableArray<Sha256Digest> Recipients { get; init; } = [];

    /// <summary>Whether a file goes in whole also where a patch makes it.</summary>
    public bool Whole { get; init; }
}

/// <summary>Gathers a bundle from a repository, following its signatures as a device does.</summary>
/// <param name="metadata">Where the repository is.</param>
/// <param name="repository">Where its files are.</param>
/// <param name="grants">Gives the grants of a public key, where the repository has some.</param>
/// <param name="client">Refreshed on <paramref name="metadata"/>.</param>
/// <param name="scratch">A folder for patches, which must be read before their digest is known.</param>
public sealed class BundleContent(IMetadataSource metadata, IRepositoryFiles repository, Func<Sha256Digest, CancellationToken, Task<byte[]?>> grants, TufClient client, string scratch)
{
    const int MostRoots = 256;

    readonly Dictionary<string, (long Length, Sha256Digest Digest, Func<Task<Stream>> Open)> files = new(StringComparer.Ordinal);
    readonly Dictionary<Sha256Digest, PatchIndex> indexes = [];
    readonly ImmutableArray<string>.Builder notes = ImmutableArray.CreateBuilder<string>();
    readonly ImmutableArray<ReleaseManifest>.Builder releases = ImmutableArray.CreateBuilder<ReleaseManifest>();

    /// <summary>What a person should know: patches that are not there, plans that name no release.</summary>
    public ImmutableArray<string> Notes => notes.ToImmutable();

    /// <summary>The releases that go in whole.</summary>
    public ImmutableArray<ReleaseManifest> Releases => releases.ToImmutable();

    /// <summary>Opens a file of the index that <see cref="GatherAsync"/> gave.</summary>
    public Task<Stream> OpenAsync(BundleEntry entry) => files[entry.Path].Open();

    /// <summary>Gathers.</summary>
    /// <exception cref="BundleRefusedException">The repository lacks what was ordered.</exception>
    /// <exception cref="LinkException">It could not be read.</exception>
    /// <exception cref="UntrustedMetadataException">It is not to be trusted.</exception>
    public async Task<BundleIndex> GatherAsync(BundleOrder order, CancellationToken cancel)
    {
        foreach (var (model, version) in order.Models)
            await AddModelAsync(order, model, version, cancel);
        foreach (var recipient in order.Recipients)
            await AddGrantsAsync(recipient, groups: true, cancel);
        await AddMetadataAsync(cancel);
        return BundleIndex.Of(files.Select(file => (file.Key, file.Value.Length, file.Value.Digest)));
    }

    async Task AddModelAsync(BundleOrder order, ModelName model, SemanticVersion? version, CancellationToken cancel)
    {
        RolloutPlan? plan = null;
        if (await AddTargetAsync(RepositoryLayout.PlanTarget(model.ToString()), RolloutPlan.MaxBytes, cancel) is { } bytes)
        {
            DocumentJson.TryRead(bytes.Span, out plan, out _);
            // Devices look at the manifest of whatever their plan offers, also of what they then do not take.
            foreach (var rollout in plan?.Rollouts ?? [])
            {
                await ManifestAsync(model, rollout.Release, cancel);
                foreach (var other in (rollout.With ?? []).Select(member => member.Model).Concat(rollout.Lead is { } lead ? [lead] : []).Where(other => order.Models.All(known => known.Model != other)))
                    notes.Add($"{rollout.Id} brings {model} together with {other}, which is not in this bundle: devices take neither of them by it.");
            }
        }
        else
        {
            notes.Add($"{model} has no rollout: devices take nothing of it until a bundle brings a plan.");
        }

        var wanted = version ?? plan?.Rollouts.FirstOrDefault(rollout => rollout.State != RolloutState.Reverted && !plan.Revoked.Contains(rollout.Release))?.Release ?? Highest(model)
            ?? throw new BundleRefusedException($"The repository has no release of {model}.");
        var manifest = await ManifestAsync(model, wanted, cancel) ?? throw new BundleRefusedException($"The repository has no release {model} {wanted}.");
        releases.Add(manifest);
        var variants = manifest.Variants.Where(variant => order.Variants.IsEmpty || order.Variants.Contains(variant.Name)).ToList();
        if (variants.Count == 0)
            throw new BundleRefusedException($"{model} {wanted} has none of the variants {string.Join(", ", order.Variants)}; it has {string.Join(", ", manifest.Variants.Select(variant => variant.Name))}.");
        var patched = new HashSet<Sha256Digest>();
        foreach (var from in order.From)
        {
            if (await FindAsync(model, from, cancel) is not { } old)
                notes.Add($"{model} has no release {from} to make patches from.");
            else
                await AddPatchesAsync(old, variants, patched, cancel);
        }

        foreach (var file in variants.SelectMany(variant => variant.Files).Concat(manifest.Trial?.Files ?? []).Concat(manifest.Evidence?.Files ?? []).DistinctBy(file => file.Digest))
        {
            if (!order.Whole && patched.Contains(file.Digest))
                continue;
            AddBlob(file.Stored, file, cancel);
            if (file.TensorMap is { } map) // a site's devices that hold something alike read only what they lack
                AddBlob(map, file, cancel);
        }
    }

    void AddBlob(BlobName blob, ReleaseFile file, CancellationToken cancel)
    {
        var path = RepositoryLayout.BlobFile(blob.Digest);
        files[path] = (blob.Length, blob.Digest, async () => (await repository.OpenAsync(new(path, blob.Length, file), 0, null, cancel)).Body);
    }

    /// <summary>The highest version that the trusted metadata names, of those roles that were loaded on the way.</summary>
    SemanticVersion? Highest(ModelName model)
    {
        var prefix = $"releases/{model}/";
        SemanticVersion? highest = null;
        foreach (var role in client.Trusted!.Snapshot!.Signed.Files.Keys.Select(name => name[..^".json".Length]))
        {
            if (role == TopLevelRole.Targets || !client.Trusted.TryGetTargets(role, TopLevelRole.Targets, out var targets))
                continue;
            foreach (var path in targets.Signed.Files.Keys.Where(path => path.StartsWith(prefix, StringComparison.Ordinal)))
            {
                if (SemanticVersion.TryParse(path[prefix.Length..^".json".Length], out var version) && (highest is null || version > highest))
                    highest = version;
            }
        }

        return highest;
    }

    async Task<ReleaseManifest?> FindAsync(ModelName model, SemanticVersion version, CancellationToken cancel)
    {
        var target = await client.GetTargetAsync(RepositoryLayout.ReleaseTarget(model.ToString(), version.ToString()), cancel);
        return target is not null && DocumentJson.TryRead((await client.DownloadTargetAsync(target, ReleaseManifest.MaxBytes, cancel)).Span, out ReleaseManifest? manifest, out _) ? manifest : null;
    }

    async Task<ReleaseManifest?> ManifestAsync(ModelName model, SemanticVersion version, CancellationToken cancel) =>
        await AddTargetAsync(RepositoryLayout.ReleaseTarget(model.ToString(), version.ToString()), ReleaseManifest.MaxBytes, cancel) is { } bytes
        && DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out _) ? manifest : null;

    async Task<ReadOnlyMemory<byte>?> AddTargetAsync(string path, int most, CancellationToken cancel)
    {
        if (await client.GetTargetAsync(path, cancel) is not { } target)
            return null;
        var bytes = await client.DownloadTargetAsync(target, most, cancel);
        Add("targets/" + target.StoredPath(consistentSnapshot: true), bytes);
        return bytes;
    }

    /// <summary>What a public key is granted, and what the groups are granted that it is a member of.</summary>
    async Task AddGrantsAsync(Sha256Digest recipient, bool groups, CancellationToken cancel)
    {
        if (await grants(recipient, cancel) is not { } bytes)
        {
            notes.Add($"The repository has no grants for {recipient}{(groups ? "; who has that key opens nothing that is sealed by what is in this bundle" : "")}.");
            return;
        }

        try
        {
            var file = GrantFile.Read(bytes);
            Add(RepositoryLayout.GrantFile(recipient), bytes);
            foreach (var group in file.Grants.Where(grant => groups && grant.Kind == GrantKind.Group))
                await AddGrantsAsync(group.Key, groups: false, cancel);
        }
        catch (BrokenSealException e)
        {
            throw new BundleRefusedException($"The repository's grants for {recipient} cannot be read: {e.Message}", e);
        }
    }

    void Add(string path, ReadOnlyMemory<byte> bytes) => files[path] = (bytes.Length, Sha256Digest.Of(bytes.Span), () => Task.FromResult<Stream>(new MemoryStream(bytes.ToArray(), writable: false)));

    async Task AddPatchesAsync(ReleaseManifest old, List<Variant> variants, HashSet<Sha256Digest> patched, CancellationToken cancel)
    {
        var before = old.Variants.SelectMany(variant => variant.Files).Select(file => file.Digest).ToHashSet();
        foreach (var file in variants.SelectMany(variant => variant.Files).DistinctBy(file => file.Digest))
        {
            if (before.Contains(file.Digest))
                patched.Add(file.Digest); // unchanged: the device has it
            else if (await IndexAsync(file, cancel) is { } index
                && index.Patches.Where(entry => !entry.From.IsEmpty && entry.Length < file.StoredLength && entry.From.All(from => before.Contains(from.Digest))).MinBy(entry => entry.Length) is { } patch)
            {
                await AddPatchAsync(file, patch, cancel);
                patched.Add(file.Digest);
            }
            else
                notes.Add($"{file.Name} has no patch from {old.Version}; it goes in whole.");
        }
    }

    async Task<PatchIndex?> IndexAsync(ReleaseFile file, CancellationToken cancel) =>
        await repository.ReadAsync(RepositoryLayout.PatchIndexFile(file.Digest), PatchIndex.MaxBytes, cancel) is { } bytes
        && DocumentJson.TryRead(bytes, out PatchIndex? index, out _) && index.To == file.Blob ? index : null;

    /// <summary>Adds a patch, and says so in the bundle's own index of the file's patches.</summary>
    async Task AddPatchAsync(ReleaseFile file, PatchEntry patch, CancellationToken cancel)
    {
        var kept = Path.Combine(scratch, Path.GetRandomFileName());
        Directory.CreateDirectory(scratch);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using (var body = await repository.OpenAsync(new(patch.File(file.Digest), patch.Length, file), 0, null, cancel))
        await using (var written = File.Create(kept))
        {
            var buffer = new byte[1 << 17];
            for (int read; (read = await body.Body.ReadAsync(buffer, cancel)) > 0;)
            {
                hash.AppendData(buffer, 0, read);
                await written.WriteAsync(buffer.AsMemory(0, read), cancel);
                if (written.Length > patch.Length)
                    throw new LinkException($"the patch to {file.Name} goes on after {patch.Length} bytes.");
            }

            if (written.Length != patch.Length)
                throw new LinkException($"the patch to {file.Name} ended after {written.Length} of {patch.Length} bytes.");
        }

        files[patch.File(file.Digest)] = (patch.Length, new(hash.GetHashAndReset()), () => Task.FromResult<Stream>(File.OpenRead(kept)));
        indexes[file.Digest] = (indexes.GetValueOrDefault(file.Digest) ?? new(PatchIndex.CurrentSchema, file.Blob, [])).With([patch]);
        Add(RepositoryLayout.PatchIndexFile(file.Digest), DocumentJson.Write(indexes[file.Digest]));
    }

    /// <summary>All of the metadata that the timestamp leads to, and every root, so that a device finds its way from the one that it knows.</summary>
    async Task AddMetadataAsync(CancellationToken cancel)
    {
        var trusted = client.Trusted!;
        for (var version = 1; version <= MostRoots && version <= trusted.Root.Signed.Version; version++)
        {
            var root = await metadata.FetchMetadataAsync($"{version}.root.json", new TufLimits().RootBytes, null, cancel);
            if (root.Outcome == FetchOutcome.Found)
                Add($"metadata/{version}.root.json", root.Bytes);
        }

        Add("metadata/timestamp.json", trusted.Timestamp!.Bytes);
        Add($"metadata/{trusted.Snapshot!.Signed.Version}.snapshot.json", trusted.Snapshot.Bytes);
        foreach (var (name, file) in trusted.Snapshot.Signed.Files)
        {
            var versioned = $"{file.Version}.{name}";
            var bytes = await metadata.FetchMetadataAsync(versioned, new TufLimits().TargetsBytes, null, cancel);
            if (bytes.Outcome != FetchOutcome.Found)
                throw new BundleRefusedException($"The repository lacks {versioned}, which its snapshot names.");
            Add($"metadata/{file.Version}.{Uri.EscapeDataString(name)}", bytes.Bytes);
        }
    }
}
