using System.CommandLine;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.Cli;

/// <summary><c>coppice rollout why</c>: what the server decided, on which evidence, and that the same evidence gives the same verdict here.</summary>
static class RolloutWhyCommand
{
    public static Command Build(ServerOptions server, Option<bool> json)
    {
        var id = new Argument<string>("rollout") { Description = "The rollout's id: r-7." };
        var command = new Command("why", "Tells why a rollout is where it is: each decision is judged again, here, from the evidence that was kept.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var why = await client.WhyAsync(parsed.GetRequiredValue(id), cancel);
            if (parsed.GetValue(json))
            {
                Output.Json(why, ControlContext.Default.RolloutWhy);
                return;
            }

            if (why.With is { } with)
                Console.Out.WriteLine($"{why.Rollout} comes with {string.Join(" and ", with.Select(member => $"{member.Model} {member.Release}"))}: devices take all or none, and each counts once.");
            foreach (var decision in why.Decisions)
                Decision(decision);
            foreach (var order in why.Orders)
                Console.Out.WriteLine($"{Output.Time(order.At)}  {order.By}: {Output.Words(order.Kind)}{(order.Why.Length > 0 ? $", {order.Why}" : "")}");
            var now = PhaseVerdict.Judge(why.Now);
            Console.Out.WriteLine($"now: {Output.Words(now.Action)}. {now.Why}");
            Show(now);
        }));
        return command;
    }

    static void Decision(RolloutDecision decision)
    {
        var again = PhaseVerdict.Judge(decision.Evidence);
        var same = (again.Action, again.Why) == (decision.Action, decision.Why);
        Console.Out.WriteLine($"{Output.Time(decision.At)}  phase {decision.Evidence.Phase + 1} of {decision.Evidence.Phases}: {Output.Words(decision.Action)}. {decision.Why}");
        var counts = decision.Evidence.Counts;
        Console.Out.WriteLine($"  on {counts.Settled} settled, {counts.Underway} under way, {counts.Refused} refused, {counts.TakenBack} taken back ({counts.Crashed} crashed), {counts.Silent} silent, after {decision.Evidence.InPhase:c}");
        Console.Out.WriteLine(same ? "  judged again from this: the same" : $"  judged again from this: {Output.Words(again.Action)}. {again.Why} This version of coppice judges otherwise than the one that decided.");
        Show(again);
        Console.Out.WriteLine();
    }

    static void Show(PhaseVerdict verdict)
    {
        RolloutCommand.Gates(verdict.Gates);
        if (verdict.Compared is { } compared)
            ExperimentCommand.Arms(compared);
    }
}
