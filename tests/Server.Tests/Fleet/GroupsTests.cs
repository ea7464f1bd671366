using System.Collections.Immutable;
using System.Net.Http.Json;
using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Server.Tests.Fleet;

public class GroupsTests : IAsyncLifetime
{
    RunningServer server = null!;
    TestDevice first = null!;
    long sent;

    public async Task InitializeAsync()
    {
        server = await RunningServer.StartAsync();
        first = await server.EnrolAsync("till-1", ("ram", "1000000000"));
        for (var i = 2; i <= 4; i++)
            await server.EnrolAsync($"till-{i}", ("ram", $"{i}000000000"));
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<string[]> IdsAsync(string selector) => [.. (await server.Client.ListDevicesAsync(selector)).Devices.Select(device => device.Id)];

    /// <summary>What the first device goes by, as the passport of its next report says.</summary>
    async Task<ImmutableDictionary<string, string>> LabelsAsync()
    {
        using var answer = await first.PostAsync(new([]) { Sending = new(++sent, "AAAAAAA" + sent, server.Time.GetUtcNow()), Labels = Sha256Digest.Of("others"u8) });
        var passport = (await answer.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.ReportAnswer))!.Passport;
        var targets = MetadataFile.ReadTargets(await server.Anyone.GetByteArrayAsync("repository/metadata/1.targets.json")).Signed;
        return DevicePassport.Open(Convert.FromBase64String(passport!), RoleSigners.Of(targets, RepositoryLayout.RolloutsRole)!).Labels;
    }

    static async Task<ControlProblem> RefusedAsync(Func<Task> act) => (await Assert.ThrowsAsync<ControlException>(act)).Problem;

    [Fact]
    public async Task Devices_that_are_put_in_know_it_with_their_next_report_until_they_are_taken_out()
    {
        await server.Client.PutGroupAsync("canaries", new() { Description = "first to try" });
        var change = await server.Client.ChangeGroupAsync("canaries", new() { Add = ["till-1", "till-3", "nobody"] });
        Assert.Equal((2, 0), (change.Added, change.Removed));
        Assert.Equal(["nobody"], change.Unknown.AsEnumerable());

        Assert.Equal(["till-1", "till-3"], await IdsAsync("group.canaries"));
        Assert.Equal("true", (await LabelsAsync())["group.canaries"]);
        var device = await server.Client.GetDeviceAsync("till-1");
        Assert.Equal(["canaries"], device.Groups.AsEnumerable());
        Assert.Empty(device.Labels);

        // Labels come and go beside it.
        await server.Client.LabelDeviceAsync("till-1", ImmutableDictionary<string, string>.Empty.Add("site", "oslo"));
        Assert.Equal(["till-1"], await IdsAsync("group.canaries and site = oslo"));

        await server.Client.ChangeGroupAsync("canaries", new() { Remove = ["till-1"] });
        Assert.DoesNotContain("group.canaries", (await LabelsAsync()).Keys);
        await server.Client.DeleteGroupAsync("canaries");
        Assert.Empty(await IdsAsync("group.canaries"));
        Assert.Equal(["site"], (await LabelsAsync()).Keys);
    }

    [Fact]
    public async Task A_group_by_selector_follows_facts_and_labels_and_its_own_change()
    {
        await server.Client.PutGroupAsync("large", new() { Selector = "ram >= 3GB" });
        Assert.Equal(["till-3", "till-4"], await IdsAsync("group.large"));
        await server.Client.PutGroupAsync("large", new() { Selector = "ram >= 1GB and site = oslo" });
        Assert.Empty(await IdsAsync("group.large"));
        await server.Client.LabelDeviceAsync("till-1", ImmutableDictionary<string, string>.Empty.Add("site", "oslo"));
        Assert.Equal("true", (await LabelsAsync())["group.large"]);
        Assert.Equal(["large"], (await server.Client.GetDeviceAsync("till-1")).Groups.AsEnumerable());
    }

    [Fact]
    public async Task A_group_is_of_one_kind_and_says_so()
    {
        await server.Client.PutGroupAsync("a", new() { Selector = "ram > 1" });
        await server.Client.PutGroupAsync("b", new());
        Assert.Equal("/problems/other-kind-of-group", (await RefusedAsync(() => server.Client.PutGroupAsync("a", new()))).Type);
        Assert.Equal("/problems/other-kind-of-group", (await RefusedAsync(() => server.Client.PutGroupAsync("b", new() { Selector = "ram > 1" }))).Type);
        Assert.Equal("/problems/other-kind-of-group", (await RefusedAsync(() => server.Client.ChangeGroupAsync("a", new() { Add = ["till-1"] }))).Type);
        Assert.Equal("/problems/not-found", (await RefusedAsync(() => server.Client.ChangeGroupAsync("c", new() { Add = ["till-1"] }))).Type);
        Assert.Equal(["add"], (await RefusedAsync(() => server.Client.ChangeGroupAsync("b", new()))).Errors!.Keys);
        Assert.Equal(["remove"], (await RefusedAsync(() => server.Client.ChangeGroupAsync("b", new() { Add = ["till-1"], Remove = ["till-1"] }))).Errors!.Keys);
        Assert.Equal(["selector"], (await RefusedAsync(() => server.Client.PutGroupAsync("d", new() { Selector = "group.a" }))).Errors!.Keys);
        Assert.Equal(["a", "b"], (await server.Client.ListGroupsAsync()).Select(group => group.Name));
    }

    [Fact]
    public async Task Neither_a_device_nor_a_label_makes_a_member()
    {
        await server.Client.PutGroupAsync("canaries", new());
        Assert.Contains("labels.group.canaries", (await RefusedAsync(() => server.Client.LabelDeviceAsync("till-1", ImmutableDictionary<string, string>.Empty.Add("group.canaries", "true")))).Errors!.Keys);
        var problem = await first.PostAsync(new([]) { Facts = ImmutableDictionary<string, string>.Empty.Add("group.canaries", "true") }).ProblemAsync(400);
        Assert.Equal(["facts.group.canaries"], problem.Errors!.Keys);
        Assert.Empty(await IdsAsync("group.canaries"));
    }

    [Fact]
    public async Task What_is_done_to_groups_is_in_the_log_once_and_not_for_those_of_one_site()
    {
        await server.Client.PutGroupAsync("canaries", new());
        await server.Client.PutGroupAsync("canaries", new());
        await server.Client.ChangeGroupAsync("canaries", new() { Add = ["till-1"] });
        await server.Client.ChangeGroupAsync("canaries", new() { Add = ["till-1"] });
        await server.Client.DeleteGroupAsync("canaries");
        EventKind[] kinds = [EventKind.GroupChanged, EventKind.GroupMembersChanged, EventKind.GroupDeleted];
        Assert.Equal(kinds, (await server.Client.ListEventsAsync()).Events.Select(e => e.Kind).Where(kinds.Contains));

        var oslo = await server.OperatorAsync("olga", new RoleGrant(Role.Operator) { Devices = "site = oslo" });
        await oslo.PutAsync("v1/groups/mine", Answers.Json("{}")).ProblemAsync(403);
    }
}
