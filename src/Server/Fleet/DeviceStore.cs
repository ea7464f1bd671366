using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>What came of an enrolment.</summary>
enum Enrolment
{
    Joined,
    UnknownToken,
    ExpiredToken,
    UsedUpToken,
    OtherKey,
    Retired,
}

sealed class DeviceStore(Database database)
{
    /// <summary>Devices that one page looks at: a selector that fits nobody must not hold a request for millions of rows.</summary>
    const int MaxScanned = 20_000;

    /// <summary>Makes the device known, or finds it known already by the same key.</summary>
    public Task<(Enrolment Outcome, EnrolAnswer? Answer)> EnrolAsync(EnrolRequest request, DateTimeOffset now, CancellationToken cancel) =>
        database.WriteAsync<(Enrolment, EnrolAnswer?)>(async db =>
        {
            var known = await db.Devices.FindAsync([request.Device], cancel);
            if (known is not null && Secret.Matches(request.Key, known.KeyHash))
            {
                // The first answer may have been lost, and the token used up by it: the key is proof enough.
                return known.RetiredAt is null ? (Enrolment.Joined, new(known.Id, StoredText.Texts(known.Labels))) : (Enrolment.Retired, null);
            }

            var hash = Secret.Hash(request.Token);
            var token = await db.JoinTokens.FirstOrDefaultAsync(row => row.Hash == hash, cancel);
            if (token is null || !Secret.Matches(request.Token, token.Hash))
                return (Enrolment.UnknownToken, null);
            if (token.ExpiresAt <= now)
                return (Enrolment.ExpiredToken, null);
            if (known is not null)
                return (Enrolment.OtherKey, null);
            if (token.Uses >= token.MaxUses)
                return (Enrolment.UsedUpToken, null);

            token.Uses++;
            db.Devices.Add(new()
            {
                Id = request.Device,
                KeyHash = Secret.Hash(request.Key),
                EnrolledAt = now,
                LastSeen = now,
                Facts = StoredText.Of(request.Facts),
                Labels = token.Labels,
            });
            return (Enrolment.Joined, new(request.Device, StoredText.Texts(token.Labels)));
        }, cancel);

    /// <summary>Whether the key is the device's; also of a retired one.</summary>
    public Task<bool> ProvesAsync(string device, string key, CancellationToken cancel) => database.ReadAsync(async db =>
        await db.Devices.Where(row => row.Id == device).Select(row => row.KeyHash).FirstOrDefaultAsync(cancel) is { } hash && Secret.Matches(key, hash), cancel);

    /// <summary>Devices that a selector holds for, in the order of their ids.</summary>
    public Task<DevicePage> ListAsync(Selector selector, string after, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var found = new List<DeviceRow>();
        var (scanned, last) = (0, after);
        var rows = db.Devices.Where(row => string.Compare(row.Id, after) > 0).OrderBy(row => row.Id).AsAsyncEnumerable();
        var more = false;
        await foreach (var row in rows.WithCancellation(cancel))
        {
            if (found.Count == limit || scanned == MaxScanned)
            {
                more = true;
                break;
            }

            scanned++;
            last = row.Id;
            if (selector.Matches(row.FactSet()))
                found.Add(row);
        }

        var ids = found.Select(row => row.Id).ToArray();
        var models = (await db.DeviceModels.Where(row => ids.Contains(row.Device)).ToListAsync(cancel)).ToLookup(row => row.Device, StringComparer.Ordinal);
        return new DevicePage([.. found.Select(row => row.View(models[row.Id]))], more ? last : null);
    }, cancel);

    public Task<KnownDevice?> FindAsync(string id, CancellationToken cancel) => database.ReadAsync(db => FindAsync(db, id, cancel), cancel);

    /// <returns>Null when there is no such device.</returns>
    public Task<KnownDevice?> LabelAsync(string id, ImmutableDictionary<string, string> labels, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.Devices.FindAsync([id], cancel) is not { } row)
            return null;
        var text = StoredText.Of(labels);
        if (!Same(StoredText.Texts(row.Labels), labels))
        {
            row.Labels = text;
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
        await db.RolloutDevices.Where(device => device.Device == id && (device.Kind == ReportKind.Started || device.Kind == ReportKind.Switched)).ExecuteDeleteAsync(cancel);
        await db.DeviceModels.Where(model => model.Device == id).ExecuteDeleteAsync(cancel);
        db.Events.Add(new() { At = now, Kind = EventKind.DeviceRetired, By = by, Device = id, Why = "" });
        return true;
    }, cancel);

    static async Task<KnownDevice?> FindAsync(CoppiceDb db, string id, CancellationToken cancel)
    {
        if (await db.Devices.FirstOrDefaultAsync(row => row.Id == id, cancel) is not { } device)
            return null;
        return device.View(await db.DeviceModels.Where(row => row.Device == id).ToListAsync(cancel));
    }

    static bool Same(ImmutableDictionary<string, string> a, ImmutableDictionary<string, string> b) =>
        a.Count == b.Count && a.All(pair => b.TryGetValue(pair.Key, out var value) && value == pair.Value);
}
