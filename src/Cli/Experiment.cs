using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.Cli;

/// <summary><c>coppice experiment</c>: releases side by side in one rollout.</summary>
public static class ExperimentCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("experiment", "Two or more releases side by side, some of them as shadows that answer nobody: each device keeps its arm, and looking often costs nothing.") { Json, Start(server), Show(server), Promote(server), Stop(server) };
        server.AddTo(command);
        return command;
    }

    /// <summary>How the arms compare.</summary>
    internal static void Arms(ExperimentStanding standing)
    {
        static string Number(double? value) => value is { } known ? known.ToString("g4", CultureInfo.InvariantCulture) : "";
        Console.Out.WriteLine();
        Output.Table(["ARM", "DEVICES", "MEAN", "DIFFERENCE", "BETWEEN", "P"], [.. standing.Arms.Select(arm => new[]
        {
            $"{arm.Arm}{(arm.Shadow == true ? " (shadow)" : "")}{(arm.Arm == standing.Winner ? " (wins)" : "")}", $"{arm.Devices}", arm.Devices > 0 ? Number(arm.Mean) : "", Number(arm.Difference),
            arm.Interval is { } interval ? $"{Number(interval.Low)} and {Number(interval.High)}" : "", Number(arm.P),
        })], "");
        Output.Fields(("arms", standing.Why), ("ratio", string.Create(CultureInfo.InvariantCulture, $"p = {standing.SampleRatioP:g2} of the weights")));
    }

    static Command Start(ServerOptions server)
    {
        var file = new Option<FileInfo>("--file", "-f") { Description = "The plan, with arms and experiment, in YAML or JSON.", Required = true };
        var command = new Command("start", "Starts an experiment.") { file };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var plan = PlanFile.Read(parsed.GetRequiredValue(file));
            if (plan.Arms.IsEmpty)
                throw new UsageException($"{parsed.GetRequiredValue(file).Name}: has no arms; give them, or start it with 'coppice rollout start'.");
            using var client = server.Connect(parsed);
            RolloutCommand.Say(await client.StartRolloutAsync(plan, cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static Command Show(ServerOptions server)
    {
        var id = Id();
        var command = new Command("show", "Shows how the arms compare.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var rollout = (await client.GetRolloutAsync(parsed.GetRequiredValue(id), null, 1, cancel)).Rollout;
            if (rollout.Experiment is null && rollout.Ordered?.Experiment is null)
                throw new UsageException($"{rollout.Id} is no experiment; 'coppice rollout show' tells how it stands.");
            RolloutCommand.Say(rollout, parsed.GetValue(Json));
        }));
        return command;
    }

    static Command Promote(ServerOptions server)
    {
        var id = Id();
        var arm = new Argument<string>("arm") { Description = "The arm that is to be everybody's; the control's name ends the experiment where it began." };
        return Act("promote", "Makes an arm everybody's, in the phase that the experiment is in; a shadow's release then serves.", server, [id, arm], (client, parsed, why, cancel) => client.PromoteAsync(parsed.GetRequiredValue(id), new(parsed.GetRequiredValue(arm), why), null, cancel));
    }

    static Command Stop(ServerOptions server)
    {
        var id = Id();
        return Act("stop", "Ends an experiment where it began: every device goes back to what older rollouts say.", server, [id], (client, parsed, why, cancel) => client.RevertAsync(parsed.GetRequiredValue(id), why, null, cancel));
    }

    static Command Act(string name, string what, ServerOptions server, ImmutableArray<Argument> arguments, Func<Client.CoppiceClient, ParseResult, string, CancellationToken, Task<RolloutView>> act)
    {
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", DefaultValueFactory = _ => "ordered on the command line" };
        var command = new Command(name, what) { why };
        foreach (var argument in arguments)
            command.Arguments.Add(argument);
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            RolloutCommand.Say(await act(client, parsed, parsed.GetRequiredValue(why), cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static Argument<string> Id() => new("experiment") { Description = "The rollout's id: r-7." };
}
