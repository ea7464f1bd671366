using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Bench.Server;

/// <summary>What a device asks for when the repository has changed: found out once, as a device does, and then asked for by every simulated one.</summary>
/// <param name="Refresh">Paths of the metadata after the timestamp, and of the plan.</param>
/// <param name="Plan">The model's plan; null while there is none.</param>
/// <param name="Release">Paths of the release's metadata, manifest and files, for a device that takes it.</param>
sealed record RepositoryWalk(ImmutableArray<string> Refresh, RolloutPlan? Plan, ImmutableArray<string> Release)
{
    /// <summary>Walks the repository with every check that a device makes.</summary>
    /// <param name="http">The server's address is its base.</param>
    /// <param name="model">The model whose plan is followed.</param>
    public static async Task<RepositoryWalk> OfAsync(HttpClient http, ModelName model)
    {
        var (refresh, release) = (ImmutableArray.CreateBuilder<string>(), ImmutableArray.CreateBuilder<string>());
        var trusted = new TrustedMetadataSet(await http.GetByteArrayAsync("repository/metadata/1.root.json"), TimeProvider.System.GetUtcNow());
        while (await http.GetAsync($"repository/metadata/{trusted.Root.Signed.Version + 1}.root.json") is { IsSuccessStatusCode: true } next)
            trusted.UpdateRoot(await next.Content.ReadAsByteArrayAsync());
        trusted.UpdateTimestamp(await http.GetByteArrayAsync("repository/metadata/timestamp.json"));
        trusted.UpdateSnapshot(await GetAsync($"repository/metadata/{trusted.Timestamp!.Signed.Snapshot.Version}.snapshot.json", refresh));
        if (await FindAsync(RepositoryLayout.PlanTarget(model.ToString()), refresh) is not { } planned || !DocumentJson.TryRead(planned.Span, out RolloutPlan? plan, out _))
            return new(refresh.ToImmutable(), null, []);
        var brought = plan.Rollouts[0].Release;
        var manifest = await FindAsync(RepositoryLayout.ReleaseTarget(model.ToString(), brought.ToString()), release);
        if (manifest is not { } bytes || !DocumentJson.TryRead(bytes.Span, out ReleaseManifest? read, out _))
            throw new InvalidDataException($"{brought} is in the plan, but not in the repository.");
        release.AddRange(read.Blobs.Select(blob => "repository/" + RepositoryLayout.BlobFile(blob.Digest)));
        return new(refresh.ToImmutable(), plan, release.ToImmutable());

        async Task<ReadOnlyMemory<byte>> GetAsync(string path, ImmutableArray<string>.Builder into)
        {
            if (!refresh.Contains(path))
                into.Add(path);
            return await http.GetByteArrayAsync(path);
        }

        async Task<ReadOnlyMemory<byte>?> FindAsync(string path, ImmutableArray<string>.Builder into)
        {
            var search = new TargetSearch(path);
            while (search.Next(out var role, out var delegator))
            {
                var signed = trusted.UpdateTargets(await GetAsync($"repository/metadata/{trusted.NamedInSnapshot(role).Version}.{role}.json", into), role, delegator).Signed;
                search.Visit(signed);
            }

            return search.Found is { } found ? await GetAsync("repository/targets/" + found.StoredPath(consistentSnapshot: true), into) : null;
        }
    }
}
