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
    public Task<KeptBatch> KeepAsync(string id, ReportBatch batch, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var device = await db.Devices.SingleAsync(row => row.Id == id, cancel);
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
            var kept = await db.Reports.AsNoTracking().Where(row => row.Device == id && row.Sequence >= first).OrderBy(row => row.Sequence).Select(row => row.Sequence).Take(10_000).ToListAsync(cancel);
            var known = kept.ToHashSet();
            var fresh = batch.Reports.Where(report => known.Add(report.Sequence)).Select(report => report with { Why = Cut(report.Why) }).ToImmutableArray();
            db.Reports.AddRange(fresh.Select(report => ReportRow.Of(id, report, now)));
            await TakeAsync(db, id, fresh, cancel);
            decides = await RolloutStore.CountAsync(db, id, fresh, now, cancel);

            device.Through = Math.Max(device.Through, first - 1);
            while (known.Contains(device.Through + 1))
                device.Through++;
        }

        return new KeptBatch(device.Through, device.AllLabels(await db.GroupsAsync(cancel)), decides);
    }, cancel);

    /// <summary>Keeps, within a write, what the server itself learnt of a device that sends no reports; it gives the report the device's next number.</summary>
    /// <returns>Whether a rollout may have to be judged anew.</returns>
    public static async Task<bool> NoteAsync(CoppiceDb db, DeviceRow device, Report report, DateTimeOffset now, CancellationToken cancel)
    {
        report = report with { Sequence = ++device.Through };
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

    static string? Cut(string? why) => why?.Length > MaxWhy ? why[..(MaxWhy - 1)] + "…" : why;
}
