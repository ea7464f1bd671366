using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Agent.Updates;
using Coppice.Protocol;

namespace Coppice.Agent.Tests.Updates;

/// <summary>The power goes at every single change of the disk in a whole update; then again while the device recovers.</summary>
public sealed class PowerLossTests
{
    /// <summary>Serves 1.0.0, and 2.0.0 is rolled out. Returns the disk's changes so far.</summary>
    static async Task<(LossyDisk Disk, Shop Shop, int Changes)> ServingAsync(int seed, string behaviour, bool patches = false)
    {
        var (disk, shop) = (new LossyDisk(seed), new Shop { HasPatches = patches });
        var padding = patches ? 6_000 : 200;
        shop.Roll("1.0.0", padding: padding);
        var device = new Device(disk, shop, new());
        await device.StartAsync();
        await device.PollAsync();
        device.Runner.Stop();
        shop.Roll("2.0.0", behaviour, padding);
        return (disk, shop, disk.Changes);
    }

    /// <summary>A life of the process that may be cut short. Whenever the power is on, one whole signed release serves.</summary>
    static async Task LiveAsync(LossyDisk disk, Shop shop, int life, bool everServed)
    {
        var device = new Device(disk, shop, new(), $"boot {life}", seed: life);
        await device.StartAsync();
        if (everServed)
            CheckServes(device, shop);
        for (var i = 0; i < 200; i++)
        {
            var wait = await device.Runner.StepAsync(default);
            if (everServed)
                CheckServes(device, shop);
            if (device.Runner.State.Step == UpdateStep.Idle && wait >= Device.Policy.Poll / 2)
                return;
            device.Time.Advance(wait);
        }

        Assert.Fail($"did not come to rest: {device.Runner.State.Step}, {string.Join("; ", device.Events.TakeLast(4).Select(e => e.Text))}");
    }

    static void CheckServes(Device device, Shop shop)
    {
        var slot = device.Host.Serving?.Slot ?? throw new InvalidOperationException("nothing serves");
        foreach (var path in (string[])["model.txt", "data/weights.bin"])
        {
            var bytes = device.Disk.ReadSmall($"{DataFolder.Slots(Shop.Model)}/{slot.Folder}/{path}", 1 << 20)!;
            Assert.True(shop.Signed(bytes), $"{path} of {slot} is not what was signed");
        }
    }

    static async Task<Device> FinalAsync(LossyDisk disk, Shop shop, string serving)
    {
        var device = new Device(disk, shop, new(), "last boot");
        await device.StartAsync();
        await device.PollAsync();
        Assert.Equal(serving, device.Serving);
        return device;
    }

    /// <summary>Each report once, numbered without a gap, and the ends of both updates among them.</summary>
    static void CheckReports(Device device, ReportKind end)
    {
        var reports = device.Reports();
        Assert.Equal(Enumerable.Range(1, reports.Length).Select(n => (long)n), reports.Select(report => report.Sequence));
        Assert.Single(reports, report => report.Kind == ReportKind.Settled && report.Release.ToString() == "1.0.0");
        Assert.Single(reports, report => report.Kind == end && report.Release.ToString() == "2.0.0");
    }

    [Theory]
    [InlineData("answer 2", "2.0.0", ReportKind.Settled, false)]
    [InlineData("refuse", "1.0.0", ReportKind.Refused, false)]
    [InlineData("fail 2", "1.0.0", ReportKind.TakenBack, false)]
    [InlineData("answer 2", "2.0.0", ReportKind.Settled, true)]
    [InlineData("refuse", "1.0.0", ReportKind.Refused, true)]
    public async Task At_every_change_of_an_update(string behaviour, string serving, ReportKind end, bool patches)
    {
        var (whole, shopOnce, before) = await ServingAsync(0, behaviour, patches);
        var opened = shopOnce.PatchesOpened;
        await LiveAsync(whole, shopOnce, 0, true);
        Assert.Equal(patches ? 1 : 0, shopOnce.PatchesOpened - opened);
        Assert.True(whole.Changes - before > 40, "an update with so few changes is not one");

        for (var cut = before + 1; cut <= whole.Changes; cut++)
        {
            var (disk, shop, _) = await ServingAsync(cut, behaviour, patches);
            disk.CutAt = cut;
            await Assert.ThrowsAsync<PowerCutException>(() => LiveAsync(disk, shop, 1, true));
            disk.PowerOn();
            await LiveAsync(disk, shop, 2, true);
            CheckReports(await FinalAsync(disk, shop, serving), end);
        }
    }

    [Fact]
    public async Task At_every_change_of_the_first_update_ever()
    {
        var (first, once) = (new LossyDisk(0), new Shop());
        once.Roll("1.0.0");
        await LiveAsync(first, once, 0, false);

        for (var cut = 1; cut <= first.Changes; cut++)
        {
            var (disk, shop) = (new LossyDisk(cut), new Shop());
            shop.Roll("1.0.0");
            disk.CutAt = cut;
            await Assert.ThrowsAsync<PowerCutException>(() => LiveAsync(disk, shop, 1, false));
            disk.PowerOn();
            await FinalAsync(disk, shop, "1.0.0");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task At_every_change_while_it_recovers_from_an_earlier_cut(int seed)
    {
        var chance = new Random(seed);
        var (whole, shopOnce, before) = await ServingAsync(0, "answer 2");
        await LiveAsync(whole, shopOnce, 0, true);
        for (var sample = 0; sample < 4; sample++)
        {
            var first = chance.Next(before + 1, whole.Changes + 1);
            for (var second = 1; ; second++)
            {
                var (disk, shop, _) = await ServingAsync(seed, "answer 2");
                disk.CutAt = first;
                await Assert.ThrowsAsync<PowerCutException>(() => LiveAsync(disk, shop, 1, true));
                disk.PowerOn();
                disk.CutAt = disk.Changes + second;
                try
                {
                    await LiveAsync(disk, shop, 2, true);
                    disk.CutAt = null;
                }
                catch (PowerCutException)
                {
                    disk.PowerOn();
                    // Two cuts while it was being loaded may condemn it; a newer attempt brings it back.
                    await LiveAsync(disk, shop, 3, true);
                    shop.Change("r-2.0.0", rollout => rollout with { Attempt = 2 });
                    await LiveAsync(disk, shop, 4, true);
                    await FinalAsync(disk, shop, "2.0.0");
                    continue;
                }

                await FinalAsync(disk, shop, "2.0.0");
                break; // the recovery had no further change
            }
        }
    }
}
