using System.Collections.Immutable;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Events;

/// <summary>Some of the events.</summary>
/// <param name="Seen">Those that the caller may see and that fit.</param>
/// <param name="Last">The last that was looked at; the next page begins behind it.</param>
/// <param name="More">Whether there are others behind it.</param>
sealed record SomeEvents(ImmutableArray<ControlEvent> Seen, long Last, bool More);

sealed class EventStore(Database database)
{
    /// <summary>Events after an id, oldest first. A page may be short, even empty, while there is more.</summary>
    public Task<SomeEvents> AfterAsync(long after, int limit, Rights rights, EventKind? kind, ModelName? model, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.Events.Where(row => row.Id > after && (kind == null || row.Kind == kind) && (model == null || row.Model == model)).OrderBy(row => row.Id).Take(limit + 1).ToListAsync(cancel);
        var page = rows.Take(limit).ToList();
        var seen = await EventSight.SeenAsync(db, page, rights, cancel);
        return new SomeEvents([.. seen.Select(row => row.View())], page.Count == 0 ? after : page[^1].Id, rows.Count > limit);
    }, cancel);

    /// <summary>Id of the newest event; 0 for none.</summary>
    public Task<long> EndAsync(CancellationToken cancel) => database.ReadAsync(async db => await db.Events.MaxAsync(row => (long?)row.Id, cancel) ?? 0, cancel);
}
