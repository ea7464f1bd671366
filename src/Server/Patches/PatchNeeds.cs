using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Patches;

/// <summary>Which patches devices will want: to what rollouts bring and to the newest release, from what devices serve and rollouts brought before.</summary>
sealed class PatchNeeds(Database database)
{
    /// <summary>Releases from which there are patches to one release: those that most devices serve, then those that rollouts brought last.</summary>
    const int MostBefore = 3;

    /// <summary>Pairs of files, the most wanted first.</summary>
    public async Task<IReadOnlyList<PatchPair>> FindAsync(CancellationToken cancel)
    {
        var pairs = new List<PatchPair>();
        foreach (var model in await database.ReadAsync(db => db.Models.Select(row => row.Name).ToListAsync(cancel), cancel))
            pairs.AddRange(await database.ReadAsync(db => OfModelAsync(db, model, cancel), cancel));
        return [.. pairs.DistinctBy(pair => (pair.From.Digest, pair.To.Digest))];
    }

    static async Task<List<PatchPair>> OfModelAsync(CoppiceDb db, ModelName model, CancellationToken cancel)
    {
        var rollouts = await db.Rollouts.Where(row => row.Model == model).OrderByDescending(row => row.Number).Take(RolloutRules.MaxRollouts)
            .Select(row => new { row.Release, row.State }).ToListAsync(cancel);
        var served = await db.DeviceModels.Where(row => row.Model == model && row.Serving != null).GroupBy(row => row.Serving)
            .Select(group => new { Release = group.Key!, Devices = group.Count() }).OrderByDescending(row => row.Devices).ToListAsync(cancel);
        var newest = (await db.Releases.Where(row => row.Model == model && row.RevokedAt == null).Select(row => new { row.Version, row.PublishedAt }).ToListAsync(cancel))
            .OrderByDescending(row => row.PublishedAt).ThenByDescending(row => row.Version).FirstOrDefault()?.Version;

        var before = served.Select(row => row.Release).Concat(rollouts.Select(row => row.Release)).Distinct().ToList();
        var wanted = rollouts.Where(row => row.State == RolloutState.Running).Select(row => row.Release).Append(newest).OfType<SemanticVersion>().Distinct();
        var pairs = new List<PatchPair>();
        foreach (var version in wanted)
        {
            var from = before.Where(old => old != version).Take(MostBefore).ToList();
            if (from.Count == 0 || await ManifestAsync(db, model, version, cancel) is not { } release)
                continue;
            foreach (var old in from)
            {
                if (await ManifestAsync(db, model, old, cancel) is { } manifest)
                    pairs.AddRange(PatchPairs.Of(release, manifest));
            }
        }

        return pairs;
    }

    static async Task<ReleaseManifest?> ManifestAsync(CoppiceDb db, ModelName model, SemanticVersion version, CancellationToken cancel) =>
        await ReleaseStore.FindRowAsync(db, model, version, cancel) is { } row && DocumentJson.TryRead(row.Manifest, out ReleaseManifest? manifest, out _) ? manifest : null;
}
