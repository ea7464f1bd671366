using Coppice.Delivery;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Registry;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Patches;

/// <summary>What devices hold and will want, and the files it is about.</summary>
sealed record PatchDemands(IReadOnlyList<PatchDemand> All, IReadOnlyDictionary<Sha256Digest, ReleaseFile> Files);

/// <summary>What devices will want: what rollouts bring and the newest release, from what devices serve and rollouts brought before.</summary>
sealed class PatchNeeds(Database database)
{
    /// <summary>Releases that devices serve, those that most serve first.</summary>
    const int MostServed = 8;

    /// <summary>Where devices serve fewer releases, those that rollouts brought last.</summary>
    const int MostBefore = 3;

    public async Task<PatchDemands> FindAsync(CancellationToken cancel)
    {
        var demands = new List<PatchDemand>();
        var files = new Dictionary<Sha256Digest, ReleaseFile>();
        foreach (var model in await database.ReadAsync(db => db.Models.Select(row => row.Name).ToListAsync(cancel), cancel))
            demands.AddRange(await database.ReadAsync(db => OfModelAsync(db, model, files, cancel), cancel));
        return new(demands, files);
    }

    static async Task<List<PatchDemand>> OfModelAsync(CoppiceDb db, ModelName model, Dictionary<Sha256Digest, ReleaseFile> files, CancellationToken cancel)
    {
        var quoted = RolloutRow.Quoted(model);
        var rollouts = (await db.Rollouts.Where(row => row.Model == model || (row.Members != null && row.Members.Contains(quoted))).OrderByDescending(row => row.Number).Take(RolloutRules.MaxRollouts).ToListAsync(cancel))
            .Select(row => new { row.ToRollout(model).Release, row.State }).ToList();
        var served = await db.DeviceModels.Where(row => row.Model == model && row.Serving != null).GroupBy(row => row.Serving)
            .Select(group => new { Release = group.Key!, Devices = group.Count() }).OrderByDescending(row => row.Devices).ToListAsync(cancel);
        var newest = (await db.Releases.Where(row => row.Model == model && row.RevokedAt == null).Select(row => new { row.Version, row.PublishedAt }).ToListAsync(cancel))
            .OrderByDescending(row => row.PublishedAt).ThenByDescending(row => row.Version).FirstOrDefault()?.Version;

        var wanted = rollouts.Where(row => row.State == RolloutState.Running).Select(row => row.Release).Append(newest).OfType<SemanticVersion>().Distinct().ToList();
        var demands = new List<PatchDemand>();
        foreach (var version in wanted)
        {
            if (await ManifestAsync(db, model, version, files, cancel) is not { } release)
                continue;
            var before = served.Where(row => row.Release != version).Take(MostServed).Select(row => (row.Release, (long)row.Devices)).ToList();
            foreach (var rolled in rollouts.Select(row => row.Release).Distinct().Where(rolled => rolled != version && before.All(row => row.Release != rolled)).Take(Math.Max(0, MostBefore - before.Count)).ToList())
                before.Add((rolled, 1));
            foreach (var (old, devices) in before)
            {
                if (await ManifestAsync(db, model, old, files, cancel) is { } manifest)
                    demands.AddRange(PatchPairs.Demands(release, manifest, devices));
            }

            // Devices that join hold nothing; nobody knows how many will.
            demands.AddRange(PatchPairs.Demands(release, 1));
        }

        return demands;
    }

    static async Task<ReleaseManifest?> ManifestAsync(CoppiceDb db, ModelName model, SemanticVersion version, Dictionary<Sha256Digest, ReleaseFile> files, CancellationToken cancel)
    {
        if (await ReleaseStore.FindRowAsync(db, model, version, cancel) is not { } row || !DocumentJson.TryRead(row.Manifest, out ReleaseManifest? manifest, out _))
            return null;
        foreach (var file in manifest.Files)
            files[file.Digest] = file;
        return manifest;
    }
}
