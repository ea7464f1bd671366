using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>Devices by their marks: kept as devices change, and looked up.</summary>
static class MarkedDevices
{
    /// <summary>Most marks that one look asks for.</summary>
    const int MaxMarks = 32;

    /// <summary>What a device can be looked up by.</summary>
    public static IEnumerable<DeviceMarkRow> Of(string device, string facts, string labels) =>
        DeviceMark.Of(StoredText.Pairs(facts), StoredText.Pairs(labels)).Select(mark => new DeviceMarkRow { Name = mark.Name, Value = mark.Value, Device = device });

    /// <summary>Keeps the marks of the devices that are about to be saved, in their transaction.</summary>
    public static async Task FollowAsync(CoppiceDb db, CancellationToken cancel)
    {
        foreach (var entry in db.ChangeTracker.Entries<DeviceRow>().ToList())
        {
            var (facts, labels) = (entry.Property(row => row.Facts), entry.Property(row => row.Labels));
            if (entry.State == EntityState.Added)
                db.DeviceMarks.AddRange(Of(entry.Entity.Id, facts.CurrentValue, labels.CurrentValue));
            else if (entry.State == EntityState.Modified && (facts.CurrentValue != facts.OriginalValue || labels.CurrentValue != labels.OriginalValue))
            {
                var change = Change(entry.Entity.Id, (facts.OriginalValue, labels.OriginalValue), (facts.CurrentValue, labels.CurrentValue));
                foreach (var gone in change.Gone)
                {
                    if (await db.DeviceMarks.FindAsync([gone.Name, gone.Value, gone.Device], cancel) is { } row)
                        db.DeviceMarks.Remove(row);
                }

                db.DeviceMarks.AddRange(change.New);
            }
        }
    }

    /// <summary>What a device is no longer looked up by, and what it is from now on.</summary>
    public static (List<DeviceMarkRow> Gone, List<DeviceMarkRow> New) Change(string device, (string Facts, string Labels) before, (string Facts, string Labels) after)
    {
        var old = Of(device, before.Facts, before.Labels).ToDictionary(row => (row.Name, row.Value));
        var added = new List<DeviceMarkRow>();
        foreach (var row in Of(device, after.Facts, after.Labels))
        {
            if (!old.Remove((row.Name, row.Value)))
                added.Add(row);
        }

        return ([.. old.Values], added);
    }

    /// <summary>The marks by which the devices that a selector may hold for are looked up: those that fewest devices have. None when all devices must be looked at.</summary>
    /// <param name="db">The tables.</param>
    /// <param name="selector">The selector.</param>
    /// <param name="groups">The groups that a selector makes.</param>
    /// <param name="enough">Marks of this many devices and more are alike.</param>
    /// <param name="cancel">Ends the call.</param>
    public static async Task<ImmutableArray<DeviceMark>> OfAsync(CoppiceDb db, Selector selector, GroupSet groups, int enough, CancellationToken cancel)
    {
        var needs = selector.Needs(groups).Where(marks => marks.Length <= MaxMarks).Take(MaxMarks).ToList();
        if (needs.Count < 2)
            return needs.Count == 0 ? [] : needs[0];
        var (best, least) = (needs[0], int.MaxValue);
        foreach (var marks in needs)
        {
            var devices = 0;
            foreach (var (name, value) in marks)
            {
                if (devices < Math.Min(least, enough))
                    devices += await db.DeviceMarks.Where(row => row.Name == name && row.Value == value).Take(enough).CountAsync(cancel);
            }

            if (devices < least)
                (best, least) = (marks, devices);
        }

        return best;
    }

    /// <summary>The ids of the next devices that have one of the marks, in their order.</summary>
    public static async Task<string[]> NextAsync(CoppiceDb db, ImmutableArray<DeviceMark> marks, string after, int count, CancellationToken cancel)
    {
        var ids = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var (name, value) in marks)
            ids.UnionWith(await db.DeviceMarks.Where(row => row.Name == name && row.Value == value && string.Compare(row.Device, after) > 0).OrderBy(row => row.Device).Select(row => row.Device).Take(count).ToListAsync(cancel));
        return [.. ids.Take(count)];
    }

    /// <summary>Of devices, those that may fit a selector; each still has to be asked.</summary>
    public static async Task<IQueryable<DeviceRow>> NarrowedAsync(CoppiceDb db, IQueryable<DeviceRow> devices, Selector selector, GroupSet groups, CancellationToken cancel)
    {
        const int Many = 5_000; // no more are counted
        IQueryable<string>? having = null;
        foreach (var (name, value) in await OfAsync(db, selector, groups, Many, cancel))
        {
            var one = db.DeviceMarks.Where(row => row.Name == name && row.Value == value).Select(row => row.Device);
            having = having is null ? one : having.Concat(one);
        }

        return having is null ? devices : devices.Where(device => having.Contains(device.Id));
    }
}
