using System.CommandLine;
using Coppice.Client;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary>The verbs of <c>coppice rollout</c> about acts that wait for another person.</summary>
static class Approval
{
    public static IEnumerable<Command> Build(ServerOptions server, Option<bool> json)
    {
        yield return Awaiting(server, json);
        yield return Decide(server, json, "approve", "Approves what somebody else asked for; with the last approval it needs, it is done.", (client, id, why, cancel) => client.ApproveAsync(id, why, cancel));
        yield return Decide(server, json, "reject", "Rejects what somebody asked for, or takes back one's own.", (client, id, why, cancel) => client.RejectAsync(id, why, cancel));
    }

    public static void Say(ApprovalView approval, TextWriter to) => to.WriteLine(
        $"{approval.Id}: {Output.Words(approval.Act)}{(approval.Rollout is { } rollout ? $" {rollout}" : "")} of {approval.Model} {approval.Release}{(approval.Phase is { } phase ? $" to phase {phase + 1}" : "")}{(approval.Arm is { } arm ? $" to arm {arm}" : "")}{(approval.Ordered is { Arms.IsEmpty: false } ordered ? $" with arms {string.Join(", ", ordered.Arms.Select(arm => $"{arm.Name} ({arm.Release?.ToString() ?? "what is there"}{(arm.Shadow == true ? " as a shadow" : "")})"))}" : "")}, asked by {approval.AskedBy}: " + approval.State switch
        {
            ApprovalState.Awaiting => $"awaits approval, {approval.Votes.Length} of {approval.Needed} so far. Another operator runs: coppice rollout approve {approval.Id} --why …",
            ApprovalState.Done => $"approved by {string.Join(", ", approval.Votes.Select(vote => vote.By))} and done{(approval.Rollout is { } done ? $" ({done})" : "")}.",
            _ => $"rejected by {approval.DoneBy}: {approval.DoneWhy}",
        });

    static Command Awaiting(ServerOptions server, Option<bool> json)
    {
        var all = new Option<bool>("--all") { Description = "Also what was approved or rejected." };
        var command = new Command("awaiting", "Lists what waits for approval, newest first.") { all };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var page = await client.ListApprovalsAsync(parsed.GetValue(all) ? null : ApprovalState.Awaiting, cancel: cancel);
            if (parsed.GetValue(json))
                Output.Json(page, ControlContext.Default.ApprovalPage);
            else
                Output.Table(["APPROVAL", "ACT", "ROLLOUT", "MODEL", "RELEASE", "FOR", "ASKED BY", "ASKED", "HAS", "STATE", "WHY"], [.. page.Approvals.Select(approval => new[]
                {
                    approval.Id, Output.Words(approval.Act), approval.Rollout ?? "", approval.Model.ToString(), approval.Release.ToString(), approval.Selector.Length == 0 ? "all devices" : approval.Selector,
                    approval.AskedBy, Output.Time(approval.AskedAt), $"{approval.Votes.Length} of {approval.Needed}", Output.Words(approval.State), approval.Why,
                })], "Nothing awaits approval.");
        }));
        return command;
    }

    static Command Decide(ServerOptions server, Option<bool> json, string verb, string description, Func<CoppiceClient, string, string, CancellationToken, Task<ApprovalView>> decide)
    {
        var id = new Argument<string>("approval") { Description = "As 'coppice rollout awaiting' shows it: a-7." };
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", Required = true };
        var command = new Command(verb, description) { id, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var now = await decide(client, parsed.GetRequiredValue(id), parsed.GetRequiredValue(why), cancel);
            if (parsed.GetValue(json))
                Output.Json(now, ControlContext.Default.ApprovalView);
            else
                Say(now, Console.Out);
        }));
        return command;
    }
}

/// <summary><c>coppice policy</c>: which acts need another person.</summary>
public static class PolicyCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("policy", "How many others must approve acts on models.") { Json, List(server), Set(server) };
        server.AddTo(command);
        return command;
    }

    static Command List(ServerOptions server)
    {
        var command = new Command("list", "Lists policies; where several hold a model, the strictest counts.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var policies = await client.ListPoliciesAsync(cancel);
            if (parsed.GetValue(Json))
                Output.Json(policies, ControlContext.Default.ImmutableArrayPolicyView);
            else
                Output.Table(["MODELS", "APPROVALS", "SET BY", "SET", "WHY"], [.. policies.Select(policy => new[] { policy.Models, $"{policy.Approvals}", policy.SetBy, Output.Time(policy.SetAt), policy.Why })], "No policy: nothing awaits approval.");
        }));
        return command;
    }

    static Command Set(ServerOptions server)
    {
        var models = new Argument<string>("models") { Description = "*, vision/*, vision/cam* or vision/camera." };
        var approvals = new Option<int>("--approvals") { Description = "How many others must approve; 0 takes the policy away.", Required = true };
        var why = new Option<string>("--why") { Description = "The reason; kept with the event.", DefaultValueFactory = _ => "set on the command line" };
        var command = new Command("set", "Sets how many others must approve starting, resuming, advancing and retrying rollouts of models.") { models, approvals, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var now = await client.SetPolicyAsync(new(parsed.GetRequiredValue(models), parsed.GetRequiredValue(approvals), parsed.GetRequiredValue(why)), cancel);
            if (parsed.GetValue(Json))
                Output.Json(now, ControlContext.Default.PolicyView);
            else
                Console.Out.WriteLine(now.Approvals == 0 ? $"Nothing on {now.Models} awaits approval by this policy any more." : $"Rollouts of {now.Models} await approval by {now.Approvals} other(s).");
        }));
        return command;
    }
}
