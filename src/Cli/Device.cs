using System.CommandLine;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Cli;

/// <summary><c>coppice device</c>: the fleet.</summary>
public static class DeviceCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("device", "Devices that have enrolled.") { Json, List(server), Show(server), Label(server), Retire(server), Reports(server), Explain(server) };
        foreach (var verb in DeviceFiles.Build(server, Json))
            command.Subcommands.Add(verb);
        foreach (var verb in DeviceAccess.Build(server, Json))
            command.Subcommands.Add(verb);
        server.AddTo(command);
        return command;
    }

    static Command List(ServerOptions server)
    {
        var selector = new Option<string?>("--selector") { Description = "Only devices it holds for: 'site = oslo and ram >= 2GB'." };
        var limit = new Option<int>("--limit") { Description = "At most so many.", DefaultValueFactory = _ => 1000 };
        var state = new Option<DeviceState?>("--state") { Description = "Only devices in it: pending, enrolled, silent, retired or revoked." };
        var command = new Command("list", "Lists devices.") { selector, state, limit };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            if (parsed.GetValue(state) == DeviceState.Pending)
            {
                DeviceAccess.ShowWaiting(await client.ListWaitingAsync(cancel), parsed.GetValue(Json));
                return;
            }

            var (devices, more) = await AllAsync(client, parsed.GetValue(selector), parsed.GetValue(state), parsed.GetValue(limit), cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(new([.. devices], more), ControlContext.Default.DevicePage);
                return;
            }

            Output.Table(["DEVICE", "STATE", "LAST SEEN", "SERVES", "LABELS"], [.. devices.Select(device => new[]
            {
                device.Id, Output.Words(device.State) + (device.Suspect is { } suspect ? $", suspect: {suspect}" : ""), Output.Time(device.LastSeen), Serves(device), Labels(device.Labels),
            })], "No device.");
            if (more is not null)
                Console.Error.WriteLine($"There are more than {devices.Count}; give --limit or a --selector.");
        }));
        return command;
    }

    internal static async Task<(List<KnownDevice> Devices, string? More)> AllAsync(CoppiceClient client, string? selector, DeviceState? state, int limit, CancellationToken cancel)
    {
        var devices = new List<KnownDevice>();
        string? next = null;
        do
        {
            var page = await client.ListDevicesAsync(selector, next, Math.Clamp(limit - devices.Count, 1, 1000), state, cancel);
            devices.AddRange(page.Devices);
            next = page.Next;
        }
        while (next is not null && devices.Count < limit);
        return (devices, next);
    }

    static Command Show(ServerOptions server)
    {
        var id = Id();
        var command = new Command("show", "Shows a device: facts, labels, what serves there.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            Show(await client.GetDeviceAsync(parsed.GetRequiredValue(id), cancel), parsed.GetValue(Json));
        }));
        return command;
    }

    static void Show(KnownDevice device, bool json)
    {
        if (json)
        {
            Output.Json(device, ControlContext.Default.KnownDevice);
            return;
        }

        Output.Fields(("device", device.Id), ("enrolled", Output.Time(device.EnrolledAt)), ("last seen", Output.Time(device.LastSeen)),
            ("state", Output.Words(device.State)), ("key", device.Key?.ToString() ?? "none; it shows a token (hawkBit's device API)"), ("certificate", device.CertificateExpires is { } until ? $"good until {Output.Time(until)}" : null),
            ("suspect", device.Suspect is { } suspect ? $"{suspect}, since {Output.Time(device.SuspectSince)}: two installations have this identity; see 'coppice device accept'" : null),
            ("revoked", device.RevokedAt is { } revoked ? $"{Output.Time(revoked)}: {device.RevokedWhy}" : null),
            ("retired", device.RetiredAt is { } at ? Output.Time(at) : null));
        foreach (var model in device.Models)
            Output.Fields(("model", model.Model.ToString()), ("  serves", $"{model.Serving?.ToString() ?? "nothing"}{(model.Serving is null ? "" : model.Settled ? ", settled" : ", on probation")}{(model.Variant is { } variant ? $" ({variant})" : "")}"),
                ("  last word", $"{Output.Words(model.Last)} {model.Release} at {Output.Time(model.At)}{(model.Why is { } why ? $": {why}" : "")}"));
        foreach (var group in device.Groups)
            Console.Out.WriteLine($"in group {group}");
        foreach (var (name, value) in device.Labels.OrderBy(label => label.Key, StringComparer.Ordinal))
            Console.Out.WriteLine($"label {name} = {value}");
        foreach (var (name, value) in device.Facts.OrderBy(fact => fact.Key, StringComparer.Ordinal))
            Console.Out.WriteLine($"fact {name} = {value}");
    }

    static Command Explain(ServerOptions server)
    {
        var id = Id();
        var model = new Option<string?>("--model") { Description = "The model to ask about; without it, all that the device has spoken of." };
        var command = new Command("explain", "Tells why a device has what it has, and what it does next: decided as the device decides.") { id, model };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var name = parsed.GetValue(model) is not { } text ? (ModelName?)null : ModelName.TryParse(text, out var read) ? read : throw new UsageException($"--model '{text}' is no model's name; give OWNER/NAME.");
            using var client = server.Connect(parsed);
            var told = await client.ExplainDeviceAsync(parsed.GetRequiredValue(id), name, cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(told, ControlContext.Default.DeviceExplanation);
                return;
            }

            foreach (var note in told.Notes)
                Console.Out.WriteLine(note);
            foreach (var of in told.Models)
            {
                Console.Out.WriteLine($"{Environment.NewLine}{of.Model}: {of.Verdict}");
                foreach (var reason in of.Reasons)
                    Console.Out.WriteLine($"  - {reason}");
                if (of.LastWord is { } word)
                    Console.Out.WriteLine($"  last word: {word}");
            }
        }));
        return command;
    }

    static Command Label(ServerOptions server)
    {
        var id = Id();
        var labels = new Argument<string[]>("labels") { Description = "NAME=VALUE sets a label, NAME- takes it away; others stay.", Arity = ArgumentArity.OneOrMore };
        var command = new Command("label", "Sets labels of a device.") { id, labels };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var changes = parsed.GetRequiredValue(labels);
            var removed = changes.Where(text => text.EndsWith('-') && !text.Contains('=')).Select(text => text[..^1]).ToArray();
            var set = LabelText.Read(changes.Where(text => !text.EndsWith('-') || text.Contains('=')));
            using var client = server.Connect(parsed);
            Show((await client.RelabelDeviceAsync(parsed.GetRequiredValue(id), labels => labels.RemoveRange(removed).SetItems(set), cancel)).Device, parsed.GetValue(Json));
        }));
        return command;
    }

    static Command Retire(ServerOptions server)
    {
        var id = Id();
        var command = new Command("retire", "Takes a device out for good: its reports are refused, and no rollout waits for it.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            await client.RetireDeviceAsync(parsed.GetRequiredValue(id), cancel);
            if (!parsed.GetValue(Json))
                Console.Out.WriteLine($"{parsed.GetRequiredValue(id)} is retired.");
        }));
        return command;
    }

    static Command Reports(ServerOptions server)
    {
        var id = Id();
        var limit = new Option<int>("--limit") { Description = "The newest so many.", DefaultValueFactory = _ => 50 };
        var command = new Command("reports", "Lists what a device reported, newest first.") { id, limit };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var page = await client.ListReportsAsync(parsed.GetRequiredValue(id), null, parsed.GetValue(limit), cancel);
            if (parsed.GetValue(Json))
                Output.Json(page, ControlContext.Default.ReportPage);
            else
                Output.Table(["#", "AT", "WHAT", "MODEL", "RELEASE", "ROLLOUT", "FETCHED", "WHY"], [.. page.Reports.Select(kept => kept.Report).Select(report => new[]
                {
                    $"{report.Sequence}", Output.Time(report.At), Output.Words(report.Kind), report.Model.ToString(), report.Release.ToString(), report.Rollout ?? "",
                    report.BytesFetched is { } bytes ? ByteSize.Format(bytes) : "", report.Why ?? "",
                })], "No report.");
        }));
        return command;
    }

    static string Serves(KnownDevice device) =>
        string.Join(", ", device.Models.Where(model => model.Serving is not null).Select(model => $"{model.Model} {model.Serving}{(model.Settled ? "" : " (probation)")}"));

    internal static string Labels(System.Collections.Immutable.ImmutableDictionary<string, string> labels) =>
        string.Join(" ", labels.OrderBy(label => label.Key, StringComparer.Ordinal).Select(label => $"{label.Key}={label.Value}"));

    internal static Argument<string> Id() => new("device") { Description = "The device's id." };
}
