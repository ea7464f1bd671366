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
/// <param name="Device">The device, as it was then.</param>
/// <param name="Groups">The groups of then.</param>
/// <param name="Decides">Whether a rollout may have to be judged anew.</param>
sealed record KeptBatch(long? Through, DeviceRow Device, GroupSet Groups, bool Decides)
{
    /// <summary>What the operator calls the device.</summary>
    public ImmutableDictionary<string, string> Labels => Device.AllLabels(Groups);
}

/// <summary>What was to be done together with other things is an event for the audit log, which tells of one act at a time.</summary>
sealed class LoneActException() : Exception("An event is told of by itself.");

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
        database.WriteAsync(async db => await KeepAsync(new TrackedBook(db), id, batch, now, await db.GroupsAsync(cancel), cancel), cancel);

    /// <summary>Keeps batches of different devices within one write: what each of them needs is read together and written together.</summary>
    /// <exception cref="LoneActException">One of them is an event for the audit log: keep each by itself. Nothing was kept.</exception>
    public Task<KeptBatch[]> KeepAllAsync(IReadOnlyList<(string Device, ReportBatch Batch, DateTimeOffset Now)> batches, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var numbers = batches.SelectMany(one => one.Batch.Reports).Select(report => RolloutRow.TryNumber(report.Rollout)).OfType<long>().Distinct().ToArray();
        var book = await BatchBook.ReadAsync(database.Engine, db, [.. batches.Select(one => one.Device)], numbers, cancel);
        var groups = await db.GroupsAsync(cancel);
        var kept = new KeptBatch[batches.Count];
        for (var i = 0; i < kept.Length; i++)
            kept[i] = await KeepAsync(book, batches[i].Device, batches[i].Batch, batches[i].Now, groups, cancel);
        if (db.ChangeTracker.Entries<EventRow>().Any())
            throw new LoneActException();
        await book.WriteAsync(database.Engine, cancel);
        return kept;
    }, cancel);

    static async Task<KeptBatch> KeepAsync(ReportBook book, string id, ReportBatch batch, DateTimeOffset now, GroupSet groups, CancellationToken cancel)
    {
        var device = await book.DeviceAsync(id, cancel) ?? throw new InvalidOperationException($"'{id}' has proved who it is and is not in the database.");
        if (device.RetiredAt is not null || device.RevokedAt is not null)
            return new KeptBatch(null, device, groups, false);
        if (TakeSending(book.Db, device, batch.Sending, now) is SendingVerdict.New or SendingVerdict.Forked) // what was repeated or overtaken says nothing of now
        {
            device.LastSeen = now;
            if (batch.Facts is { } facts)
                device.Facts = StoredText.Of(facts);
        }

        var decides = false;
        if (!batch.Reports.IsEmpty)
        {
            var first = batch.Reports[0].Sequence;
            var numbers = ReportNumbers.Parse(device.Kept);
            var fresh = batch.Reports.Where(report => numbers.Add(report.Sequence)).Select(report => report with { Why = Cut(report.Why) }).ToImmutableArray();
            foreach (var report in fresh)
                book.Add(ReportRow.Of(id, report, now));
            device.Kept = numbers.ToString();
            device.Through = numbers.Through(Math.Max(device.Through, first - 1));

            await TakeAsync(book, id, fresh, cancel);
            decides = fresh.Any(report => report.Rollout is not null) && await RolloutStore.CountAsync(book, id, fresh, now, cancel);
        }

        return new KeptBatch(device.Through, device, groups, decides);
    }

    /// <summary>Keeps, within a write, what the server itself learnt of a device that sends no reports; it gives the report the device's next number.</summary>
    /// <returns>Whether a rollout may have to be judged anew.</returns>
    public static async Task<bool> NoteAsync(CoppiceDb db, DeviceRow device, Report report, DateTimeOffset now, CancellationToken cancel)
    {
        report = report with { Sequence = ++device.Through, Why = Cut(report.Why) };
        var numbers = ReportNumbers.Parse(device.Kept);
        numbers.Add(report.Sequence);
        device.Kept = numbers.ToString();
        var book = new TrackedBook(db);
        book.Add(ReportRow.Of(device.Id, report, now));
        await TakeAsync(book, device.Id, [report], cancel);
        return await RolloutStore.CountAsync(book, device.Id, [report], now, cancel);
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

    /// <summary>A device's reports, which lie together in each of the weeks in which some came.</summary>
    public static async Task<IQueryable<ReportRow>> OfDeviceAsync(CoppiceDb db, string device, CancellationToken cancel)
    {
        var (first, last) = (await db.Reports.MinAsync(row => (long?)row.Week, cancel) ?? 0, await db.Reports.MaxAsync(row => (long?)row.Week, cancel) ?? 0);
        var weeks = Enumerable.Range(0, (int)(last - first) + 1).Select(i => first + i).ToArray();
        return db.Reports.Where(row => weeks.Contains(row.Week) && row.Device == device);
    }

    public Task<ReportPage> ListAsync(string device, long before, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await (await OfDeviceAsync(db, device, cancel)).Where(row => row.Sequence < before).OrderByDescending(row => row.Sequence).Take(limit).ToListAsync(cancel);
        return new ReportPage([.. rows.Select(row => row.View())], rows.Count == limit ? rows[^1].Sequence : null);
    }, cancel);

    static async Task TakeAsync(ReportBook book, string device, ImmutableArray<Report> reports, CancellationToken cancel)
    {
        DeviceModelRow? row = null;
        foreach (var report in reports)
        {
            if (row?.Model != report.Model && (row = await book.ModelAsync(device, report.Model, cancel)) is null)
                book.Add(row = new() { Device = device, Model = report.Model, Release = report.Release });
            row.Take(report);
        }
    }

    /// <summary>A device's words as they are kept: not longer than need be, and without NUL, which PostgreSQL keeps in no text.</summary>
    public static string? Cut(string? why) => (why?.Length > MaxWhy ? why[..(MaxWhy - 1)] + "…" : why)?.Replace('\0', '\uFFFD');
}
