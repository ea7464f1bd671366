using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Agent.Updates;

namespace Coppice.Agent.Tests.Updates;

/// <summary>The disk is full at every single change of a whole update, once or until somebody frees room.</summary>
public sealed class FullDiskTests
{
    static async Task<(LossyDisk Disk, Shop Shop, int Changes)> ServingAsync(int seed, bool patches)
    {
        var (disk, shop) = (new LossyDisk(seed), new Shop { HasPatches = patches });
        var padding = patches ? 6_000 : 200;
        shop.Roll("1.0.0", padding: padding);
        var device = new Device(disk, shop, new());
        await device.StartAsync();
        await device.PollAsync();
        device.Runner.Stop();
        shop.Roll("2.0.0", "answer 2", padding);
        return (disk, shop, disk.Changes);
    }

    static void CheckServes(Device device, Shop shop)
    {
        var slot = device.Host.Serving?.Slot ?? throw new InvalidOperationException("nothing serves");
        foreach (var path in (string[])["model.txt", "data/weights.bin"])
            Assert.True(shop.Signed(device.Disk.ReadSmall($"{DataFolder.Slots(Shop.Model)}/{slot.Folder}/{path}", 1 << 20)!), $"{path} of {slot} is not what was signed");
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task It_is_told_by_name_costs_no_release_and_the_update_goes_on_when_there_is_room(bool patches, bool once)
    {
        var (whole, shopOnce, before) = await ServingAsync(0, patches);
        var undisturbed = new Device(whole, shopOnce, new(), "boot 1");
        await undisturbed.StartAsync();
        await undisturbed.PollAsync();
        Assert.Equal("2.0.0", undisturbed.Serving);
        Assert.True(whole.Changes - before > 40, "an update with so few changes is not one");

        for (var at = before + 1; at <= whole.Changes; at++)
        {
            var (disk, shop, _) = await ServingAsync(at, patches);
            var (full, freed) = (false, false);
            disk.FullAt = change => !freed && (once ? change == at : change >= at) && (full = true);
            var device = new Device(disk, shop, new(), "boot 1", seed: at);
            await device.StartAsync();
            for (var steps = 0; steps < 40; steps++)
            {
                device.Time.Advance(await device.Runner.StepAsync(default));
                CheckServes(device, shop);
            }

            // What failed is told; but for the history and the view of what goes on, which nobody needs to go on.
            var done = device.Serving == "2.0.0" && device.Runner.State is { Step: UpdateStep.Idle, Serving.Settled: true };
            Assert.True(!full || done || device.Events.Any(told => told.Text.Contains("No space left on device", StringComparison.Ordinal)),
                $"change {at}: {device.Runner.State.Step}, {string.Join("; ", device.Events.TakeLast(4).Select(told => told.Text))}");

            freed = true;
            await device.PollAsync();
            Assert.Equal("2.0.0", device.Serving);
            CheckServes(device, shop);
            Assert.All(device.Runner.State.Refusals, refusal => Assert.Fail($"change {at}: {refusal.Why}"));
        }
    }

    [Fact]
    public async Task The_release_before_stays_when_giving_it_up_would_not_make_room_enough()
    {
        var (disk, shop, time) = (new LossyDisk(1), new Shop(), new ManualTime());
        shop.Roll("1.0.0", "answer 1", 2_000);
        var device = new Device(disk, shop, time, quota: 5_000);
        await device.StartAsync();
        await device.PollAsync();
        shop.Roll("2.0.0", "answer 2", 2_000);
        await device.PollAsync();
        Assert.Equal("1.0.0", device.Runner.State.Previous!.Release.ToString());

        shop.Roll("3.0.0", "answer 3", 9_000);
        await device.PollAsync();

        Assert.Equal("2.0.0", device.Serving);
        Assert.Equal("1.0.0", device.Runner.State.Previous!.Release.ToString());
        Assert.Contains(device.Events, told => told.Text.Contains("without the release before", StringComparison.Ordinal) && told.Text.Contains("quota of 5 kB", StringComparison.Ordinal));
    }
}
