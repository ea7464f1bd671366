using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Agent.Tests.Link;

public sealed class ReportQueueTests
{
    readonly LossyDisk disk = new(1);

    /// <summary>A queue whose server has said that it has nothing yet.</summary>
    ReportQueue Queue()
    {
        var queue = new ReportQueue(disk);
        queue.Confirm(0);
        return queue;
    }

    static Report Report(long origin, ReportKind kind) => new(origin, DateTimeOffset.UnixEpoch, kind, Shop.Model, SemanticVersion.Parse("1.0.0"));

    static ImmutableArray<Report> Many(int from, int count, ReportKind kind) => [.. Enumerable.Range(from, count).Select(origin => Report(origin, kind))];

    [Fact]
    public void A_repeated_outbox_is_taken_once_also_over_a_restart()
    {
        Queue().Take(Shop.Model, [Report(1, ReportKind.Started), Report(2, ReportKind.Refused)]);
        var again = new ReportQueue(disk);
        again.Take(Shop.Model, [Report(1, ReportKind.Started), Report(2, ReportKind.Refused), Report(3, ReportKind.Started)]);

        Assert.Equal([1, 2, 3], again.Next().Select(report => report.Sequence));
    }

    [Fact]
    public void Reports_stay_until_they_are_confirmed_under_the_same_numbers()
    {
        var queue = Queue();
        queue.Take(Shop.Model, Many(1, 60, ReportKind.Started));
        var first = queue.Next();
        Assert.Equal(ReportBatch.MaxReports, first.Length);
        Assert.Equal(first.Select(report => report.Sequence), new ReportQueue(disk).Next().Select(report => report.Sequence));

        Assert.True(queue.Confirm(30));
        Assert.False(queue.Confirm(30)); // once more changes nothing
        Assert.Equal(31, queue.Next()[0].Sequence);
        Assert.Equal(60, queue.Next()[^1].Sequence);
    }

    [Fact]
    public void Past_its_bound_the_oldest_progress_goes_and_the_numbers_have_no_gap()
    {
        var queue = Queue();
        queue.Take(Shop.Model, [.. Many(1, ReportQueue.MaxWaiting, ReportKind.Started), Report(ReportQueue.MaxWaiting + 1, ReportKind.Settled), Report(ReportQueue.MaxWaiting + 2, ReportKind.Refused)]);

        Assert.Equal(ReportQueue.MaxWaiting, queue.Waiting);
        var kinds = new List<ReportKind>();
        for (var next = 1L; queue.Waiting > 0;)
        {
            foreach (var report in queue.Next())
            {
                Assert.Equal(next++, report.Sequence);
                kinds.Add(report.Kind);
            }

            queue.Confirm(next - 1);
        }

        Assert.Equal([ReportKind.Settled, ReportKind.Refused], kinds[^2..]);
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData((1L << 52) + 1)]
    [InlineData(-1)]
    public void An_answer_that_no_server_gives_confirms_nothing_and_uses_up_no_numbers(long through)
    {
        var queue = Queue();
        queue.Take(Shop.Model, [Report(1, ReportKind.Settled)]);
        Assert.Equal(1, queue.Next()[0].Sequence);

        Assert.Throws<LinkException>(() => queue.Confirm(through));
        Assert.Equal(1, queue.Next()[0].Sequence);
    }

    [Fact]
    public void However_far_answers_push_the_numbers_an_honest_server_is_still_believed()
    {
        var queue = Queue();
        Assert.True(queue.Confirm(1L << 52)); // a lie that can be told
        queue.Take(Shop.Model, [Report(1, ReportKind.Settled)]);
        var number = queue.Next()[0].Sequence;

        Assert.Equal((1L << 52) + 1, number);
        Assert.True(queue.Confirm(number));
        Assert.Equal(0, queue.Waiting);
    }

    [Fact]
    public void A_queue_that_was_lost_numbers_nothing_until_the_server_has_said_what_it_has()
    {
        var lost = Queue();
        lost.Take(Shop.Model, Many(1, 41, ReportKind.Started));
        Assert.Equal(41, lost.Next()[^1].Sequence);
        disk.Replace(DataFolder.Reports, "{ half of a"u8);

        var queue = new ReportQueue(disk);
        Assert.Contains(DataFolder.Reports, queue.Damage, StringComparison.Ordinal);
        Assert.NotNull(disk.LengthOf(DataFolder.Reports + ".damaged"));
        queue.Take(Shop.Model, [Report(42, ReportKind.Settled)]);
        Assert.Empty(queue.Next());

        Assert.True(queue.Confirm(41));
        Assert.Equal((42, ReportKind.Settled), (queue.Next()[0].Sequence, queue.Next()[0].Kind));
        Assert.Null(new ReportQueue(disk).Damage);
    }

    [Fact]
    public void A_server_that_has_less_than_it_said_is_told_once_how_each_model_stands_that_it_lost()
    {
        Report Of(long origin, ReportKind kind, string release) => Report(origin, kind) with { Release = SemanticVersion.Parse(release) };
        var queue = Queue();
        queue.Take(Shop.Model, [Of(1, ReportKind.Started, "1.0.0"), Of(2, ReportKind.Switched, "1.0.0"), Of(3, ReportKind.Settled, "1.0.0")]);
        queue.Next();
        queue.Confirm(3); // the backup
        queue.Take(Shop.Model, [
            Of(4, ReportKind.Started, "1.1.0"), Of(5, ReportKind.Switched, "1.1.0"), Of(6, ReportKind.Settled, "1.1.0"), Of(7, ReportKind.Started, "1.2.0"),
            Of(8, ReportKind.Switched, "1.2.0"), Of(9, ReportKind.TakenBack, "1.2.0"), Of(10, ReportKind.Refused, "1.3.0")]);
        queue.Next();
        queue.Confirm(10);
        Assert.Equal(0, queue.Waiting);

        queue = new ReportQueue(disk);
        Assert.False(queue.Confirm(3)); // of the restored server: nothing was taken
        Assert.Equal([(11, ReportKind.Settled, "1.1.0"), (12, ReportKind.Refused, "1.3.0")], queue.Next().Select(report => ((int)report.Sequence, report.Kind, report.Release.ToString())));
        Assert.False(queue.Confirm(2)); // whatever it says next: not again
        Assert.Equal(2, queue.Waiting);
        Assert.True(queue.Confirm(12));
        Assert.Equal(0, queue.Waiting);

        Assert.False(queue.Confirm(0)); // another server, which has nothing of this device
        Assert.Equal(["1.1.0", "1.3.0"], queue.Next().Select(report => report.Release.ToString()));
    }

    [Fact]
    public void A_server_that_a_mirror_has_not_reached_yet_has_lost_nothing()
    {
        var queue = Queue();
        queue.Take(Shop.Model, [Report(1, ReportKind.Started), Report(2, ReportKind.Switched)]);
        queue.Next();
        Assert.True(queue.Confirm(2));
        queue.Take(Shop.Model, [Report(3, ReportKind.Settled)]);
        queue.Next();
        Assert.True(queue.Confirm(3, byServer: false)); // a mirror keeps it
        Assert.Equal(0, queue.Waiting);

        Assert.False(queue.Confirm(2)); // the server, before the mirror has carried it on
        Assert.Equal(0, queue.Waiting);
        queue.Confirm(3);
        queue.Confirm(2); // and this one was restored
        Assert.Equal(ReportKind.Settled, Assert.Single(queue.Next()).Kind);
    }
}
