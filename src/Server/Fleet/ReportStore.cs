using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Events;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>What came of a batch.</summary>
/// <param name="Through">Reports up to this number are kept; null when the device was retired or revoked meanwhile.</param>
/// <param name="Labels">What the operator calls the device.</param>
/// <param name="Decides">Whether a rollout may have to be judged anew.</param>
sealed record KeptBatch(long? Through, ImmutableDictionary<string, string> Labels, bool Decides);

sealed class ReportStore(Database database)
{
    /// <summary>Longest text of a report that is kept; the rest is cut off, for a refused report would come again for ever.</summary>
    const int MaxWhy = 1000;

    /// <summary>Keeps a batch: each report once, whatever was sent how often and in which order.</summary>
    /// <remarks>
    /// A device sends its reports oldest first and from the oldest that was not answered, so what it leaves out before
    /// a batch is gone and is not waited for. The answer goes through the last report kept without a gap from the
    /// batch's first on, and never back.
    /// </remarks>
    public Task<KeptBatch> KeepAsync(string id, ReportBatch batch, DateTimeOffset now, CancellationToken cancel) =>
        database.WriteAsync(async db => await KeepAsync(db, id, batch, now, await db.GroupsAsync(cancel), null, cancel), cancel);

    /// <summary>Keeps batches of different devices within a write, having read together what each of them needs.</summary>
    /// <exception cref="InvalidOperationException">One of them is an event for the audit log, which tells of one act: keep each by itself.</exception>
    public static async Task<KeptBatch[]> KeepAllAsync(CoppiceDb db, IReadOnlyList<(string Device, ReportBatch Batch, DateTimeOffset Now)> batches, CancellationToken cancel)
    {
        var ids = batches.Select(one => one.Device).ToArray();
        var numbers = batches.SelectMany(one => one.Batch.Reports).Select(report => RolloutRow.TryNumber(report.Rollout)).OfType<long>().Distinct().ToArray();
        await db.Devices.Where(row => ids.Contains(row.Id)).LoadAsync(cancel);
        await db.DeviceModels.Where(row => ids.Contains(row.Device)).LoadAsync(cancel);
        await db.Rollouts.Where(row => numbers.Contains(row.Number)).LoadAsync(cancel);
        await db.RolloutDevices.Where(row => numbers.Contains(row.Rollout) && ids.Contains(row.Device)).LoadAsync(cancel);
        // What is kept already: of a device whose reports come in their order, nothing.
        var beyond = (await db.Reports.Where(row => ids.Contains(row.Device) && row.Sequence > db.Devices.First(device => device.Id == row.Device).Through)
            .Select(row => new { row.Device, row.Sequence }).ToListAsync(cancel)).ToLookup(row => row.Device, row => row.Sequence, StringComparer.Ordinal);
        var groups = await db.GroupsAsync(cancel);
        var kept = new KeptBatch[batches.Count];
        for (var i = 0; i < kept.Length; i++)
            kept[i] = await KeepAsync(db, batches[i].Device, batches[i].Batch, batches[i].Now, groups, beyond, cancel);
        return db.ChangeTracker.Entries<EventRow>().Any() ? throw new InvalidOperationException("An event is told of by itself.") : kept;
    }

    static async Task<KeptBatch> KeepAsync(CoppiceDb db, string id, ReportBatch batch, DateTimeOffset now, GroupSet groups, ILookup<string, long>? beyond, CancellationToken cancel)
    {
        var device = await db.Devices.FindAsync([id], cancel) ?? throw new InvalidOperationException($"'{id}' has proved who it is and is not in the database.");
        if (device.RetiredAt is not null || device.RevokedAt is not null)
            return new KeptBatch(null, [], false);
        if (TakeSending(db, device, batch.Sending, now) is SendingVerdict.New or SendingVerdict.Forked) // what was repeated or overtaken says nothing of now
        {
            device.LastSeen = now;
            if (batch.Facts is { } facts)
                device.Facts = StoredText.Of(facts);
        }

        var decides = false;
        if (!batch.Reports.IsEmpty)
        {
            var first = batch.Reports[0].Sequence;
            var kept = beyond is not null && first > device.Through ? beyond[id] : await db.Reports.AsNoTracking().Where(row => row.Device == id && row.Sequence >= first).OrderBy(row => row.Sequence).Select(row => row.Sequence).Take(10_000).ToListAsync(cancel);
            var known = kept.ToHashSet();
            var fresh = batch.Reports.Where(report => known.Add(report.Sequence)).Select(report => report with { Why = Cut(report.Why) }).ToImmutableArray();
            db.Reports.AddRange(fresh.Select(report => ReportRow.Of(id, report, now)));
            await TakeAsync(db, id, fresh, cancel);
            decides = await RolloutStore.CountAsync(db, id, fresh, now, cancel);

            device.Through = Math.Max(device.Through, first - 1);
            while (known.Contains(device.Through + 1))
                device.Through++;
        }

        return new KeptBatch(device.Through, device.AllLabels(groups), decides);
    }

    /// <summary>Keeps, within a write, what the server itself learnt of a device that sends no reports; it gives the report the device's next number.</summary>
    /// <returns>Whether a rollout may have to be judged anew.</returns>
    public static async Task<bool> NoteAsync(CoppiceDb db, DeviceRow device, Report report, DateTimeOffset now, CancellationToken cancel)
    {
        report = report with { Sequence = ++device.Through, Why = Cut(report.Why) };
        db.Reports.Add(ReportRow.Of(device.Id, report, now));
        await TakeAsync(db, device.Id, [report], cancel);
        return await RolloutStore.CountAsync(db, device.Id, [report], now, cancel);
    }

    static SendingVerdict TakeSending(CoppiceDb db, DeviceRow device, Sending? sending, DateTimeOffset now)
    {
        if (sending is null)
            return SendingVerdict.New;
        var verdict = Sendings.Parse(device.Sendings).Take(sending.Number, sending.Nonce, sending.At, out var next);
        device.Sendings = next.ToString();
        if (verdict != SendingVerdict.Forked || device.Suspect is not null)
            return verdict;
        (device.Suspect, device.SuspectSince) = (DeviceRow.Cloned, now);
        db.Events.Add(new()
        {
            At = now,
            Kind = EventKind.DeviceSuspected,
            By = EventRow.Itself,
            Device = device.Id,
            Why = $"{DeviceRow.Cloned}: sending {sending.Number} came from another installation with the same key; a copy of the device runs, or its data folder was put back from a copy",
        });
        return verdict;
    }

    public Task<ReportPage> ListAsync(string device, long before, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.Reports.Where(row => row.Device == device && row.Sequence < before).OrderByDescending(row => row.Sequence).Take(limit).ToListAsync(cancel);
        return new ReportPage([.. rows.Select(row => row.View())], rows.Count == limit ? rows[^1].Sequence : null);
    }, cancel);

    static async Task TakeAsync(CoppiceDb db, string device, ImmutableArray<Report> reports, CancellationToken cancel)
    {
        foreach (var ofModel in reports.GroupBy(report => report.Model))
        {
            var row = await db.DeviceModels.FindAsync([device, ofModel.Key], cancel);
            if (row is null)
                db.DeviceModels.Add(row = new() { Device = device, Model = ofModel.Key, Release = ofModel.First().Release });
            foreach (var report in ofModel)
                row.Take(report);
        }
    }

    /// <summary>A device's words as they are kept: not longer than need be, and without NUL, which PostgreSQL keeps in no text.</summary>
    public static string? Cut(string? why) => (why?.Length > MaxWhy ? why[..(MaxWhy - 1)] + "…" : why)?.Replace('\0', '\uFFFD');
}
