using System.CommandLine;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice event</c>: what happened, and what happens.</summary>
public static class EventCommand
{
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("event", "What happened, by whom and why.") { Json, List(server), Watch(server) };
        server.AddTo(command);
        return command;
    }

    static Command List(ServerOptions server)
    {
        var after = new Option<long>("--after") { Description = "Only events after this one." };
        var limit = new Option<int>("--limit") { Description = "At most so many.", DefaultValueFactory = _ => 100 };
        var kind = new Option<string?>("--kind") { Description = "Only this kind: rolloutHeld." };
        var model = new Option<string?>("--model") { Description = "Only about this model." };
        var command = new Command("list", "Lists events, oldest first.") { after, limit, kind, model };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var page = await client.ListEventsAsync(parsed.GetValue(after), parsed.GetValue(limit), parsed.GetValue(kind), parsed.GetValue(model), cancel);
            if (parsed.GetValue(Json))
                Output.Json(page, ControlContext.Default.EventPage);
            else
                Output.Table(["#", "AT", "WHAT", "BY", "ABOUT", "WHY"], [.. page.Events.Select(what => new[] { $"{what.Id}", Output.Time(what.At), Output.Words(what.Kind), what.By, About(what), what.Why })], "No event.");
            if (page.Next is { } next && !parsed.GetValue(Json))
                await Console.Error.WriteLineAsync($"There are more; go on with --after {next}.");
        }));
        return command;
    }

    static Command Watch(ServerOptions server)
    {
        var after = new Option<long?>("--after") { Description = "Begin after this event; left out, with what happens from now on." };
        var command = new Command("watch", "Tells events as they happen, until it is stopped.") { after };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var last = parsed.GetValue(after) ?? await EndAsync(client, cancel);
            while (true)
            {
                await foreach (var what in client.StreamEventsAsync(last, cancel))
                {
                    last = what.Id;
                    if (parsed.GetValue(Json))
                        Output.Json(what, ControlContext.Default.ControlEvent);
                    else
                        Console.Out.WriteLine($"{what.Id}  {Output.Time(what.At)}  {Output.Words(what.Kind)}  {About(what)}  by {what.By}{(what.Why.Length == 0 ? "" : $": {what.Why}")}");
                }

                await Task.Delay(Pause, cancel); // the server ends a stream now and then, or was started again
            }
        }));
        return command;
    }

    // Were the stream asked for "from now on" each time, what happens between two streams would be missed.
    static async Task<long> EndAsync(Client.CoppiceClient client, CancellationToken cancel)
    {
        for (var last = 0L; ;)
        {
            var page = await client.ListEventsAsync(last, 500, cancel: cancel);
            last = page.Next ?? (page.Events.IsEmpty ? last : page.Events[^1].Id);
            if (page.Next is null)
                return last;
        }
    }

    static string About(ControlEvent what) => string.Join(" ", new[] { what.Model?.ToString(), what.Release?.ToString(), what.Rollout, what.Device }.Where(part => part is not null));
}
