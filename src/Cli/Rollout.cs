using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using Coppice.Client;
using Coppice.Delivery;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.Cli;

/// <summary><c>coppice rollout</c>: the way of a release to the devices.</summary>
public static class RolloutCommand
{
    static readonly TimeSpan WatchPause = TimeSpan.FromSeconds(2);
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("rollout", "Rollouts of releases to devices.")
        {
            Json, RolloutStart.Build(server, Json), Plan(), List(server), Show(server), Watch(server), RolloutWhyCommand.Build(server, Json), Check(server), Abort(server),
            Order(server, "pause", "Lets no further device take the release until it is resumed; the same as hold.", (client, rollout, why, seen, cancel) => client.HoldAsync(rollout.Id, why, seen, cancel)),
            Order(server, "skip", "Starts the next phase without waiting for gates and soak; the same as advance.", (client, rollout, why, seen, cancel) => client.AdvanceAsync(rollout.Id, rollout.Phase + 1, why, seen, cancel)),
            Order(server, "hold", "Lets no further device take the release.", (client, rollout, why, seen, cancel) => client.HoldAsync(rollout.Id, why, seen, cancel)),
            Order(server, "resume", "Lets a held rollout go on.", (client, rollout, why, seen, cancel) => client.ResumeAsync(rollout.Id, why, seen, cancel)),
            Order(server, "revert", "Takes the release back everywhere, for good.", (client, rollout, why, seen, cancel) => client.RevertAsync(rollout.Id, why, seen, cancel)),
            Order(server, "advance", "Starts the next phase without waiting; past the last, completes the rollout.", (client, rollout, why, seen, cancel) => client.AdvanceAsync(rollout.Id, rollout.Phase + 1, why, seen, cancel)),
            Order(server, "retry", "Lets devices that failed try again.", (client, rollout, why, seen, cancel) => client.RetryAsync(rollout.Id, rollout.Attempt + 1, why, seen, cancel)),
        };
        foreach (var verb in Approval.Build(server, Json))
            command.Subcommands.Add(verb);
        server.AddTo(command);
        return command;
    }

    internal static void Table(IEnumerable<RolloutView> rollouts) => Output.Table(["ROLLOUT", "MODEL", "RELEASE", "STATE", "PHASE", "SETTLED", "UNDER WAY", "FAILED", "STARTED"], [.. rollouts.Select(rollout => new[]
    {
        rollout.Id, rollout.Model.ToString(), rollout.Release.ToString(), Output.Words(rollout.State), Phase(rollout),
        $"{rollout.Counts.Settled}", $"{rollout.Counts.Underway}", $"{rollout.Counts.Failures}", Output.Time(rollout.StartedAt),
    })], "No rollout.");

    /// <summary>Says how a rollout stands, as a person wants to read it.</summary>
    internal static void Say(RolloutView rollout, bool json)
    {
        if (json)
        {
            Output.Json(rollout, ControlContext.Default.RolloutView);
            return;
        }

        var saved = rollout.BytesTotal - rollout.BytesFetched;
        Output.Fields(
            ("rollout", $"{rollout.Id}: {rollout.Model} {rollout.Release}"), ("with", rollout.With is { } with ? $"{string.Join(", ", with.Select(member => $"{member.Model} {member.Release}"))}; devices take all or none" : null), ("for", rollout.Selector.Length == 0 ? "all devices" : rollout.Selector),
            ("state", $"{Output.Words(rollout.State)}, phase {Phase(rollout)}{(rollout.Attempt > 1 ? $", attempt {rollout.Attempt}" : "")}"), ("why", rollout.Why.Length == 0 ? null : rollout.Why),
            ("phases", string.Join(", ", rollout.Phases.Select(phase => $"{Output.Share(phase.Share)}{(phase.Selector is { } selector ? $" where {selector}" : "")}{(phase.Soak is { } soak ? $" for {Duration.Format(soak)}" : " until advanced")}"))),
            ("stops", $"{Output.Words(rollout.Policy.OnFailure)} {(rollout.Policy.MaxFailures is { } borne ? $"after more than {borne} failures" : "when a gate is bad")}"),
            ("devices", $"{rollout.Counts.Settled} settled, {rollout.Counts.Underway} under way, {rollout.Counts.Refused} refused, {rollout.Counts.TakenBack} taken back, {rollout.Unfit} unfit{(rollout.Counts.Silent > 0 ? $", {rollout.Counts.Silent} silent" : "")}"),
            ("bytes", rollout.BytesTotal == 0 ? null : $"{ByteSize.Format(rollout.BytesFetched)} fetched for {ByteSize.Format(rollout.BytesTotal)}{(saved > 0 ? $", {Output.Share(saved / (double)rollout.BytesTotal)} saved" : "")}"),
            ("by way", DeliveryWays.Format(rollout.BytesByWay) is { Length: > 0 } ways ? ways : null),
            ("verdict", rollout.Verdict));
        Gates(rollout.Gates);
        if (rollout.Experiment is { } experiment)
            ExperimentCommand.Arms(experiment);
    }

    /// <summary>What each gate says.</summary>
    internal static void Gates(ImmutableArray<GateVerdict> gates)
    {
        if (gates.IsEmpty)
            return;
        Console.Out.WriteLine();
        Output.Table(["GATE", "IS", "WHY", "STILL NEEDS"], [.. gates.Select(gate => new[]
        {
            gate.Name(), gate.Standing == GateStanding.Unknown ? "cannot tell yet" : Output.Words(gate.Standing), gate.Why,
            gate.DevicesNeeded is { } devices ? $"{devices} devices{(gate.TimeNeeded is { } time ? $", about {About(time)}" : "")}" : "",
        })], "");
    }

    static string About(TimeSpan time) => time.TotalHours < 1 ? $"{Math.Ceiling(time.TotalMinutes)} min" : time.TotalDays < 2 ? $"{Math.Ceiling(time.TotalHours)} h" : $"{Math.Ceiling(time.TotalDays)} d";

    static Command Plan()
    {
        var model = ModelCommand.Argument();
        var version = new Argument<string>("version") { Description = "The release: 1.4.0." };
        var devices = new Option<int>("--devices") { Description = "About how many devices there are; a small fleet is looked at device by device, a large one by shares.", DefaultValueFactory = _ => 100 };
        var command = new Command("plan", "Prints a plan with good defaults, to be read, changed, rehearsed and started.") { model, version, devices };
        command.SetAction((parsed, _) => Output.RunAsync(() =>
        {
            Console.Out.Write(PlanFile.Draft(ModelCommand.Name(parsed.GetRequiredValue(model)).ToString(), ModelCommand.Version(parsed.GetRequiredValue(version)).ToString(), parsed.GetValue(devices)));
            return Task.CompletedTask;
        }));
        return command;
    }

    static Command Check(ServerOptions server)
    {
        var id = Id();
        var check = new Argument<string>("check") { Description = "The check's name, as a gate of the rollout gives it." };
        var result = new Argument<string>("result") { Description = "good or bad." };
        result.AcceptOnlyFromAmong("good", "bad");
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", DefaultValueFactory = _ => "said on the command line" };
        var command = new Command("check", "Says how a check of the present phase came out: a test bench, a monitor, a person.") { id, check, result, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var rollout = (await client.GetRolloutAsync(parsed.GetRequiredValue(id), null, 1, cancel)).Rollout;
            var said = new SayCheck(parsed.GetRequiredValue(check), parsed.GetRequiredValue(result) == "good", parsed.GetRequiredValue(why), rollout.Phase);
            Say(await client.CheckAsync(rollout.Id, said, cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static Command Abort(ServerOptions server)
    {
        var id = Id();
        var keep = new Option<bool>("--keep") { Description = "Devices that have the release keep it." };
        var revert = new Option<bool>("--revert") { Description = "Devices that have the release go back, also those that are off now, when they come back." };
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", DefaultValueFactory = _ => "ordered on the command line" };
        var command = new Command("abort", "Gives a rollout up, for good.") { id, keep, revert, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            if (parsed.GetValue(keep) == parsed.GetValue(revert))
                throw new UsageException("say what becomes of the devices that have it: --keep or --revert.");
            using var client = server.Connect(parsed);
            var (rollout, reason) = (parsed.GetRequiredValue(id), parsed.GetRequiredValue(why));
            Say(parsed.GetValue(keep) ? await client.AbortAsync(rollout, reason, null, cancel) : await client.RevertAsync(rollout, reason, null, cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static Command Watch(ServerOptions server)
    {
        var id = Id();
        var command = new Command("watch", "Shows how a rollout stands whenever it changes, until it no longer runs.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            RolloutDetail? before = null;
            while (true)
            {
                var now = await client.GetRolloutAsync(parsed.GetRequiredValue(id), null, 1, cancel);
                if (before is null || !Same(before, now) || !before.Rollout.Gates.Select(gate => (gate.Name(), gate.Standing)).SequenceEqual(now.Rollout.Gates.Select(gate => (gate.Name(), gate.Standing))))
                {
                    if (before is not null && !parsed.GetValue(Json))
                        Console.Out.WriteLine();
                    Say(now.Rollout, parsed.GetValue(Json));
                    before = now;
                }

                if (now.Rollout.State != RolloutState.Running)
                    return;
                await Task.Delay(WatchPause, cancel);
            }
        }));
        return command;
    }

    static Command List(ServerOptions server)
    {
        var model = new Option<string?>("--model") { Description = "Only of this model." };
        var state = new Option<string?>("--state") { Description = "Only in this state." };
        state.AcceptOnlyFromAmong([.. Enum.GetNames<RolloutState>().Select(name => name.ToLowerInvariant())]);
        var limit = new Option<int>("--limit") { Description = "At most so many.", DefaultValueFactory = _ => 100 };
        var command = new Command("list", "Lists rollouts, newest first.") { model, state, limit };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var name = parsed.GetValue(model) is { } text ? ModelCommand.Name(text) : null;
            var wanted = parsed.GetValue(state) is { } given ? Enum.Parse<RolloutState>(given, ignoreCase: true) : (RolloutState?)null;
            using var client = server.Connect(parsed);
            var (rollouts, next) = (ImmutableArray<RolloutView>.Empty, (long?)long.MaxValue);
            for (var left = parsed.GetValue(limit); left > 0 && next is not null; left = parsed.GetValue(limit) - rollouts.Length)
            {
                var page = await client.ListRolloutsAsync(name, wanted, next, left, cancel);
                (rollouts, next) = (rollouts.AddRange(page.Rollouts), page.Next);
            }

            if (parsed.GetValue(Json))
            {
                Output.Json(rollouts, ControlContext.Default.ImmutableArrayRolloutView);
                return;
            }

            Table(rollouts);
            if (next is not null)
                await Console.Error.WriteLineAsync($"There are older ones: --limit {parsed.GetValue(limit) * 10}.");
        }));
        return command;
    }

    static Command Show(ServerOptions server)
    {
        var id = Id();
        var limit = new Option<int>("--limit") { Description = "At most so many devices.", DefaultValueFactory = _ => 100 };
        var watch = new Option<bool>("--watch") { Description = "Show it again whenever it changes, until it no longer runs." };
        var command = new Command("show", "Shows how a rollout stands, device by device.") { id, limit, watch };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var shown = await client.GetRolloutAsync(parsed.GetRequiredValue(id), null, parsed.GetValue(limit), cancel);
            Show(shown, parsed.GetValue(Json));
            while (parsed.GetValue(watch) && shown.Rollout.State == RolloutState.Running)
            {
                await Task.Delay(WatchPause, cancel);
                var now = await client.GetRolloutAsync(shown.Rollout.Id, null, parsed.GetValue(limit), cancel);
                // The verdict counts the seconds of a soak down; that alone is no news.
                if (!Same(shown, now))
                {
                    Console.Out.WriteLine();
                    Show(now, parsed.GetValue(Json));
                    shown = now;
                }
            }
        }));
        return command;
    }

    static bool Same(RolloutDetail a, RolloutDetail b) =>
        a.Rollout.Counts == b.Rollout.Counts && (a.Rollout.State, a.Rollout.Phase, a.Rollout.Attempt, a.Rollout.Unfit) == (b.Rollout.State, b.Rollout.Phase, b.Rollout.Attempt, b.Rollout.Unfit)
        && a.Devices.Select(device => (device.Device, device.Kind)).SequenceEqual(b.Devices.Select(device => (device.Device, device.Kind)));

    static void Show(RolloutDetail detail, bool json)
    {
        if (json)
        {
            Output.Json(detail, ControlContext.Default.RolloutDetail);
            return;
        }

        Say(detail.Rollout, json: false);
        Output.Table(["DEVICE", "SAYS", "AT", "VARIANT", "FETCHED", "WHY"], [.. detail.Devices.Select(device => new[]
        {
            device.Device, Output.Words(device.Kind), Output.Time(device.At), device.Variant ?? "", device.BytesFetched is { } bytes ? ByteSize.Format(bytes) : "", device.Why ?? "",
        })], "No device has said anything yet.");
    }

    static Command Order(ServerOptions server, string verb, string what, Func<CoppiceClient, RolloutView, string, string?, CancellationToken, Task<RolloutView>> order)
    {
        var id = Id();
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", DefaultValueFactory = _ => "ordered on the command line" };
        var seen = Output.RevisionOption();
        var command = new Command(verb, what) { id, why, seen };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var detail = await client.GetRolloutAsync(parsed.GetRequiredValue(id), null, 1, cancel);
            Say(await order(client, detail.Rollout, parsed.GetRequiredValue(why), parsed.GetValue(seen), cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static string Phase(RolloutView rollout) =>
        string.Create(CultureInfo.InvariantCulture, $"{rollout.Phase + 1}/{rollout.Phases.Length} ({Output.Share(rollout.Phases[rollout.Phase].Share)})");

    static Argument<string> Id() => new("rollout") { Description = "The rollout's id: r-7." };
}
