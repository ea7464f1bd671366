using Coppice.Rollouts;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Rollouts;

public sealed class PlanPublisherTests
{
    /// <summary>What a server leaves that died after it committed a hold and before it published it.</summary>
    static Task<long> CommitHoldAsync(RunningServer server) => server.Get<Database>().WriteAsync(async db =>
    {
        (await db.Rollouts.SingleAsync(row => row.Number == 1)).Become(RolloutState.Held, "seen by nobody yet");
        return (await db.Models.SingleAsync()).Serial++;
    }, CancellationToken.None);

    [Fact]
    public async Task A_change_that_was_committed_but_not_published_is_published_at_the_next_start()
    {
        var data = NewFolder();
        await using (var first = await StartAsync(data: data))
        {
            await first.PublishAsync("1.0.0");
            await first.StartRolloutAsync("1.0.0");
            await CommitHoldAsync(first);
            Assert.Equal(RolloutState.Running, (await first.PlanAsDeviceAsync())!.Rollouts[0].State);
        }

        await using (var second = await StartAsync(data: data))
        {
            var plan = (await second.PlanAsDeviceAsync())!;
            Assert.Equal((2L, RolloutState.Held), (plan.Serial, plan.Rollouts[0].State));
        }

        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task Or_with_the_next_change()
    {
        await using var server = await StartAsync();
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");
        await CommitHoldAsync(server);

        await server.Client.HoldAsync("r-1", "held already"); // changes nothing by itself

        Assert.Equal((2L, RolloutState.Held), ((await server.PlanAsDeviceAsync())!.Serial, (await server.PlanAsDeviceAsync())!.Rollouts[0].State));
    }

    [Fact]
    public async Task A_publish_that_fails_is_said_by_readyz_and_made_good_by_the_worker()
    {
        await using var server = await StartAsync();
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");
        var partial = Path.Combine(server.Plane.Data, "repository", ".partial");
        Directory.Delete(partial, recursive: true);
        await File.WriteAllTextAsync(partial, "a file where the tree wants its folder");

        Assert.Equal("/problems/internal", (await server.Operator.PostAsync("v1/rollouts/r-1/hold", Answers.Json("""{"why":"bad"}""")).ProblemAsync(500)).Type);
        Assert.False((await server.Client.GetReadinessAsync()).Ready);
        Assert.Equal(RolloutState.Running, (await server.PlanAsDeviceAsync())!.Rollouts[0].State);

        File.Delete(partial);
        Directory.CreateDirectory(partial);
        await server.JudgeAsync();
        Assert.Equal(RolloutState.Held, (await server.PlanAsDeviceAsync())!.Rollouts[0].State);
        Assert.True((await server.Client.GetReadinessAsync()).Ready);
    }

    [Fact]
    public async Task A_database_from_a_backup_never_gives_devices_an_older_serial()
    {
        await using var server = await StartAsync();
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");
        await server.Client.HoldAsync("r-1", "wait");
        await server.Client.ResumeAsync("r-1", "go on"); // serial 3
        await server.Get<Database>().WriteAsync(async db =>
        {
            (await db.Rollouts.SingleAsync()).Become(RolloutState.Held, "as it was in the backup");
            return (await db.Models.SingleAsync()).Serial = 2;
        }, CancellationToken.None);

        await server.Get<PlanPublisher>().ReconcileAsync(CancellationToken.None);

        var plan = (await server.PlanAsDeviceAsync())!;
        Assert.Equal((4L, RolloutState.Held), (plan.Serial, plan.Rollouts[0].State));
        await server.Client.ResumeAsync("r-1", "go on");
        Assert.Equal(5, (await server.PlanAsDeviceAsync())!.Serial);
    }

    [Fact]
    public async Task Models_have_plans_of_their_own()
    {
        await using var server = await StartAsync();
        var other = Coppice.Registry.ModelName.Parse("plant/pump");
        await server.PublishAsync("1.0.0");
        await server.PublishAsync("1.0.0", other);
        await server.StartRolloutAsync("1.0.0");
        var second = await server.Client.StartRolloutAsync(new(other, V("1.0.0"), [new(1)]));

        Assert.Equal("r-2", second.Id);
        Assert.Equal("r-1", Assert.Single((await server.PlanAsDeviceAsync())!.Rollouts).Id);
    }
}
