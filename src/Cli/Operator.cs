using System.CommandLine;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice operator</c>: who may do what.</summary>
public static class OperatorCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("operator", "People and programs that may act, and their roles.") { Json, Me(server), List(server), Set(server), Remove(server), Roles(server) };
        server.AddTo(command);
        return command;
    }

    static Command Me(ServerOptions server)
    {
        var command = new Command("me", "Tells who one is to the server, and what one may do.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var me = await client.GetMeAsync(cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(me, ControlContext.Default.WhoAmI);
                return;
            }

            Output.Fields(("name", me.Name), ("subject", me.Subject), ("by", me.Credential), ("has", GrantOption.Text(me.Rights[0])),
                ("within", me.Rights.Length > 1 ? GrantOption.Text(me.Rights[1]) : null), ("may", string.Join(" ", me.Permissions)));
        }));
        return command;
    }

    static Command List(ServerOptions server)
    {
        var command = new Command("list", "Lists operators, also removed ones.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var page = await client.ListOperatorsAsync(cancel);
            if (parsed.GetValue(Json))
                Output.Json(page, ControlContext.Default.OperatorPage);
            else
                Output.Table(["OPERATOR", "GRANTS", "SIGNS IN AS", "SINCE", "STATE"], [.. page.Operators.Select(who => new[]
                {
                    who.Name, GrantOption.Text(who.Grants), who.Subject ?? "", Output.Time(who.CreatedAt), who.RemovedAt is { } at ? $"removed {Output.Time(at)}" : "active",
                })], "No operator.");
        }));
        return command;
    }

    static Command Set(ServerOptions server)
    {
        var name = new Argument<string>("operator") { Description = "Name: a-z, 0-9, '-', '_', '.', '@'." };
        var grants = GrantOption.Of("What they may do: 'operator on vision/* where site = oslo'. These replace the ones before.");
        grants.Required = true;
        var seen = Output.RevisionOption();
        var subject = new Option<string?>("--subject") { Description = "The 'sub' by which the identity provider knows them." };
        var command = new Command("set", "Makes an operator known, or changes what they may do.") { name, grants, subject, seen };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var now = await client.PutOperatorAsync(parsed.GetRequiredValue(name), new(GrantOption.Read(parsed.GetValue(grants))) { Subject = parsed.GetValue(subject) }, parsed.GetValue(seen), cancel);
            if (parsed.GetValue(Json))
                Output.Json(now, ControlContext.Default.OperatorView);
            else
                Console.Out.WriteLine($"{now.Name}: {GrantOption.Text(now.Grants)}");
        }));
        return command;
    }

    static Command Remove(ServerOptions server)
    {
        var name = new Argument<string>("operator") { Description = "The operator's name." };
        var seen = Output.RevisionOption();
        var command = new Command("remove", "Takes an operator's rights and revokes their tokens, at once.") { name, seen };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            await client.RemoveOperatorAsync(parsed.GetRequiredValue(name), parsed.GetValue(seen), cancel);
            if (!parsed.GetValue(Json))
                Console.Out.WriteLine($"{parsed.GetRequiredValue(name)} may do nothing any more; their tokens are revoked.");
        }));
        return command;
    }

    static Command Roles(ServerOptions server)
    {
        var command = new Command("roles", "Shows what each role may.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var rows = await client.GetPermissionsAsync(cancel);
            if (parsed.GetValue(Json))
                Output.Json(rows, ControlContext.Default.ImmutableArrayPermissionRow);
            else
                Output.Table(["PERMISSION", "ABOUT", "ROLES"], [.. rows.Select(row => new[] { row.Permission, Output.Words(row.Reach), string.Join(" ", row.Roles.Select(Output.Words)) })], "");
        }));
        return command;
    }
}
