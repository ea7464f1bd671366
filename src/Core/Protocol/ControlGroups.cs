using System.Collections.Immutable;

namespace Coppice.Protocol;

/// <summary>A group of devices.</summary>
/// <param name="Name">Selectors know it as <c>group.NAME</c>.</param>
/// <param name="Description">What it is for; may be empty.</param>
/// <param name="ChangedAt">When it was last set.</param>
/// <param name="ChangedBy">By whom.</param>
/// <param name="Selector">Which devices are in it; null for those that somebody put in.</param>
public sealed record GroupView(string Name, string Description, DateTimeOffset ChangedAt, string ChangedBy, string? Selector = null)
{
    /// <summary>Names selector and description as they are now: give it as <c>If-Match</c> to change them only while they are so.</summary>
    public string? Revision { get; init; }
}

/// <summary>What a group is to be: <c>PUT /v1/groups/{name}</c>.</summary>
public sealed record PutGroup
{
    /// <summary>Which devices are in it; null for those that somebody puts in.</summary>
    public string? Selector { get; init; }

    /// <summary>What it is for.</summary>
    public string Description { get; init => field = value ?? ""; } = "";
}

/// <summary>Devices to put into a group and to take out: <c>POST /v1/groups/{name}/devices</c>.</summary>
public sealed record GroupMembers
{
    /// <summary>Most devices of one request, both ways together.</summary>
    public const int MaxDevices = 10_000;

    /// <summary>Ids of devices to put in.</summary>
    public ImmutableArray<string> Add { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Ids of devices to take out.</summary>
    public ImmutableArray<string> Remove { get; init => field = value.IsDefault ? [] : value; } = [];
}

/// <summary>What came of a change of members.</summary>
/// <param name="Added">Devices that are in the group now and were not.</param>
/// <param name="Removed">Devices that were in the group and are not now.</param>
/// <param name="Unknown">Ids that no device has; nothing was done about them.</param>
public sealed record GroupChange(int Added, int Removed, ImmutableArray<string> Unknown);
