using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Events;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Registry;

sealed class ReleaseStore(Database database, Repository repository, PlanPublisher plans)
{
    const int MaxDevices = 100;
    const int MaxRollouts = 100;

    /// <summary>The release of that version, whatever its build metadata; null when there is none.</summary>
    public Task<ReleaseView?> FindAsync(ModelName model, SemanticVersion version, CancellationToken cancel) =>
        database.ReadAsync(async db => await FindRowAsync(db, model, version, cancel) is { } row ? row.View(await ServingAsync(db, row, cancel)) : null, cancel);

    public Task<ReleaseDetail?> DetailAsync(ModelName model, SemanticVersion version, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        if (await FindRowAsync(db, model, version, cancel) is not { } row)
            return null;
        var devices = await db.DeviceModels.Where(device => device.Model == row.Model && device.Serving == row.Version).OrderBy(device => device.Device)
            .Select(device => device.Device).Take(MaxDevices).ToListAsync(cancel);
        var manifest = Read(row.Manifest);
        return new ReleaseDetail(row.View(await ServingAsync(db, row, cancel)), manifest, [.. devices])
        {
            Patches = [.. manifest.Files.SelectMany(file => repository.Tree.PatchesTo(file.Digest)?.Patches.Select(patch => new PatchView(file.Name, [.. patch.From.Select(from => from.Digest)], patch.Length)) ?? [])],
            BytesByWay = await RolloutBytesRow.OfReleaseAsync(db, row.Model, row.Version, cancel),
        };
    }, cancel);

    public Task<ImmutableArray<ModelView>> ModelsAsync(CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var models = await db.Models.OrderBy(model => model.Name).ToListAsync(cancel);
        var releases = (await db.Releases.Select(row => new { row.Model, row.Version, Revoked = row.RevokedAt != null }).ToListAsync(cancel)).ToLookup(row => row.Model);
        var serving = await db.DeviceModels.Where(row => row.Serving != null).GroupBy(row => row.Model).Select(group => new { group.Key, Count = group.Count() }).ToDictionaryAsync(row => row.Key, row => row.Count, cancel);
        var running = (await db.Rollouts.Where(row => row.State == RolloutState.Running).ToListAsync(cancel)).SelectMany(row => row.Models().Select(model => (Model: model, row.Id))).ToDictionary(row => row.Model, row => row.Id);
        return models.Select(model => new ModelView(
            model.Name, releases[model.Name].Count(), serving.GetValueOrDefault(model.Name),
            releases[model.Name].Where(release => !release.Revoked).Max(release => release.Version), running.GetValueOrDefault(model.Name))).ToImmutableArray();
    }, cancel);

    public Task<ModelDetail?> ModelAsync(ModelName name, DateTimeOffset now, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        if (await db.Models.FirstOrDefaultAsync(model => model.Name == name, cancel) is not { } model)
            return null;
        var serving = (await db.DeviceModels.Where(row => row.Model == name && row.Serving != null).GroupBy(row => row.Serving).Select(group => new { group.Key, Count = group.Count() }).ToListAsync(cancel))
            .ToDictionary(row => row.Key!, row => row.Count);
        var releases = (await db.Releases.Where(row => row.Model == name).ToListAsync(cancel)).OrderByDescending(row => row.Version).Select(row => row.View(serving.GetValueOrDefault(row.Version))).ToImmutableArray();
        var quoted = RolloutRow.Quoted(name);
        var rollouts = await db.Rollouts.Where(row => row.Model == name || (row.Members != null && row.Members.Contains(quoted))).OrderByDescending(row => row.Number).Take(MaxRollouts).ToListAsync(cancel);
        var views = ImmutableArray.CreateBuilder<RolloutView>();
        foreach (var rollout in rollouts)
            views.Add(rollout.View(await RolloutStanding.ReadAsync(db, rollout, now, cancel), now));
        return new ModelDetail(
            new(name, releases.Length, serving.Values.Sum(), releases.FirstOrDefault(release => release.Revoked is null)?.Version, rollouts.FirstOrDefault(row => row.State == RolloutState.Running)?.Id),
            model.Serial, releases, views.ToImmutable());
    }, cancel);

    /// <summary>Puts a release into the tree, then into the tables. Repeated, it does what is left to do.</summary>
    /// <exception cref="RepositoryConflictException">The metadata does not follow the present one.</exception>
    /// <exception cref="UntrustedMetadataException">The metadata is not signed by a release key, malformed or expired.</exception>
    public async Task<ReleaseView> PublishAsync(ReleaseManifest manifest, byte[] bytes, byte[] metadata, string by, DateTimeOffset now, CancellationToken cancel)
    {
        var path = RepositoryLayout.ReleaseTarget(manifest.Model.ToString(), manifest.Version.ToString());
        repository.Tree.AddRelease(bytes, metadata, now, repository.Tree.RoleFor(path) ?? RepositoryLayout.ReleasesRole);
        return await IndexAsync(manifest, bytes, by, now, cancel);
    }

    /// <summary>Enters releases that the tree has and the tables have not: a publish was cut short between the two.</summary>
    public async Task ReconcileAsync(DateTimeOffset now, CancellationToken cancel)
    {
        var published = repository.Tree.PublishedReleases();
        var known = await database.ReadAsync(db => db.Releases.Select(row => new { row.Model, row.Version }).ToListAsync(cancel), cancel);
        var paths = known.Select(row => RepositoryLayout.ReleaseTarget(row.Model.ToString(), row.Version.ToString())).ToHashSet(StringComparer.Ordinal);
        foreach (var path in published.Keys.Where(path => !paths.Contains(path)).Order(StringComparer.Ordinal))
        {
            var bytes = repository.Tree.ReadTarget(path)?.ToArray() ?? throw new InvalidDataException($"The repository names '{path}' but has no such file; restore it from the backup.");
            await IndexAsync(Read(bytes), bytes, EventRow.Itself, now, cancel);
        }
    }

    /// <summary>Bars a release from serving anywhere, for ever, and takes back a rollout that brings it, alone or with others.</summary>
    /// <returns>Null when there is no such release.</returns>
    public Task<ReleaseView?> RevokeAsync(ModelName model, SemanticVersion version, string why, string by, DateTimeOffset now, CancellationToken cancel) =>
        plans.ChangeAsync<ReleaseView?>(model, async db =>
        {
            if (await FindRowAsync(db, model, version, cancel) is not { } row)
                return (null, []);
            var serving = await ServingAsync(db, row, cancel);
            if (row.RevokedAt is not null)
                return (row.View(serving), []);
            var changed = new HashSet<ModelName> { model };
            var quoted = RolloutRow.Quoted(model);
            (row.RevokedAt, row.RevokedBy, row.RevokedWhy) = (now, by, why);
            db.Events.Add(new() { At = now, Kind = EventKind.ReleaseRevoked, By = by, Why = why, Model = model, Release = row.Version });
            foreach (var rollout in await db.Rollouts.Where(rollout => rollout.State == RolloutState.Running && (rollout.Model == model || (rollout.Members != null && rollout.Members.Contains(quoted)))).ToListAsync(cancel))
            {
                if ((rollout.Model == model ? rollout.Release : rollout.MemberList()!.Value.First(member => member.Model == model).Release) != row.Version)
                    continue;
                rollout.Become(RolloutState.Reverted, $"{(rollout.Model == model ? "" : $"{model} ")}{row.Version} was revoked: {why}");
                changed.Add(rollout.Model);
                db.Events.Add(rollout.Event(EventKind.RolloutReverted, by, now));
            }

            return (row.View(serving), changed);
        }, cancel);

    internal static async Task<ReleaseRow?> FindRowAsync(CoppiceDb db, ModelName model, SemanticVersion version, CancellationToken cancel)
    {
        // 1.0.0+a and 1.0.0+b are one version, though not one text.
        var versions = await db.Releases.Where(row => row.Model == model).Select(row => row.Version).ToListAsync(cancel);
        return versions.Find(found => found == version) is { } exact ? await db.Releases.FirstAsync(row => row.Model == model && row.Version == exact, cancel) : null;
    }

    Task<ReleaseView> IndexAsync(ReleaseManifest manifest, byte[] bytes, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var row = await FindRowAsync(db, manifest.Model, manifest.Version, cancel);
        if (row is null)
        {
            if (await db.Models.FindAsync([manifest.Model], cancel) is null)
                db.Models.Add(new() { Name = manifest.Model });
            db.Releases.Add(row = ReleaseRow.Of(manifest, bytes, by, now));
            db.Events.Add(new() { At = now, Kind = EventKind.ReleasePublished, By = by, Why = manifest.Notes ?? "", Model = manifest.Model, Release = manifest.Version });
        }

        return row.View(await ServingAsync(db, row, cancel));
    }, cancel);

    static Task<int> ServingAsync(CoppiceDb db, ReleaseRow row, CancellationToken cancel) =>
        db.DeviceModels.CountAsync(device => device.Model == row.Model && device.Serving == row.Version, cancel);

    static ReleaseManifest Read(ReadOnlySpan<byte> bytes) => DocumentJson.TryRead(bytes, out ReleaseManifest? manifest, out var problems)
        ? manifest
        : throw new InvalidDataException($"A manifest that was published cannot be read: {string.Join(" ", problems)}");
}
