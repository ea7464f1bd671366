using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.Cli;

/// <summary><c>coppice rollout start</c>.</summary>
static class RolloutStart
{
    public static Command Build(ServerOptions server, Option<bool> json)
    {
        var model = new Argument<string?>("model") { Description = "The model: owner/name. Left out with --file.", Arity = ArgumentArity.ZeroOrOne };
        var version = new Argument<string?>("version") { Description = "The release: 1.4.0.", Arity = ArgumentArity.ZeroOrOne };
        var file = new Option<FileInfo?>("--file", "-f") { Description = "A plan in YAML or JSON, in place of all other options; 'coppice rollout plan' makes one." };
        var shares = new Option<double[]>("--share") { Description = "Share of the devices that a phase reaches, 0 to 1; one per phase. A single phase of 1 when left out." };
        var soak = new Option<string?>("--soak") { Description = "How long each phase must look well before the next starts by itself: 24h. Left out, an operator advances it." };
        var phases = new Option<string?>("--phases") { Description = "Shares with their own soaks, in place of --share and --soak: 0.01:1h,0.1:24h,1." };
        var selector = new Option<string>("--selector") { Description = "Only devices it holds for: 'site = oslo and ram >= 2GB'.", DefaultValueFactory = _ => "" };
        var failures = new Option<int>("--max-failures") { Description = "Failures that are borne; one more stops the rollout.", DefaultValueFactory = _ => 0 };
        var onFailure = new Option<string>("--on-failure") { Description = "What stopping means.", DefaultValueFactory = _ => "hold" };
        onFailure.AcceptOnlyFromAmong("hold", "revert");
        var windows = new Option<string[]>("--window") { Description = "When devices may switch, in their local time: 22:00-04:00, or sat,sun:06:00-18:00; may be repeated." };
        var with = new Option<string[]>("--with") { Description = "A release of another model that devices take together with this one, all or none: plant/embedder@2.0.0; may be repeated." };
        var salt = new Option<string?>("--salt") { Description = "Places the devices: with another rollout's salt the same devices go first." };
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", DefaultValueFactory = _ => "" };
        var command = new Command("start", "Starts a rollout.") { model, version, file, shares, soak, phases, selector, failures, onFailure, windows, with, salt, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            if (parsed.GetValue(file) is { } plan)
            {
                if (parsed.GetValue(model) is not null || shares.Given(parsed) || soak.Given(parsed) || phases.Given(parsed) || selector.Given(parsed) || failures.Given(parsed) || onFailure.Given(parsed) || windows.Given(parsed) || with.Given(parsed) || salt.Given(parsed))
                    throw new UsageException("--file says it all; leave out the model and the other options.");
                var ordered = PlanFile.Read(plan);
                if (why.Given(parsed))
                    ordered = ordered with { Why = parsed.GetRequiredValue(why) };
                using var starter = server.Connect(parsed);
                RolloutCommand.Say(await starter.StartRolloutAsync(ordered, cancel), parsed.GetValue(json));
                return;
            }

            if (parsed.GetValue(model) is not { } name || parsed.GetValue(version) is not { } release)
                throw new UsageException("give the model and the version, or a plan with --file.");
            var wanted = new StartRollout(
                ModelCommand.Name(name), ModelCommand.Version(release),
                Phases(parsed.GetValue(phases), parsed.GetValue(shares) ?? [], parsed.GetValue(soak)))
            {
                Selector = parsed.GetRequiredValue(selector),
                Policy = new(parsed.GetValue(failures), parsed.GetValue(onFailure) == "revert" ? PhaseAction.Revert : PhaseAction.Hold),
                Windows = [.. (parsed.GetValue(windows) ?? []).Select(Window)],
                With = [.. (parsed.GetValue(with) ?? []).Select(Member)],
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

    static bool Given(this Option option, ParseResult parsed) => parsed.GetResult(option) is { Implicit: false };

    static TimeSpan Soak(string text, string option) =>
        Duration.TryParse(text, out var soak) ? soak : throw new UsageException($"{option}: '{text}' is not a duration; write it as 30m, 24h or 7d.");

    static MemberDraft Member(string text) => text.Split('@') is [var model, var version]
        ? new(ModelCommand.Name(model), ModelCommand.Version(version))
        : throw new UsageException($"--with: '{text}' is not a release; write it as plant/embedder@2.0.0.");

    static MaintenanceWindow Window(string text) =>
        MaintenanceWindowText.TryParse(text, out var window, out var problem) ? window : throw new UsageException($"--window: {problem}");
}
