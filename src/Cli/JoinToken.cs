using System.Collections.Immutable;
using System.CommandLine;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice join-token</c>.</summary>
public static class JoinTokenCommand
{
    public static Command Build()
    {
        var server = new ServerOptions();
        var json = Output.JsonOption();
        var command = new Command("join-token", "Tokens by which devices join.") { json, Create(server, json) };
        server.AddTo(command);
        return command;
    }

    static Command Create(ServerOptions server, Option<bool> json)
    {
        var expires = new Option<string>("--expires") { Description = "How long it is good for.", DefaultValueFactory = _ => "24h" };
        var uses = new Option<int>("--uses") { Description = "How many devices may join by it.", DefaultValueFactory = _ => 1 };
        var labels = new Option<string[]>("--label") { Description = "NAME=VALUE: a label for the devices that join by it; may be repeated." };
        var publicTls = new Option<bool>("--public-tls") { Description = "Devices know the server by public authorities, as behind a proxy with a public certificate." };
        var command = new Command("create", "Makes a join token and tells it, once.") { expires, uses, labels, publicTls };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            if (!Duration.TryParse(parsed.GetValue(expires), out var life))
                throw new UsageException($"--expires: '{parsed.GetValue(expires)}' is not a duration; write it as 24h or 7d.");
            using var client = server.Connect(parsed);
            var token = await client.CreateJoinTokenAsync(new(life, parsed.GetValue(uses)) { Labels = LabelText.Read(parsed.GetValue(labels) ?? []), PublicTls = parsed.GetValue(publicTls) }, cancel);
            if (parsed.GetValue(json))
                Output.Json(token, ControlContext.Default.CreatedJoinToken);
            else
                Console.Out.WriteLine(token.Token);
        }));
        return command;
    }
}

/// <summary>Labels as a command line has them.</summary>
static class LabelText
{
    /// <summary>Reads <c>NAME=VALUE</c>, each name once.</summary>
    public static ImmutableDictionary<string, string> Read(IEnumerable<string> texts)
    {
        var labels = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var text in texts)
        {
            if (text.Split('=', 2) is not [{ Length: > 0 } name, var value] || !labels.TryAdd(name, value))
                throw new UsageException($"'{text}' is not a label or names one twice; write NAME=VALUE, as site=oslo.");
        }

        return labels.ToImmutable();
    }
}
