using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>A group of devices.</summary>
sealed class GroupRow
{
    public required string Name { get; set; }

    /// <summary>Null for a group that devices are put into.</summary>
    public string? Selector { get; set; }
    public required string Description { get; set; }
    public required DateTimeOffset ChangedAt { get; set; }
    public required string ChangedBy { get; set; }

    public GroupView View() => new(Name, Description, ChangedAt, ChangedBy, Selector) { Revision = Preconditions.Revision.Of(Selector, Description, Preconditions.Revision.At(ChangedAt)) };
}

static class GroupRows
{
    /// <summary>The groups that a selector makes, as they are now.</summary>
    public static async Task<GroupSet> GroupsAsync(this CoppiceDb db, CancellationToken cancel)
    {
        var rows = await db.Groups.AsNoTracking().Where(row => row.Selector != null).OrderBy(row => row.Name).ToListAsync(cancel);
        var groups = ImmutableArray.CreateBuilder<KeyValuePair<string, Selector>>(rows.Count);
        foreach (var row in rows)
        {
            if (Selector.TryParse(row.Selector, out var selector, out _)) // it was checked when it was set; an older server may not read a newer one's
                groups.Add(new(row.Name, selector));
        }

        return groups.Count == 0 ? GroupSet.None : new(groups.ToImmutable());
    }
}
