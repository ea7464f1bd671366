using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Identity;
using Coppice.Server.Preconditions;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

sealed class DeviceStore(Database database, ControlPlaneOptions options)
{
    /// <summary>Devices that one page looks at: a selector that fits nobody must not hold a request for millions of rows.</summary>
    const int MaxScanned = 5_000;

    DateTimeOffset SilentBefore => options.Time.GetUtcNow() - options.SilentAfter;

    /// <summary>What a call in the name of a device is judged by; null for a device that is not known.</summary>
    public Task<DeviceStanding?> StandingAsync(string device, CancellationToken cancel) => database.ReadAsync(db => standing(db, device, cancel), cancel);

    // Compiled, for every call of a device asks it; by each store for itself, for the databases of one process may be of two kinds.
    readonly Func<CoppiceDb, string, CancellationToken, Task<DeviceStanding?>> standing = EF.CompileAsyncQuery((CoppiceDb db, string device, CancellationToken cancel) =>
        db.Devices.Where(row => row.Id == device).Select(row => new DeviceStanding(row.SigningKey, row.RetiredAt, row.RevokedAt, row.Suspect != null)).FirstOrDefault());

    /// <summary>Devices that a selector holds for, in the order of their ids.</summary>
    public Task<DevicePage> ListAsync(Selector selector, DeviceState? state, string after, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var found = new List<string>();
        var (scanned, last, more, silent) = (0, after, true, SilentBefore);
        var groups = await db.GroupsAsync(cancel);
        var marks = await MarkedDevices.OfAsync(db, selector, groups, MaxScanned, cancel);
        // In pieces: a database goes on sending what a query asked for, also when nobody reads it any more.
        while (more && found.Count < limit && scanned < MaxScanned)
        {
            var wanted = scanned == 0 ? limit + 1 : Math.Min(1_000, MaxScanned - scanned + 1);
            IQueryable<DeviceRow> next;
            if (marks.IsEmpty)
                next = db.Devices.Where(row => string.Compare(row.Id, last) > 0).OrderBy(row => row.Id).Take(wanted);
            else
            {
                var marked = await MarkedDevices.NextAsync(db, marks, last, wanted, cancel);
                next = db.Devices.Where(row => marked.Contains(row.Id)).OrderBy(row => row.Id);
            }

            var rows = await next.Select(row => new DeviceRow // no more of each than is looked at
            {
                Id = row.Id,
                Facts = row.Facts,
                Labels = row.Labels,
                EnrolledAt = row.EnrolledAt,
                LastSeen = row.LastSeen,
                RetiredAt = row.RetiredAt,
                RevokedAt = row.RevokedAt,
                SigningKey = "",
            }).ToListAsync(cancel);
            more = rows.Count == wanted;
            foreach (var row in rows)
            {
                if (found.Count == limit || scanned == MaxScanned)
                {
                    more = true;
                    break;
                }

                scanned++;
                last = row.Id;
                if ((state is null || row.State(silent) == state) && selector.Matches(row.FactSet(groups)))
                    found.Add(row.Id);
            }
        }

        var ids = found.ToArray();
        var devices = await db.Devices.Where(row => ids.Contains(row.Id)).OrderBy(row => row.Id).ToListAsync(cancel);
        var models = (await db.DeviceModels.Where(row => ids.Contains(row.Device)).ToListAsync(cancel)).ToLookup(row => row.Device, StringComparer.Ordinal);
        return new DevicePage([.. devices.Select(row => row.View(models[row.Id], silent, groups))], more ? last : null);
    }, cancel);

    public Task<KnownDevice?> FindAsync(string id, CancellationToken cancel) => database.ReadAsync(db => FindAsync(db, id, cancel), cancel);

    /// <returns>Null when there is no such device.</returns>
    public Task<KnownDevice?> LabelAsync(string id, ImmutableDictionary<string, string> labels, string by, DateTimeOffset now, CancellationToken cancel, IfMatch? match = null) => database.WriteAsync(async db =>
    {
        if (await db.Devices.FindAsync([id], cancel) is not { } row)
            return null;
        match?.Require($"the labels of {id}", row.Revision());
        var before = StoredText.Texts(row.Labels);
        var kept = before.Where(label => DeviceGroup.IsLabel(label.Key)).ToImmutableDictionary(StringComparer.Ordinal); // these are the groups'
        if (!Same(before.RemoveRange(kept.Keys), labels))
        {
            row.Labels = StoredText.Of(labels.SetItems(kept));
            db.Events.Add(new() { At = now, Kind = EventKind.DeviceLabelled, By = by, Device = id, Why = string.Join(", ", labels.OrderBy(label => label.Key, StringComparer.Ordinal).Select(label => $"{label.Key}={label.Value}")) });
        }

        return await FindAsync(db, id, cancel);
    }, cancel);

    /// <summary>Takes a device out: its reports are refused from now on, and no rollout waits for it.</summary>
    /// <returns>False when there is no such device.</returns>
    public Task<bool> RetireAsync(string id, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.Devices.FindAsync([id], cancel) is not { } row)
            return false;
        if (row.RetiredAt is not null)
            return true;
        row.RetiredAt = now;
        await CertificateStore.RevokeAllAsync(db, id, now, cancel);
        await ForgetStateAsync(db, id, cancel);
        db.Events.Add(new() { At = now, Kind = EventKind.DeviceRetired, By = by, Device = id, Why = "" });
        return true;
    }, cancel);

    /// <summary>Takes a device's keys as stolen: its next call is refused, and no rollout waits for it. Its place can be taken by new keys.</summary>
    /// <returns>Null when there is no such device.</returns>
    public Task<KnownDevice?> RevokeAsync(string id, string why, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.Devices.FindAsync([id], cancel) is not { } row)
            return null;
        if (row.RevokedAt is null && row.RetiredAt is null)
        {
            (row.RevokedAt, row.RevokedWhy) = (now, why);
            await CertificateStore.RevokeAllAsync(db, id, now, cancel);
            await ForgetStateAsync(db, id, cancel);
            db.Events.Add(new() { At = now, Kind = EventKind.DeviceRevoked, By = by, Device = id, Why = why });
        }

        return row.View([], SilentBefore, await db.GroupsAsync(cancel));
    }, cancel);

    /// <summary>Takes suspicion from a device: each installation has its own identity now.</summary>
    /// <returns>Null when there is no such device; false when nothing was suspected.</returns>
    public Task<bool?> ClearAsync(string id, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync<bool?>(async db =>
    {
        if (await db.Devices.FindAsync([id], cancel) is not { } row)
            return null;
        if (row.Suspect is null)
            return false;
        db.Events.Add(new() { At = now, Kind = EventKind.DeviceCleared, By = by, Device = id, Why = $"was suspected: {row.Suspect}" });
        (row.Suspect, row.SuspectSince) = (null, null);
        return true;
    }, cancel);

    /// <summary>Forgets what runs on a device and that rollouts wait for it, within a write. Its reports stay.</summary>
    public static async Task ForgetStateAsync(CoppiceDb db, string id, CancellationToken cancel)
    {
        await db.RolloutDevices.Where(device => device.Device == id && (device.Kind == ReportKind.Started || device.Kind == ReportKind.Switched)).ExecuteDeleteAsync(cancel);
        await db.DeviceModels.Where(model => model.Device == id).ExecuteDeleteAsync(cancel);
    }

    async Task<KnownDevice?> FindAsync(CoppiceDb db, string id, CancellationToken cancel)
    {
        if (await db.Devices.FirstOrDefaultAsync(row => row.Id == id, cancel) is not { } device)
            return null;
        return device.View(await db.DeviceModels.Where(row => row.Device == id).ToListAsync(cancel), SilentBefore, await db.GroupsAsync(cancel));
    }

    static bool Same(ImmutableDictionary<string, string> a, ImmutableDictionary<string, string> b) =>
        a.Count == b.Count && a.All(pair => b.TryGetValue(pair.Key, out var value) && value == pair.Value);
}
