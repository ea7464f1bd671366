using System.Collections.Immutable;
using System.CommandLine;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice group</c>: named sets of devices.</summary>
public static class GroupCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("group", "Named sets of devices; selectors know one as group.NAME.") { Json, List(server), Show(server), Set(server), Members(server, isIn: true), Members(server, isIn: false), Delete(server) };
        server.AddTo(command);
        return command;
    }

    static Command List(ServerOptions server)
    {
        var command = new Command("list", "Lists groups.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var groups = await client.ListGroupsAsync(cancel);
            if (parsed.GetValue(Json))
                Output.Json(groups, ControlContext.Default.ImmutableArrayGroupView);
            else
                Output.Table(["GROUP", "DEVICES", "CHANGED", "BY", "DESCRIPTION"], [.. groups.Select(group => new[]
                {
                    group.Name, Devices(group), Output.Time(group.ChangedAt), group.ChangedBy, group.Description,
                })], "No group.");
        }));
        return command;
    }

    static Command Show(ServerOptions server)
    {
        var name = Name();
        var command = new Command("show", "Shows a group; 'coppice device list --selector group.NAME' lists its devices.") { name };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            Show(await client.GetGroupAsync(parsed.GetRequiredValue(name), cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static Command Set(ServerOptions server)
    {
        var name = Name();
        var selector = new Option<string?>("--selector") { Description = "Devices that it holds for are in the group: 'site = oslo and ram >= 2GB'. Without it, devices are put in with 'coppice group add'." };
        var description = new Option<string?>("--description") { Description = "What the group is for." };
        var seen = Output.RevisionOption();
        var command = new Command("set", "Makes a group, or changes it.") { name, selector, description, seen };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            Show(await client.PutGroupAsync(parsed.GetRequiredValue(name), new() { Selector = parsed.GetValue(selector), Description = parsed.GetValue(description) ?? "" }, parsed.GetValue(seen), cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static Command Members(ServerOptions server, bool isIn)
    {
        var name = Name();
        var devices = new Argument<string[]>("devices") { Description = "Ids of devices; '-' reads them from standard input, one a line.", Arity = ArgumentArity.OneOrMore };
        var command = new Command(isIn ? "add" : "remove", isIn ? "Puts devices into a group." : "Takes devices out of a group.") { name, devices };
        command.SetAction(async (parsed, cancel) =>
        {
            var unknown = 0;
            var code = await Output.RunAsync(async () =>
            {
                var ids = parsed.GetRequiredValue(devices) is ["-"] ? await ReadAsync(cancel) : [.. parsed.GetRequiredValue(devices)];
                using var client = server.Connect(parsed);
                var all = new GroupChange(0, 0, []);
                foreach (var some in ids.Chunk(GroupMembers.MaxDevices))
                {
                    var change = await client.ChangeGroupAsync(parsed.GetRequiredValue(name), isIn ? new() { Add = [.. some] } : new() { Remove = [.. some] }, cancel);
                    all = new(all.Added + change.Added, all.Removed + change.Removed, all.Unknown.AddRange(change.Unknown));
                }

                if (parsed.GetValue(Json))
                    Output.Json(all, ControlContext.Default.GroupChange);
                else
                    Console.Out.WriteLine(isIn ? $"{all.Added} put in; {ids.Length - all.Added - all.Unknown.Length} were in already." : $"{all.Removed} taken out; {ids.Length - all.Removed - all.Unknown.Length} were not in it.");
                if ((unknown = all.Unknown.Length) > 0)
                    await Console.Error.WriteLineAsync($"{unknown} of the ids are no device's: {string.Join(", ", all.Unknown.Take(10))}{(unknown > 10 ? " …" : "")}. 'coppice device list' shows the devices.");
            });
            return code == ExitCode.Done && unknown > 0 ? ExitCode.Failed : code;
        });
        return command;
    }

    static async Task<ImmutableArray<string>> ReadAsync(CancellationToken cancel)
    {
        var ids = ImmutableArray.CreateBuilder<string>();
        while (await Console.In.ReadLineAsync(cancel) is { } line)
        {
            if (line.Trim() is { Length: > 0 } id)
                ids.Add(id);
        }

        return ids.ToImmutable();
    }

    static Command Delete(ServerOptions server)
    {
        var name = Name();
        var seen = Output.RevisionOption();
        var command = new Command("delete", "Deletes a group; its devices stay.") { name, seen };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            await client.DeleteGroupAsync(parsed.GetRequiredValue(name), parsed.GetValue(seen), cancel);
            if (!parsed.GetValue(Json))
                Console.Out.WriteLine($"The group {parsed.GetRequiredValue(name)} is deleted.");
        }));
        return command;
    }

    static void Show(GroupView group, bool json)
    {
        if (json)
            Output.Json(group, ControlContext.Default.GroupView);
        else
            Output.Fields(("group", group.Name), ("devices", Devices(group)), ("changed", $"{Output.Time(group.ChangedAt)} by {group.ChangedBy}"), ("revision", group.Revision), ("description", group.Description.Length == 0 ? null : group.Description));
    }

    static string Devices(GroupView group) => group.Selector is { } selector ? $"where {selector}" : "those that are put in";

    static Argument<string> Name() => new("group") { Description = "The group's name: a-z, 0-9, '-', '_'." };
}
