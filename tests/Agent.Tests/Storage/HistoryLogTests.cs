using Coppice.Agent.Storage;

namespace Coppice.Agent.Tests.Storage;

public sealed class HistoryLogTests
{
    static AgentEvent Event(string text) => new(DateTimeOffset.UnixEpoch, AgentEventKind.Kept, text) { Model = Shop.Model };

    [Fact]
    public void A_line_that_a_power_cut_tore_is_passed_over_and_those_after_it_are_read()
    {
        for (var seed = 0; seed < 50; seed++)
        {
            var disk = new LossyDisk(seed);
            var log = new HistoryLog(disk);
            log.Add(Event("one"));
            log.Add(Event("two"));
            disk.CutAt = disk.Changes + 1 + seed % 2; // in the write, or in the sync
            Assert.Throws<PowerCutException>(() => log.Add(Event("lost or not")));
            disk.PowerOn();
            new HistoryLog(disk).Add(Event("three"));

            var read = HistoryLog.Read(disk).Select(happened => happened.Text).ToList();
            Assert.Equal(["one", "two", "three"], read.Where(text => text != "lost or not"));
        }
    }

    [Fact]
    public void It_is_bounded_and_keeps_the_newest()
    {
        var disk = new LossyDisk(1);
        var log = new HistoryLog(disk);
        var text = new string('x', 50_000);
        for (var i = 0; i < 60; i++)
            log.Add(Event($"{i} {text}"));

        var read = HistoryLog.Read(disk);

        Assert.StartsWith("59 ", read[^1].Text, StringComparison.Ordinal);
        Assert.InRange(read.Count, 20, 45);
        Assert.True(disk.LengthOf(DataFolder.History) + disk.LengthOf(DataFolder.OlderHistory) < 2 * HistoryLog.MaxBytes + 200_000);
    }
}
