using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Events;

sealed class EventStore(Database database)
{
    public Task<ImmutableArray<ControlEvent>> AfterAsync(long after, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.Events.Where(row => row.Id > after).OrderBy(row => row.Id).Take(limit).ToListAsync(cancel);
        return rows.Select(row => row.View()).ToImmutableArray();
    }, cancel);
}
