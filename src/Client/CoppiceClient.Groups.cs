using System.Collections.Immutable;
using Coppice.Protocol;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>All groups of devices, by name.</summary>
    public Task<ImmutableArray<GroupView>> ListGroupsAsync(CancellationToken cancel = default) => GetAsync("v1/groups", ControlContext.Default.ImmutableArrayGroupView, cancel);

    /// <summary>A group of devices.</summary>
    public Task<GroupView> GetGroupAsync(string name, CancellationToken cancel = default) => GetAsync($"v1/groups/{Escape(name)}", ControlContext.Default.GroupView, cancel);

    /// <summary>Makes a group or changes it.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="wanted">What it is to be.</param>
    /// <param name="revision">Only while it is at this <see cref="GroupView.Revision"/>; null in any case.</param>
    /// <param name="cancel">Stops waiting.</param>
    public Task<GroupView> PutGroupAsync(string name, PutGroup wanted, string? revision = null, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Put, $"v1/groups/{Escape(name)}", wanted, ControlContext.Default.PutGroup, ControlContext.Default.GroupView, cancel, revision);

    /// <summary>Deletes a group.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="revision">Only while it is at this <see cref="GroupView.Revision"/>; null in any case.</param>
    /// <param name="cancel">Stops waiting.</param>
    public async Task DeleteGroupAsync(string name, string? revision = null, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Delete, $"v1/groups/{Escape(name)}", null, cancel, revision: revision);
    }

    /// <summary>Puts devices into a group and takes others out.</summary>
    public Task<GroupChange> ChangeGroupAsync(string name, GroupMembers wanted, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/groups/{Escape(name)}/devices", wanted, ControlContext.Default.GroupMembers, ControlContext.Default.GroupChange, cancel);
}
