using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Serialization;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Rollouts.Rehearsals;

namespace Coppice.Cli;

/// <summary><c>coppice rehearse</c>: a rollout on simulated devices, by the code that will move the real one.</summary>
public static class RehearseCommand
{
    /// <summary>Devices of each rehearsal that asks whether a bad release is caught.</summary>

    /// <summary>Shares of devices on which bad releases fail beyond the usual, half in trial and half in probation.</summary>
    static readonly double[] Badnesses = [0.01, 0.03, 0.05, 0.1, 0.2, 0.5];

    public static Command Build()
    {
        var server = new ServerOptions();
        var json = Output.JsonOption();
        var file = new Argument<FileInfo>("plan") { Description = "The plan, YAML or JSON; 'coppice rollout plan' makes one." };
        var devices = new Option<int>("--devices") { Description = "How many devices.", DefaultValueFactory = _ => 100_000 };
        var days = new Option<int>("--days") { Description = "How long to watch.", DefaultValueFactory = _ => 14 };
        var seed = new Option<ulong>("--seed") { Description = "Decides everything that is random.", DefaultValueFactory = _ => 1 };
        var poll = new Option<string>("--poll") { Description = "Between two looks of a device at the repository.", DefaultValueFactory = _ => "1h" };
        var bytes = new Option<string>("--bytes") { Description = "What a device fetches.", DefaultValueFactory = _ => "20MB" };
        var link = new Option<string>("--link") { Description = "Bytes a second of the middle device's link; others are slower and faster.", DefaultValueFactory = _ => "500KB" };
        var presence = new Option<string>("--presence") { Description = "When devices are on: 'typical' (plants, offices, homes, some at random) or 'always'.", DefaultValueFactory = _ => "typical" };
        presence.AcceptOnlyFromAmong("typical", "always");
        var faults = new Option<string?>("--faults") { Description = "What is wrong with the release and the devices: refused=5%,takenBack=2%,crashed=1%,lost=0.1%,failures=0.2%." };
        var effects = new Option<string[]>("--effect") { Description = "By how much the release changes a metric: latencyP95Ms=+10%; may be repeated." };
        var facts = new Option<string[]>("--fact") { Description = "A fact or label that a share of the devices has: label.site=oslo:30%; may be repeated." };
        var fromFleet = new Option<bool>("--from-fleet") { Description = "Take the server's devices, with their facts and labels; repeated up to --devices." };
        var runs = new Option<int?>("--runs") { Description = "Rehearsals for each badness, to see whether a bad release is caught; 0 for none. 20, and 4 for more than 100000 devices, when left out." };
        var report = new Option<FileInfo?>("--report") { Description = "Write a report: FILE.html." };
        var command = new Command("rehearse", "Rehearses a rollout on simulated devices: when its phases end, what it asks of the origin, and whether a bad release would be caught.")
        {
            file, devices, days, seed, poll, bytes, link, presence, faults, effects, facts, fromFleet, runs, report, json,
        };
        server.AddTo(command);
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var plan = PlanFile.Read(parsed.GetRequiredValue(file));
            var world = new RehearsalWorld
            {
                Devices = Within(parsed.GetValue(devices), 1, 20_000_000, "--devices"),
                Days = Within(parsed.GetValue(days), 1, 366, "--days"),
                Seed = parsed.GetValue(seed),
                Poll = Duration.TryParse(parsed.GetValue(poll), out var pace) && pace >= TimeSpan.FromSeconds(1) && pace <= TimeSpan.FromHours(18) ? pace : throw new UsageException($"--poll: '{parsed.GetValue(poll)}' is not between 1s and 18h."),
                Bytes = Amount(parsed.GetValue(bytes), "--bytes"),
                Link = Amount(parsed.GetValue(link), "--link"),
                Presence = parsed.GetValue(presence) == "always" ? PresenceMix.AllOn : PresenceMix.Typical,
                Facts = [.. (parsed.GetValue(facts) ?? []).Select(Fact)],
                Fleet = parsed.GetValue(fromFleet) ? await FleetAsync(server, parsed, cancel) : [],
            };
            world = Faults(world, parsed.GetValue(faults), parsed.GetValue(effects) ?? []);
            Run(plan, world, Within(parsed.GetValue(runs) ?? (world.Devices > 100_000 ? 4 : 20), 0, 10_000, "--runs"), parsed.GetValue(report), parsed.GetValue(json), cancel);
        }));
        return command;
    }

    static void Run(StartRollout plan, RehearsalWorld world, int runs, FileInfo? report, bool json, CancellationToken cancel)
    {
        var rollout = Rehearsed(plan, world);
        var clock = Stopwatch.StartNew();
        var result = Rehearsal.Run(rollout, world);
        var took = clock.Elapsed;
        var caught = Catches(plan, world, runs, cancel);
        var view = new RehearsalView(plan, world.Devices, world.Days, world.Seed, result, caught);
        if (report is not null)
        {
            File.WriteAllText(report.FullName, RehearsalReport.Html(view, world));
            if (!json)
                Console.Error.WriteLine($"report: {report.FullName}");
        }

        if (json)
        {
            Output.Json(view, RehearsalJson.Default.RehearsalView);
            return;
        }

        Say(view);
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{world.Devices} devices over {world.Days} days in {took.TotalSeconds:0.0} s"));
    }

    static RehearsedRollout Rehearsed(StartRollout plan, RehearsalWorld world)
    {
        if (!plan.Arms.IsEmpty)
            throw new UsageException("an experiment's arms are not rehearsed; rehearse the plan of one release.");
        if (world.Fleet.IsEmpty && world.Facts.IsEmpty && (plan.Selector.Length > 0 || plan.Phases.Any(phase => phase.Selector is not null)))
            throw new UsageException("the plan selects devices by facts, and simulated devices have none; give --from-fleet, or --fact NAME=VALUE:SHARE.");
        var rollout = RehearsedRollout.Of(plan.Release, plan.Selector, plan.Phases, plan.Gates, plan.Policy, plan.ConfidenceOrDefault, plan.DeadlineOrDefault);
        return rollout with
        {
            Rollout = rollout.Rollout with
            {
                Windows = plan.Windows,
                Spread = plan.Spread,
                StartsAt = plan.StartsAt is { } starts && starts > world.Start ? starts : null,
                FetchEarly = plan.FetchEarly ? true : null,
                ForcedFrom = plan.ForcedFrom,
            },
        };
    }

    static ImmutableArray<CatchRate> Catches(StartRollout plan, RehearsalWorld world, int runs, CancellationToken cancel)
    {
        var rates = ImmutableArray.CreateBuilder<CatchRate>();
        foreach (var badness in runs == 0 ? [] : Badnesses)
        {
            var results = new RehearsalResult[runs];
            Parallel.For(0, runs, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Environment.ProcessorCount }, run =>
            {
                var own = world with { Seed = world.Seed + 1 + (ulong)run, Release = new(badness / 2, badness / 2) };
                results[run] = Rehearsal.Run(Rehearsed(plan, own), own, untilDecided: true);
            });
            rates.Add(CatchRate.Of(string.Create(CultureInfo.InvariantCulture, $"{badness:P0} of the devices fail"), results));
        }

        return rates.ToImmutable();
    }

    static void Say(RehearsalView view)
    {
        var result = view.Result;
        Output.Table(["PHASE", "SHARE", "STARTS", "ENDS", "REACHES", "SETTLED", "FAILED"], [.. result.Phases.Select(phase => new[]
        {
            $"{phase.Index + 1}", Output.Share(phase.Share), After(phase.StartedAt), phase.EndedAt is { } ended ? After(ended) : "not within the days", $"{phase.Reached}", $"{phase.Settled}", $"{phase.Failed}",
        })], "No phase began.");
        Console.Out.WriteLine();
        Output.Fields(
            ("ends", Output.Words(result.State)), ("stopped", result.Stop is { } stop ? $"{After(stop.At)} at {Output.Share(stop.Share)}, after {stop.Devices} devices had begun: {stop.Why}" : null),
            ("undecided", result.Undecided is { } doubt ? $"{After(doubt.At)} in phase {doubt.Phase + 1}: {doubt.Why}" : null),
            ("devices", $"{result.Settled} settled, {result.Failed} failed, {result.Silent} silent, {result.Underway} under way{(result.Back > 0 ? $", {result.Back} went back" : "")}"),
            ("fetched", $"{ByteSize.Format(result.Bytes)}, at most {ByteSize.Format((long)result.PeakBytes)} a second"),
            ("requests", string.Create(CultureInfo.InvariantCulture, $"at most {result.PeakRequests:0} a second at the origin")));
        if (view.Catches.IsEmpty)
            return;
        Console.Out.WriteLine();
        Output.Table(["A RELEASE OF WHICH", "IS CAUGHT", "AT SHARE", "AFTER DEVICES", "AFTER"], [.. view.Catches.Select(rate => new[]
        {
            rate.Name, $"{rate.Caught} of {rate.Runs}", rate.MedianShare is { } share ? Output.Share(share) : "-", rate.MedianDevices is { } devices ? $"{devices}" : "-", rate.MedianAt is { } at ? After(at) : "-",
        })], "");
    }

    internal static string After(int seconds)
    {
        var span = TimeSpan.FromSeconds(seconds);
        return span.TotalHours < 1 ? string.Create(CultureInfo.InvariantCulture, $"{span.TotalMinutes:0} min") : span.TotalDays < 2
            ? string.Create(CultureInfo.InvariantCulture, $"{span.TotalHours:0.0} h")
            : string.Create(CultureInfo.InvariantCulture, $"{span.TotalDays:0.0} d");
    }

    static async Task<ImmutableArray<FleetDevice>> FleetAsync(ServerOptions server, ParseResult parsed, CancellationToken cancel)
    {
        using var client = server.Connect(parsed);
        var fleet = ImmutableArray.CreateBuilder<FleetDevice>();
        string? after = null;
        do
        {
            var page = await client.ListDevicesAsync(after: after, limit: 1000, cancel: cancel);
            foreach (var device in page.Devices.Where(device => device.RetiredAt is null))
                fleet.Add(new(device.Id, new FactSet(device.Facts.Concat(FactSet.OfLabels(device.Labels)))));
            after = page.Next;
        }
        while (after is not null);
        return fleet.Count > 0 ? fleet.ToImmutable() : throw new UsageException("--from-fleet: the server knows no device.");
    }

    static RehearsalWorld Faults(RehearsalWorld world, string? faults, string[] effects)
    {
        var (refused, back, crashed) = (0.0, 0.0, 0.0);
        foreach (var part in (faults ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var pair = part.Split('=', 2);
            var share = pair.Length == 2 && Percent(pair[1]) is >= 0 and <= 1 and var given ? given : throw new UsageException($"--faults: '{part}' is not a fault; write refused=5%.");
            switch (pair[0])
            {
                case "refused":
                    refused = share;
                    break;
                case "takenBack":
                    back = share;
                    break;
                case "crashed":
                    crashed = share;
                    break;
                case "lost":
                    world = world with { Lost = share };
                    break;
                case "failures":
                    world = world with { Failures = share };
                    break;
                default:
                    throw new UsageException($"--faults: '{pair[0]}' is not known; known are refused, takenBack, crashed, lost and failures.");
            }
        }

        return world with
        {
            Release = new(refused, back, crashed)
            {
                Effects = [.. effects.Select(effect => effect.Split('=', 2) is [{ Length: > 0 } metric, var change] && Percent(change) is > -1 and var by ? (metric, by) : throw new UsageException($"--effect: '{effect}' is not one; write latencyP95Ms=+10%."))],
            },
        };
    }

    static FactShare Fact(string text)
    {
        if (text.Split('=', 2) is [{ Length: > 0 } name, var rest] && rest.LastIndexOf(':') is > 0 and var colon && Percent(rest[(colon + 1)..]) is >= 0 and <= 1 and var share)
            return new(name, rest[..colon], share);
        throw new UsageException($"--fact: '{text}' is not one; write label.site=oslo:30%.");
    }

    static double? Percent(string text)
    {
        var trimmed = text.Trim();
        var percent = trimmed.EndsWith('%');
        return double.TryParse(percent ? trimmed[..^1] : trimmed, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? percent ? number / 100 : number : null;
    }

    static int Within(int value, int least, int most, string option) => value >= least && value <= most ? value : throw new UsageException($"{option}: {value} is not between {least} and {most}.");

    static long Amount(string? text, string option) => ByteSize.TryParse(text, out var bytes) && bytes >= 1 ? (long)bytes : throw new UsageException($"{option}: '{text}' is not an amount; write it as 20MB.");
}

/// <summary>A rehearsal for people and programs.</summary>
/// <param name="Plan">What was rehearsed.</param>
/// <param name="Devices">On how many devices.</param>
/// <param name="Days">For how long.</param>
/// <param name="Seed">With which seed.</param>
/// <param name="Result">How it went.</param>
/// <param name="Catches">Whether bad releases are caught.</param>
sealed record RehearsalView(StartRollout Plan, int Devices, int Days, ulong Seed, RehearsalResult Result, ImmutableArray<CatchRate> Catches);

[JsonSourceGenerationOptions(
    System.Text.Json.JsonSerializerDefaults.Web,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    IgnoreReadOnlyProperties = true,
    Converters =
    [
        typeof(SemanticVersionConverter), typeof(VersionRangeConverter), typeof(ModelNameConverter), typeof(DurationConverter),
        typeof(NamedEnum<RolloutState>), typeof(NamedEnum<PhaseAction>), typeof(NamedEnum<DayOfWeek>), typeof(NamedEnum<GateKind>), typeof(NamedEnum<Reference>), typeof(NamedEnum<Goal>),
    ])]
[JsonSerializable(typeof(RehearsalView))]
sealed partial class RehearsalJson : JsonSerializerContext;
