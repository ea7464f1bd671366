using System.CommandLine;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary>The verbs of <c>coppice device</c> that say who may join, and who not any more.</summary>
static class DeviceAccess
{
    public static IEnumerable<Command> Build(ServerOptions server, Option<bool> json) =>
        [Authorise(server, json), Pending(server, json), Accept(server, json), Reject(server, json), Revoke(server, json), Replace(server, json)];

    static Command Authorise(ServerOptions server, Option<bool> json)
    {
        var file = new Argument<FileInfo?>("list") { Description = "CSV with a line of headings: device, key (SHA-256 of the signing key), label.NAME. Without it, shows who is on the list.", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("authorise", "Lets the devices of a list join without a token.") { file };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            if (parsed.GetValue(file) is not { } list)
            {
                await ShowListAsync(client, parsed.GetValue(json), cancel);
                return;
            }

            if (list.Exists && list.Length > DeviceList.MaxBytes)
                throw new UsageException($"{list.FullName} has {ByteSize.Format(list.Length)}; give at most {ByteSize.Format(DeviceList.MaxBytes)}, in several files if need be.");
            string text;
            try
            {
                text = await File.ReadAllTextAsync(list.FullName, cancel);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new UsageException($"{list.FullName} cannot be read: {e.Message}");
            }

            if (!DeviceList.TryRead(text, out var devices, out var problems))
                throw new UsageException($"{list.FullName} is not a list of devices:\n{string.Join('\n', problems.Select(problem => $"  {problem}"))}");
            var (added, known) = (0, 0);
            foreach (var part in devices.Chunk(AuthoriseDevices.MaxDevices))
            {
                var answer = await client.AuthoriseDevicesAsync([.. part], cancel);
                (added, known) = (added + answer.Added, known + answer.Known);
            }

            if (parsed.GetValue(json))
                Output.Json(new(added, known), ControlContext.Default.AuthoriseAnswer);
            else
                Console.Out.WriteLine($"{added} devices may join without a token{(known > 0 ? $"; {known} were on the list or have joined" : "")}.");
        }));
        return command;
    }

    static async Task ShowListAsync(CoppiceClient client, bool json, CancellationToken cancel)
    {
        var devices = new List<AuthorisedDevice>();
        long? next = 0;
        while (next is { } after)
        {
            var page = await client.ListAuthorisedAsync(after, 1000, cancel);
            devices.AddRange(page.Devices);
            next = page.Next;
        }

        if (json)
            Output.Json(new([.. devices]), ControlContext.Default.AuthorisedPage);
        else
        {
            Output.Table(["DEVICE", "KEY", "LABELS"], [.. devices.Select(device => new[]
            {
                device.Device ?? "any", device.Key?.ToString() ?? "whoever comes first", DeviceCommand.Labels(device.Labels),
            })], "Nobody may join without a token.");
        }
    }

    static Command Pending(ServerOptions server, Option<bool> json)
    {
        var command = new Command("pending", "Lists devices that ask to be let in.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            ShowWaiting(await client.ListWaitingAsync(cancel), parsed.GetValue(json));
        }));
        return command;
    }

    public static void ShowWaiting(WaitingPage page, bool json)
    {
        if (json)
        {
            Output.Json(page, ControlContext.Default.WaitingPage);
            return;
        }

        Output.Table(["DEVICE", "KEY", "FROM", "ASKED", "LAST", "FACTS"], [.. page.Devices.Select(device => new[]
        {
            device.Device, device.Key.ToString(), device.Address, Output.Time(device.AskedAt), Output.Time(device.LastAsked),
            string.Join(" ", device.Facts.Where(fact => fact.Key is "os" or "arch" or "ram" or "app").OrderBy(fact => fact.Key, StringComparer.Ordinal).Select(fact => $"{fact.Key}={fact.Value}")),
        })], "No device waits.");
        if (page.Devices.Length > 0)
            Console.Error.WriteLine("Compare the key with the one that the device itself shows ('coppice agent status'), then 'coppice device accept DEVICE'.");
    }

    static Command Accept(ServerOptions server, Option<bool> json)
    {
        var (id, key) = (DeviceCommand.Id(), Key());
        var labels = new Option<string[]>("--label") { Description = "NAME=VALUE: a label for the device; may be repeated." };
        var command = new Command("accept", "Lets a device in that asks, or takes suspicion from one whose identity is put right.") { id, key, labels };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            if (await SuspectAsync(client, parsed.GetRequiredValue(id), cancel))
                await client.ClearDeviceAsync(parsed.GetRequiredValue(id), cancel);
            else
                await client.AcceptDeviceAsync(parsed.GetRequiredValue(id), new() { Key = Digest(parsed.GetValue(key)), Labels = LabelText.Read(parsed.GetValue(labels) ?? []) }, cancel);
            if (!parsed.GetValue(json))
                Console.Out.WriteLine($"{parsed.GetRequiredValue(id)} is accepted.");
        }));
        return command;
    }

    static async Task<bool> SuspectAsync(CoppiceClient client, string id, CancellationToken cancel)
    {
        try
        {
            return (await client.GetDeviceAsync(id, cancel)).Suspect is not null;
        }
        catch (ControlException e) when (e.Problem.Status == 404) // not enrolled: it may be among those that wait
        {
            return false;
        }
    }

    static Command Reject(ServerOptions server, Option<bool> json)
    {
        var (id, key) = (DeviceCommand.Id(), Key());
        var command = new Command("reject", "Turns a device away that asks.") { id, key };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            await client.RejectDeviceAsync(parsed.GetRequiredValue(id), new() { Key = Digest(parsed.GetValue(key)) }, cancel);
            if (!parsed.GetValue(json))
                Console.Out.WriteLine($"{parsed.GetRequiredValue(id)} is turned away.");
        }));
        return command;
    }

    static Command Revoke(ServerOptions server, Option<bool> json)
    {
        var id = DeviceCommand.Id();
        var why = new Option<string>("--why") { Description = "The reason.", DefaultValueFactory = _ => "revoked by the operator" };
        var command = new Command("revoke", "Takes a device's keys as stolen: its next call is refused. 'replace' lets new keys take its place.") { id, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var device = await client.RevokeDeviceAsync(parsed.GetRequiredValue(id), parsed.GetRequiredValue(why), cancel);
            if (parsed.GetValue(json))
                Output.Json(device, ControlContext.Default.KnownDevice);
            else
                Console.Out.WriteLine($"{device.Id} is revoked.");
        }));
        return command;
    }

    static Command Replace(ServerOptions server, Option<bool> json)
    {
        var id = DeviceCommand.Id();
        var expires = new Option<string>("--expires") { Description = "How long that is allowed.", DefaultValueFactory = _ => "24h" };
        var why = new Option<string>("--why") { Description = "The reason.", DefaultValueFactory = _ => "" };
        var command = new Command("replace", "Makes a join token by which a device with new keys takes the place of this one, once. Its history stays.") { id, expires, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            if (!Duration.TryParse(parsed.GetValue(expires), out var span))
                throw new UsageException($"--expires: '{parsed.GetValue(expires)}' is not a duration; write it as 24h or 7d.");
            using var client = server.Connect(parsed);
            var token = await client.ReplaceDeviceAsync(parsed.GetRequiredValue(id), new(span) { Why = parsed.GetRequiredValue(why) }, cancel);
            if (parsed.GetValue(json))
                Output.Json(token, ControlContext.Default.CreatedJoinToken);
            else
                Console.Out.WriteLine(token.Token);
        }));
        return command;
    }

    static Option<string?> Key() => new("--key") { Description = "SHA-256 of the signing key that is meant; needed when two ask for one id." };

    static Sha256Digest? Digest(string? text) => text is null ? null
        : Sha256Digest.TryParse(text, out var digest) ? digest
        : throw new UsageException($"--key: '{text}' is not a SHA-256; give its 64 hex digits as 'coppice device pending' shows them.");
}
