using Coppice.Access;
using Coppice.Server.Fleet;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Events;

/// <summary>Which events somebody may see: those about models and devices that they may see; those about neither, as an operator's, who may read the audit log.</summary>
static class EventSight
{
    public static async Task<List<EventRow>> SeenAsync(CoppiceDb db, IReadOnlyCollection<EventRow> events, Rights rights, CancellationToken cancel)
    {
        var devices = rights.Confinement(Permission.DeviceRead, null);
        HashSet<string> seen = [];
        if (devices is { IsAll: false })
        {
            var ids = events.Where(row => row is { Model: null, Device: not null }).Select(row => row.Device!).Distinct().ToArray();
            var groups = await db.GroupsAsync(cancel);
            seen = [.. (await db.Devices.AsNoTracking().Where(row => ids.Contains(row.Id)).ToListAsync(cancel)).Where(row => devices.Matches(row.FactSet(groups))).Select(row => row.Id)];
        }

        var all = rights.MaySomewhere(Permission.AuditRead);
        return [.. events.Where(row =>
            row.Model is { } model ? rights.May(Permission.EventRead, model)
            : row.Device is { } device ? devices is not null && (devices.IsAll || seen.Contains(device))
            : all)];
    }
}
