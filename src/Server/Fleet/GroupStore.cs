using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Preconditions;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>What came of setting a group.</summary>
enum GroupOutcome
{
    Done,
    Unknown,
    TooMany,
    OtherKind,
}

sealed class GroupStore(Database database)
{
    public Task<ImmutableArray<GroupView>> ListAsync(CancellationToken cancel) => database.ReadAsync(async db =>
        (await db.Groups.AsNoTracking().OrderBy(row => row.Name).ToListAsync(cancel)).Select(row => row.View()).ToImmutableArray(), cancel);

    public Task<GroupView?> FindAsync(string name, CancellationToken cancel) => database.ReadAsync(async db =>
        (await db.Groups.AsNoTracking().FirstOrDefaultAsync(row => row.Name == name, cancel))?.View(), cancel);

    /// <summary>Makes a group or changes it. One that devices are put into stays so, and the other way round: else its members would be others all at once.</summary>
    public Task<(GroupOutcome Outcome, GroupView? Group)> PutAsync(string name, PutGroup wanted, string by, DateTimeOffset now, CancellationToken cancel, IfMatch? match = null) =>
        database.WriteAsync<(GroupOutcome, GroupView?)>(async db =>
        {
            var row = await db.Groups.FindAsync([name], cancel);
            match?.Require($"the group {name}", row?.View().Revision);
            if (row is not null && row.Selector is null != wanted.Selector is null)
                return (GroupOutcome.OtherKind, row.View());
            if (row is not null && row.Selector == wanted.Selector && row.Description == wanted.Description)
                return (GroupOutcome.Done, row.View());
            if (row is null)
            {
                if (await db.Groups.CountAsync(cancel) >= DeviceGroup.MaxCount)
                    return (GroupOutcome.TooMany, null);
                db.Groups.Add(row = new() { Name = name, Description = "", ChangedAt = now, ChangedBy = by });
            }

            (row.Selector, row.Description, row.ChangedAt, row.ChangedBy) = (wanted.Selector, wanted.Description, now, by);
            db.Events.Add(new() { At = now, Kind = EventKind.GroupChanged, By = by, Why = $"{name}: {wanted.Selector ?? "those that are put in"}" });
            return (GroupOutcome.Done, row.View());
        }, cancel);

    /// <returns>False when there is no such group.</returns>
    public Task<bool> DeleteAsync(string name, string by, DateTimeOffset now, CancellationToken cancel, IfMatch? match = null) => database.WriteAsync(async db =>
    {
        if (await db.Groups.FindAsync([name], cancel) is not { } row)
            return false;
        match?.Require($"the group {name}", row.View().Revision);
        db.Groups.Remove(row);
        var members = 0;
        foreach (var device in await MembersAsync(db, name, cancel))
        {
            device.Labels = StoredText.Of(StoredText.Texts(device.Labels).Remove(DeviceGroup.Label(name)));
            members++;
        }

        db.Events.Add(new() { At = now, Kind = EventKind.GroupDeleted, By = by, Why = row.Selector is { } selector ? $"{name}: {selector}" : $"{name}, which had {members} devices" });
        return true;
    }, cancel);

    /// <summary>Puts devices in and takes others out; each learns of it with its next report.</summary>
    public Task<(GroupOutcome Outcome, GroupChange? Change)> ChangeAsync(string name, GroupMembers wanted, string by, DateTimeOffset now, CancellationToken cancel) =>
        database.WriteAsync<(GroupOutcome, GroupChange?)>(async db =>
        {
            if (await db.Groups.FindAsync([name], cancel) is not { } group)
                return (GroupOutcome.Unknown, null);
            if (group.Selector is not null)
                return (GroupOutcome.OtherKind, null);
            var unknown = ImmutableArray.CreateBuilder<string>();
            var added = await LabelAsync(db, name, wanted.Add, isIn: true, unknown, cancel);
            var removed = await LabelAsync(db, name, wanted.Remove, isIn: false, unknown, cancel);
            if (added + removed > 0)
                db.Events.Add(new() { At = now, Kind = EventKind.GroupMembersChanged, By = by, Why = $"{name}: {added} in, {removed} out{Named(wanted)}" });
            return (GroupOutcome.Done, new(added, removed, unknown.ToImmutable()));
        }, cancel);

    static async Task<int> LabelAsync(CoppiceDb db, string name, ImmutableArray<string> ids, bool isIn, ImmutableArray<string>.Builder unknown, CancellationToken cancel)
    {
        const int AtOnce = 500; // parameters of one query
        var (label, changed) = (DeviceGroup.Label(name), 0);
        foreach (var some in ids.Distinct(StringComparer.Ordinal).Chunk(AtOnce))
        {
            var rows = await db.Devices.Where(row => some.Contains(row.Id)).ToDictionaryAsync(row => row.Id, StringComparer.Ordinal, cancel);
            foreach (var id in some)
            {
                if (!rows.TryGetValue(id, out var row))
                {
                    unknown.Add(id);
                    continue;
                }

                var labels = StoredText.Texts(row.Labels);
                if (labels.ContainsKey(label) == isIn)
                    continue;
                row.Labels = StoredText.Of(isIn ? labels.SetItem(label, "true") : labels.Remove(label));
                changed++;
            }
        }

        return changed;
    }

    static Task<List<DeviceRow>> MembersAsync(CoppiceDb db, string name, CancellationToken cancel)
    {
        var label = FactSet.LabelPrefix + DeviceGroup.Label(name);
        return db.Devices.Where(row => db.DeviceMarks.Where(mark => mark.Name == label).Select(mark => mark.Device).Contains(row.Id)).ToListAsync(cancel);
    }

    static string Named(GroupMembers wanted)
    {
        const int Most = 20;
        var names = wanted.Add.Select(id => "+" + id).Concat(wanted.Remove.Select(id => "-" + id)).ToList();
        return $" ({string.Join(" ", names.Take(Most))}{(names.Count > Most ? " …" : "")})";
    }
}
