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
            Json, RolloutStart.Build(server, Json), List(server), Show(server),
            Order(server, "hold", "Lets no further device take the release.", (client, rollout, why, cancel) => client.HoldAsync(rollout.Id, why, cancel)),
            Order(server, "resume", "Lets a held rollout go on.", (client, rollout, why, cancel) => client.ResumeAsync(rollout.Id, why, cancel)),
            Order(server, "revert", "Takes the release back everywhere, for good.", (client, rollout, why, cancel) => client.RevertAsync(rollout.Id, why, cancel)),
            Order(server, "advance", "Starts the next phase without waiting; past the last, completes the rollout.", (client, rollout, why, cancel) => client.AdvanceAsync(rollout.Id, rollout.Phase + 1, why, cancel)),
            Order(server, "retry", "Lets devices that failed try again.", (client, rollout, why, cancel) => client.RetryAsync(rollout.Id, rollout.Attempt + 1, why, cancel)),
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
            ("rollout", $"{rollout.Id}: {rollout.Model} {rollout.Release}"), ("for", rollout.Selector.Length == 0 ? "all devices" : rollout.Selector),
            ("state", $"{Output.Words(rollout.State)}, phase {Phase(rollout)}{(rollout.Attempt > 1 ? $", attempt {rollout.Attempt}" : "")}"), ("why", rollout.Why.Length == 0 ? null : rollout.Why),
            ("phases", string.Join(", ", rollout.Phases.Select(phase => $"{Output.Share(phase.Share)}{(phase.Soak is { } soak ? $" for {Duration.Format(soak)}" : " until advanced")}"))),
            ("stops", $"{Output.Words(rollout.Policy.OnFailure)} after more than {rollout.Policy.MaxFailures} failures"),
            ("devices", $"{rollout.Counts.Settled} settled, {rollout.Counts.Underway} under way, {rollout.Counts.Refused} refused, {rollout.Counts.TakenBack} taken back, {rollout.Unfit} unfit"),
            ("bytes", rollout.BytesTotal == 0 ? null : $"{ByteSize.Format(rollout.BytesFetched)} fetched for {ByteSize.Format(rollout.BytesTotal)}{(saved > 0 ? $", {Output.Share(saved / (double)rollout.BytesTotal)} saved" : "")}"),
            ("by way", DeliveryWays.Format(rollout.BytesByWay) is { Length: > 0 } ways ? ways : null),
            ("verdict", rollout.Verdict));
    }

    static Command List(ServerOptions server)
    {
        var model = new Option<string?>("--model") { Description = "Only of this model." };
        var state = new Option<string?>("--state") { Description = "Only in this state." };
        state.AcceptOnlyFromAmong([.. Enum.GetNames<RolloutState>().Select(name => name.ToLowerInvariant())]);
        var command = new Command("list", "Lists rollouts, newest first.") { model, state };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var name = parsed.GetValue(model) is { } text ? ModelCommand.Name(text) : null;
            var wanted = parsed.GetValue(state) is { } given ? Enum.Parse<RolloutState>(given, ignoreCase: true) : (RolloutState?)null;
            using var client = server.Connect(parsed);
            var rollouts = await client.ListRolloutsAsync(name, wanted, cancel);
            if (parsed.GetValue(Json))
                Output.Json(rollouts, ControlContext.Default.ImmutableArrayRolloutView);
            else
                Table(rollouts);
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

    static Command Order(ServerOptions server, string verb, string what, Func<CoppiceClient, RolloutView, string, CancellationToken, Task<RolloutView>> order)
    {
        var id = Id();
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", DefaultValueFactory = _ => "ordered on the command line" };
        var command = new Command(verb, what) { id, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var detail = await client.GetRolloutAsync(parsed.GetRequiredValue(id), null, 1, cancel);
            Say(await order(client, detail.Rollout, parsed.GetRequiredValue(why), cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static string Phase(RolloutView rollout) =>
        string.Create(CultureInfo.InvariantCulture, $"{rollout.Phase + 1}/{rollout.Phases.Length} ({Output.Share(rollout.Phases[rollout.Phase].Share)})");

    static Argument<string> Id() => new("rollout") { Description = "The rollout's id: r-7." };
}

/// <summary><c>coppice rollout start</c>.</summary>
static class RolloutStart
{
    public static Command Build(ServerOptions server, Option<bool> json)
    {
        var model = ModelCommand.Argument();
        var version = new Argument<string>("version") { Description = "The release: 1.4.0." };
        var shares = new Option<double[]>("--share") { Description = "Share of the devices that a phase reaches, 0 to 1; one per phase. A single phase of 1 when left out." };
        var soak = new Option<string?>("--soak") { Description = "How long each phase must look well before the next starts by itself: 24h. Left out, an operator advances it." };
        var phases = new Option<string?>("--phases") { Description = "Shares with their own soaks, in place of --share and --soak: 0.01:1h,0.1:24h,1." };
        var selector = new Option<string>("--selector") { Description = "Only devices it holds for: 'site = oslo and ram >= 2GB'.", DefaultValueFactory = _ => "" };
        var failures = new Option<int>("--max-failures") { Description = "Failures that are borne; one more stops the rollout.", DefaultValueFactory = _ => 0 };
        var onFailure = new Option<string>("--on-failure") { Description = "What stopping means.", DefaultValueFactory = _ => "hold" };
        onFailure.AcceptOnlyFromAmong("hold", "revert");
        var windows = new Option<string[]>("--window") { Description = "When devices may switch, in their local time: 22:00-04:00, or sat,sun:06:00-18:00; may be repeated." };
        var salt = new Option<string?>("--salt") { Description = "Places the devices: with another rollout's salt the same devices go first." };
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", DefaultValueFactory = _ => "" };
        var command = new Command("start", "Starts a rollout.") { model, version, shares, soak, phases, selector, failures, onFailure, windows, salt, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var wanted = new StartRollout(
                ModelCommand.Name(parsed.GetRequiredValue(model)), ModelCommand.Version(parsed.GetRequiredValue(version)),
                Phases(parsed.GetValue(phases), parsed.GetValue(shares) ?? [], parsed.GetValue(soak)))
            {
                Selector = parsed.GetRequiredValue(selector),
                Policy = new(parsed.GetValue(failures), parsed.GetValue(onFailure) == "revert" ? PhaseAction.Revert : PhaseAction.Hold),
                Windows = [.. (parsed.GetValue(windows) ?? []).Select(Window)],
                Salt = parsed.GetValue(salt),
                Why = parsed.GetRequiredValue(why),
            };
            using var client = server.Connect(parsed);
            RolloutCommand.Say(await client.StartRolloutAsync(wanted, cancel), parsed.GetValue(json));
        }));
        return command;
    }

    static ImmutableArray<Phase> Phases(string? phases, double[] shares, string? soak)
    {
        if (phases is null)
            return [.. (shares.Length == 0 ? [1] : shares).Select(share => new Phase(share, soak is null ? null : Soak(soak, "--soak")))];
        if (shares.Length > 0 || soak is not null)
            throw new UsageException("--phases says it all; leave out --share and --soak.");
        return [.. phases.Split(',', StringSplitOptions.TrimEntries).Select(text => text.Split(':', 2)).Select(parts =>
            double.TryParse(parts[0], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var share)
                ? new Phase(share, parts.Length == 2 ? Soak(parts[1], "--phases") : null)
                : throw new UsageException($"--phases: '{parts[0]}' is not a share; write 0.01:1h,0.1:24h,1."))];
    }

    static TimeSpan Soak(string text, string option) =>
        Duration.TryParse(text, out var soak) ? soak : throw new UsageException($"{option}: '{text}' is not a duration; write it as 30m, 24h or 7d.");

    static MaintenanceWindow Window(string text)
    {
        var times = text;
        var days = ImmutableArray.CreateBuilder<DayOfWeek>();
        if (text.Length > 0 && char.IsAsciiLetter(text[0]) && text.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon)
        {
            times = text[(colon + 1)..];
            foreach (var day in text[..colon].Split(',', StringSplitOptions.TrimEntries))
            {
                if (Enum.GetValues<DayOfWeek>().Where(known => day.Length >= 3 && known.ToString().StartsWith(day, StringComparison.OrdinalIgnoreCase)).ToArray() is not [var found])
                    throw new UsageException($"--window: '{day}' is not a day; write mon, tue, wed, thu, fri, sat or sun.");
                days.Add(found);
            }
        }

        return times.Split('-') is [var from, var to]
            && TimeOnly.TryParseExact(from, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out var first)
            && TimeOnly.TryParseExact(to, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out var last)
            ? new(days.ToImmutable(), first, last)
            : throw new UsageException($"--window: '{text}' is not a window; write 22:00-04:00, or sat,sun:06:00-18:00.");
    }
}
