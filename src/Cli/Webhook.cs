using System.CommandLine;
using System.Text.Json;
using Coppice.Client;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice webhook</c>: events that reach programs and people.</summary>
public static class WebhookCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("webhook", "Events sent to a URL or a mail address.") { Json, Create(server), List(server), Deliveries(server), Test(server), Replay(server), Delete(server) };
        server.AddTo(command);
        return command;
    }

    static Command Create(ServerOptions server)
    {
        var target = new Argument<string>("target") { Description = "https://…, or mailto:ops@example.org." };
        var name = new Option<string>("--name") { Description = "What it is for.", DefaultValueFactory = _ => "events" };
        var kinds = new Option<string[]>("--kind") { Description = "Only this kind, as rolloutHeld; may be repeated." };
        var models = new Option<string>("--models") { Description = "Only about these models: *, vision/*, vision/camera.", DefaultValueFactory = _ => "*" };
        var after = new Option<long?>("--after") { Description = "Begin with the event after this one; left out, with the next that happens." };
        var command = new Command("create", "Has events sent somewhere, and tells the secret by which the receiver verifies them, once.") { target, name, kinds, models, after };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var created = await client.CreateWebhookAsync(new(parsed.GetRequiredValue(name), parsed.GetRequiredValue(target))
            {
                Kinds = [.. (parsed.GetValue(kinds) ?? []).Select(Kind)],
                Models = parsed.GetRequiredValue(models),
                After = parsed.GetValue(after),
            }, cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(created, ControlContext.Default.CreatedWebhook);
                return;
            }

            Console.Out.WriteLine(created.Secret);
            await Console.Error.WriteLineAsync($"{created.View.Id} sends to {created.View.Target}. The secret is told only now; the receiver verifies with it, as Standard Webhooks says.");
        }));
        return command;
    }

    static Command List(ServerOptions server)
    {
        var command = new Command("list", "Lists webhooks, what they are trying to send, and what was given up.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var page = await client.ListWebhooksAsync(cancel);
            if (parsed.GetValue(Json))
                Output.Json(page, ControlContext.Default.WebhookPage);
            else
                Output.Table(["WEBHOOK", "NAME", "TO", "KINDS", "MODELS", "BY", "SENT UP TO", "TRYING", "GIVEN UP", "STATE"], [.. page.Webhooks.Select(webhook => new[]
                {
                    webhook.Id, webhook.Name, webhook.Target, webhook.Kinds.IsEmpty ? "all" : string.Join(" ", webhook.Kinds.Select(Output.Words)), webhook.Models, webhook.CreatedBy, $"{webhook.Position}",
                    webhook.Trying is { } trying ? $"{trying.Event}, {trying.Attempts} times: {trying.LastError}" : "", $"{webhook.Dead}", webhook.DisabledWhy ?? "works",
                })], "No webhook.");
        }));
        return command;
    }

    static Command Deliveries(ServerOptions server)
    {
        var id = Id();
        var dead = new Option<bool>("--dead") { Description = "Only what was given up." };
        var command = new Command("deliveries", "Lists what was sent to a webhook and what came of it, newest first.") { id, dead };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var page = await client.ListDeliveriesAsync(parsed.GetRequiredValue(id), parsed.GetValue(dead) ? DeliveryState.Dead : null, cancel: cancel);
            if (parsed.GetValue(Json))
                Output.Json(page, ControlContext.Default.DeliveryPage);
            else
                Output.Table(["EVENT", "STATE", "TRIES", "NEXT OR DONE", "STATUS", "ERROR"], [.. page.Deliveries.Select(delivery => new[]
                {
                    $"{delivery.Event}", Output.Words(delivery.State), $"{delivery.Attempts}", Output.Time(delivery.DoneAt ?? delivery.NextAt), $"{delivery.LastStatus}", delivery.LastError ?? "",
                })], "Nothing was sent yet.");
        }));
        return command;
    }

    static Command Test(ServerOptions server)
    {
        var id = Id();
        var command = new Command("test", "Sends a made-up event at once and says what the receiver answered.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var test = await client.TestWebhookAsync(parsed.GetRequiredValue(id), cancel);
            if (parsed.GetValue(Json))
                Output.Json(test, ControlContext.Default.WebhookTest);
            else if (test.Taken)
                Console.Out.WriteLine($"Taken{(test.Status is { } status ? $", {status}" : "")}.");
            if (!test.Taken)
                throw new ControlException(new(Title: "The receiver did not take it.", Detail: test.Error));
        }));
        return command;
    }

    static Command Replay(ServerOptions server)
    {
        var id = Id();
        var what = new Option<long?>("--event") { Description = "This event; left out, everything that was given up." };
        var command = new Command("replay", "Sends an event again, or everything that was given up; lets a webhook that was shut off work again.") { id, what };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            await client.ReplayAsync(parsed.GetRequiredValue(id), parsed.GetValue(what), cancel);
            if (!parsed.GetValue(Json))
                Console.Out.WriteLine("It is being sent; 'coppice webhook deliveries' shows what comes of it.");
        }));
        return command;
    }

    static Command Delete(ServerOptions server)
    {
        var id = Id();
        var command = new Command("delete", "Sends no more there.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            await client.DeleteWebhookAsync(parsed.GetRequiredValue(id), cancel);
            if (!parsed.GetValue(Json))
                Console.Out.WriteLine($"{parsed.GetRequiredValue(id)} is gone.");
        }));
        return command;
    }

    static EventKind Kind(string text) =>
        Enum.GetValues<EventKind>().Where(kind => kind.ToString().Equals(text, StringComparison.OrdinalIgnoreCase)).ToArray() is [var found]
            ? found
            : throw new UsageException($"--kind: '{text}' is not a kind of event; give {string.Join(", ", Enum.GetNames<EventKind>().Select(JsonNamingPolicy.CamelCase.ConvertName))}.");

    static Argument<string> Id() => new("webhook") { Description = "As 'coppice webhook list' shows it: w-3." };
}
