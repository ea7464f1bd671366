using System.Collections.Immutable;
using System.CommandLine;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Cli;

/// <summary><c>coppice ddi-token</c>: tokens of devices that speak hawkBit's device API.</summary>
public static class DdiTokenCommand
{
    public static Command Build()
    {
        var server = new ServerOptions();
        var json = Output.JsonOption();
        var command = new Command("ddi-token", "Tokens by which devices come in that speak hawkBit's device API (DDI), as swupdate does.") { json, Create(server, json), List(server, json), Revoke(server, json) };
        server.AddTo(command);
        return command;
    }

    static Command Create(ServerOptions server, Option<bool> json)
    {
        var models = new Option<string[]>("--model") { Description = "OWNER/NAME: a model that these devices run; may be repeated.", Required = true };
        var device = new Option<string?>("--device") { Description = "Id of the one device that uses it, as TargetToken. Left out, it is a gateway's, by which any device comes in, as GatewayToken." };
        var most = new Option<int>("--devices") { Description = "How many devices may come by a gateway's.", DefaultValueFactory = _ => 1000 };
        var labels = new Option<string[]>("--label") { Description = "NAME=VALUE: a label for the devices that come by it; may be repeated." };
        var command = new Command("create", "Makes a token and tells it, once.") { models, device, most, labels };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var names = ImmutableArray.CreateBuilder<ModelName>();
            foreach (var text in parsed.GetRequiredValue(models))
            {
                if (!ModelName.TryParse(text, out var model))
                    throw new UsageException($"--model: '{text}' is not a model; write OWNER/NAME, as plant/bearing.");
                names.Add(model);
            }

            using var client = server.Connect(parsed);
            var token = await client.CreateDdiTokenAsync(
                new(names.ToImmutable()) { Device = parsed.GetValue(device), MaxDevices = parsed.GetValue(most), Labels = LabelText.Read(parsed.GetValue(labels) ?? []) }, cancel);
            if (parsed.GetValue(json))
            {
                Output.Json(token, ControlContext.Default.CreatedDdiToken);
                return;
            }

            Console.Out.WriteLine(token.Token);
            await Console.Error.WriteLineAsync($"Token {token.View.Id}, for {(token.View.Device is { } one ? $"{one} alone (TargetToken)" : $"up to {token.View.MaxDevices} devices (GatewayToken)")}. It is told only now; keep it as a secret.");
        }));
        return command;
    }

    static Command List(ServerOptions server, Option<bool> json)
    {
        var command = new Command("list", "Lists tokens.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var tokens = ImmutableArray.CreateBuilder<DdiTokenView>();
            string? next = null;
            do
            {
                var page = await client.ListDdiTokensAsync(next, 1000, cancel);
                tokens.AddRange(page.Tokens);
                next = page.Next;
            }
            while (next is not null);
            if (parsed.GetValue(json))
            {
                Output.Json(new(tokens.ToImmutable()), ControlContext.Default.DdiTokenPage);
                return;
            }

            Output.Table(["TOKEN", "FOR", "DEVICES", "MODELS", "MADE", "STATE"], [.. tokens.Select(token => new[]
            {
                token.Id, token.Device ?? "any device", $"{token.Devices} of {token.MaxDevices}", string.Join(' ', token.Models), $"{Output.Time(token.CreatedAt)} by {token.CreatedBy}",
                token.RevokedAt is { } at ? $"revoked {Output.Time(at)} by {token.RevokedBy}" : "good",
            })], "No token.");
        }));
        return command;
    }

    static Command Revoke(ServerOptions server, Option<bool> json)
    {
        var id = new Argument<string>("id") { Description = "The token's id, as 'coppice ddi-token list' shows it." };
        var command = new Command("revoke", "Lets a token open nothing any more. Its devices go on with what they have, and may come by another.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var token = await client.RevokeDdiTokenAsync(parsed.GetRequiredValue(id), cancel);
            if (parsed.GetValue(json))
                Output.Json(token, ControlContext.Default.DdiTokenView);
            else
                Console.Out.WriteLine($"{token.Id} opens nothing any more.");
        }));
        return command;
    }
}
