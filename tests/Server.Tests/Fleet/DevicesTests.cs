using System.Collections.Immutable;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Server.Fleet;
using Coppice.Server.Storage;

namespace Coppice.Server.Tests.Fleet;

public class DevicesTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync()
    {
        server = await RunningServer.StartAsync();
        for (var i = 1; i <= 5; i++)
            await server.EnrolAsync($"till-{i}", ("os", i % 2 == 0 ? "windows" : "linux"), ("ram", $"{i}000000000"));
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<string[]> IdsAsync(string? selector) => [.. (await server.Client.ListDevicesAsync(selector)).Devices.Select(device => device.Id)];

    [Fact]
    public async Task A_selector_reads_facts_and_labels()
    {
        await server.Client.LabelDeviceAsync("till-3", ImmutableDictionary<string, string>.Empty.Add("site", "oslo"));

        Assert.Equal(["till-2", "till-4"], await IdsAsync("os = windows"));
        Assert.Equal(["till-4", "till-5"], await IdsAsync("ram >= 4GB"));
        Assert.Equal(["till-3"], await IdsAsync("site = oslo"));
        Assert.Equal(["till-3"], await IdsAsync("label.site = oslo"));
        Assert.Equal("/problems/validation", (await Assert.ThrowsAsync<ControlException>(() => IdsAsync("os ="))).Type);
    }

    [Fact]
    public async Task A_device_is_found_by_what_it_is_now()
    {
        await server.Client.LabelDeviceAsync("till-3", ImmutableDictionary<string, string>.Empty.Add("site", "oslo").Add("kind", "till"));
        await server.Client.LabelDeviceAsync("till-4", ImmutableDictionary<string, string>.Empty.Add("site", "oslo"));
        Assert.Equal(["till-3"], await IdsAsync("site = oslo and kind = till"));

        await server.Client.LabelDeviceAsync("till-3", ImmutableDictionary<string, string>.Empty.Add("site", "bergen").Add("kind", "till"));
        Assert.Equal(["till-4"], await IdsAsync("site = oslo"));
        Assert.Equal(["till-3"], await IdsAsync("site = bergen"));
        Assert.Equal(["till-3", "till-4"], await IdsAsync("label.site in (bergen, oslo)"));

        await server.Client.PutGroupAsync("north", new() { Selector = "site = bergen" });
        await server.Client.PutGroupAsync("canary", new());
        await server.Client.ChangeGroupAsync("canary", new() { Add = ["till-1", "till-4"], Remove = [] });
        Assert.Equal(["till-3"], await IdsAsync("group.north"));
        Assert.Equal(["till-1", "till-4"], await IdsAsync("label.group.canary"));
        Assert.Equal(["till-1", "till-3", "till-4"], await IdsAsync("group.canary or group.north"));
        await server.Client.ChangeGroupAsync("canary", new() { Add = [], Remove = ["till-1"] });
        Assert.Equal(["till-4"], await IdsAsync("group.canary"));
        await server.Client.DeleteGroupAsync("canary");
        Assert.Empty(await IdsAsync("group.canary"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_device_is_found_by_the_facts_that_it_last_reported(bool together)
    {
        await ReportFactsAsync("oslo");
        Assert.Equal(["till-1", "till-2"], await IdsAsync("site = oslo"));

        await ReportFactsAsync("bergen");
        Assert.Empty(await IdsAsync("site = oslo"));
        Assert.Equal(["till-1", "till-2"], await IdsAsync("site = bergen"));

        async Task ReportFactsAsync(string site)
        {
            var store = server.Get<ReportStore>();
            var batch = new ReportBatch([]) { Facts = ImmutableDictionary<string, string>.Empty.Add("os", "linux").Add("site", site) };
            var now = server.Time.GetUtcNow();
            if (together)
                await store.KeepAllAsync([("till-1", batch, now), ("till-2", batch, now)], CancellationToken.None);
            else
            {
                await store.KeepAsync("till-1", batch, now, CancellationToken.None);
                await store.KeepAsync("till-2", batch, now, CancellationToken.None);
            }
        }
    }

    [Fact]
    public async Task Pages_follow_each_other_without_loss()
    {
        var seen = new List<string>();
        string? next = null;
        do
        {
            var page = await server.Client.ListDevicesAsync(null, next, 2);
            seen.AddRange(page.Devices.Select(device => device.Id));
            next = page.Next;
        }
        while (next is not null);

        Assert.Equal(["till-1", "till-2", "till-3", "till-4", "till-5"], seen);
    }

    [Theory]
    [InlineData("label.rare", 2, 3)] // whatever its value: all are looked at
    [InlineData("label.rare = yes", 2, 2)] // by its mark: those alone
    [InlineData("rare in (yes, perhaps) and not label.frozen", 2, 2)]
    public async Task A_selector_that_fits_few_of_many_finds_each_once_over_pages_that_may_be_empty(string selector, int least, int most)
    {
        const int Many = 7_000;
        await server.Get<Database>().WriteAsync(db =>
        {
            for (var i = 0; i < Many; i++)
                db.Devices.Add(new() { Id = $"shelf-{i:0000}", SigningKey = $"k{i}", EnrolledAt = server.Time.GetUtcNow(), LastSeen = server.Time.GetUtcNow(), Facts = "{}", Labels = i is 3 or 4_998 or 4_999 or 6_999 ? """{"rare":"yes"}""" : "{}" });
            return Task.FromResult(true);
        }, CancellationToken.None);
        var seen = new List<string>();
        string? next = null;
        var pages = 0;
        do
        {
            var page = await server.Client.ListDevicesAsync(selector, next, 3);
            seen.AddRange(page.Devices.Select(device => device.Id));
            (next, pages) = (page.Next, pages + 1);
        }
        while (next is not null);

        Assert.Equal(["shelf-0003", "shelf-4998", "shelf-4999", "shelf-6999"], seen);
        Assert.InRange(pages, least, most);
    }

    [Fact]
    public async Task Labels_are_replaced_whole_and_said_in_the_feed_once()
    {
        var labels = ImmutableDictionary<string, string>.Empty.Add("site", "oslo");
        await server.Client.LabelDeviceAsync("till-1", labels);
        await server.Client.LabelDeviceAsync("till-1", labels);

        Assert.Equal(labels, (await server.Client.GetDeviceAsync("till-1")).Labels);
        var said = Assert.Single((await server.Client.ListEventsAsync()).Events, e => e.Kind == Protocol.EventKind.DeviceLabelled);
        Assert.Equal(("till-1", "site=oslo", "admin"), (said.Device, said.Why, said.By));
        var refused = await Assert.ThrowsAsync<ControlException>(() => server.Client.LabelDeviceAsync("till-1", labels.Add("label.x", "y").Add("a b", "z")));
        Assert.Equal(["labels.a b", "labels.label.x"], refused.Problem.Errors!.Keys.Order());
    }

    [Fact]
    public async Task An_unknown_device_is_not_found_by_any_verb()
    {
        Assert.Equal("/problems/not-found", (await server.Operator.GetAsync("v1/devices/nobody").ProblemAsync(404)).Type);
        await server.Operator.GetAsync("v1/devices/nobody/reports").ProblemAsync(404);
        await server.Operator.DeleteAsync("v1/devices/nobody").ProblemAsync(404);
        await server.Operator.PutAsync("v1/devices/nobody/labels", Answers.Json("""{"labels":{}}""")).ProblemAsync(404);
    }
}
