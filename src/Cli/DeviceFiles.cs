using System.Collections.Immutable;
using System.CommandLine;
using System.Text;
using System.Text.Json;
using Coppice.Client;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice device export</c> and <c>import</c>: the fleet as a file.</summary>
static class DeviceFiles
{
    enum Format
    {
        Csv,
        Jsonl,
    }

    public static IEnumerable<Command> Build(ServerOptions server, Option<bool> json) => [Export(server), Import(server, json)];

    static Command Export(ServerOptions server)
    {
        var selector = new Option<string?>("--selector") { Description = "Only devices it holds for." };
        var format = new Option<Format>("--format") { Description = "csv (ids, keys, labels; 'device import' and 'device authorise' read it) or jsonl (all that is known, a device a line)." };
        var output = new Option<FileInfo?>("--output", "-o") { Description = "Where to write; standard output without it." };
        var command = new Command("export", "Writes devices as CSV or JSON lines.") { selector, format, output };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var (devices, _) = await DeviceCommand.AllAsync(client, parsed.GetValue(selector), null, int.MaxValue, cancel);
            string text;
            if (parsed.GetValue(format) == Format.Jsonl)
                text = string.Concat(devices.Select(device => JsonSerializer.Serialize(device, ControlContext.Default.KnownDevice) + "\n"));
            else if (!DeviceList.TryWrite([.. devices.Select(device => new AuthorisedDevice { Device = device.Id, Key = device.Key, Labels = device.Labels })], out text))
                throw new UsageException("The devices have more labels than a list may have columns; use --format jsonl.");
            if (parsed.GetValue(output) is not { } file)
            {
                Console.Out.Write(text);
                return;
            }

            try
            {
                await File.WriteAllTextAsync(file.FullName, text, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), cancel);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new UsageException($"{file.FullName} cannot be written: {e.Message}");
            }

            Console.Out.WriteLine($"{devices.Count} devices in {file.FullName}.");
        }));
        return command;
    }

    static Command Import(ServerOptions server, Option<bool> json)
    {
        var file = new Argument<FileInfo>("file") { Description = "CSV with headings device and label.NAME, or JSON lines as 'device export' writes them (*.jsonl)." };
        var command = new Command("import", "Sets labels of devices from a file. Labels that the file does not name stay.") { file };
        command.SetAction(async (parsed, cancel) =>
        {
            string[] unknown = [];
            var code = await Output.RunAsync(async () =>
            {
                var devices = await ReadAsync(parsed.GetRequiredValue(file), cancel);
                using var client = server.Connect(parsed);
                var result = await LabelAsync(client, devices, cancel);
                unknown = [.. result.Unknown];
                if (parsed.GetValue(json))
                    Output.Json(result, ControlContext.Default.ImportedLabels);
                else
                    Console.Out.WriteLine($"{result.Changed} devices have other labels now; {devices.Length - result.Changed - unknown.Length} had them already.");
                if (unknown.Length > 0)
                    await Console.Error.WriteLineAsync($"{unknown.Length} have not enrolled: {string.Join(", ", unknown.Take(10))}{(unknown.Length > 10 ? " …" : "")}. 'coppice device authorise' lets them join, with their labels.");
            });
            return code == ExitCode.Done && unknown.Length > 0 ? ExitCode.Failed : code;
        });
        return command;
    }

    static async Task<ImportedLabels> LabelAsync(CoppiceClient client, ImmutableArray<AuthorisedDevice> devices, CancellationToken cancel)
    {
        var (changed, unknown) = (0, ImmutableArray.CreateBuilder<string>());
        foreach (var device in devices)
        {
            try
            {
                if ((await client.RelabelDeviceAsync(device.Device!, labels => labels.SetItems(device.Labels), cancel)).Changed)
                    changed++;
            }
            catch (ControlException e) when (e.Type == "/problems/not-found")
            {
                unknown.Add(device.Device!);
            }
        }

        return new(changed, unknown.ToImmutable());
    }

    static async Task<ImmutableArray<AuthorisedDevice>> ReadAsync(FileInfo file, CancellationToken cancel)
    {
        string text;
        try
        {
            text = await File.ReadAllTextAsync(file.FullName, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{file.FullName} cannot be read: {e.Message}");
        }

        if (file.Extension == ".jsonl")
            return [.. text.Split('\n').Select((line, i) => (Line: line.Trim(), Number: i + 1)).Where(line => line.Line.Length > 0).Select(line => ReadLine(line.Line, $"{file.FullName}, line {line.Number}"))];
        if (!DeviceList.TryRead(text, out var devices, out var problems))
            throw new UsageException($"{file.FullName} is not a list of devices:\n{string.Join('\n', problems.Select(problem => $"  {problem}"))}");
        return devices.All(device => device.Device is not null) ? devices : throw new UsageException($"{file.FullName} has lines without an id; labels are set by id.");
    }

    static AuthorisedDevice ReadLine(string line, string where)
    {
        try
        {
            return JsonSerializer.Deserialize(line, ControlContext.Default.KnownDevice) is { } device
                ? new() { Device = device.Id, Labels = device.Labels }
                : throw new UsageException($"{where}: null where a device is wanted, as 'coppice device export --format jsonl' writes it.");
        }
        catch (JsonException e)
        {
            throw new UsageException($"{where}: no device as 'coppice device export --format jsonl' writes it ({e.Message})");
        }
    }
}
