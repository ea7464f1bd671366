using System.CommandLine;
using System.Text.Json;
using Coppice.Audit;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice audit</c>: who did what, and whether the log still says what it said.</summary>
public static class AuditCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("audit", "The audit log: append-only, chained by hashes, signed at its end.") { Json, List(server), Export(server), Checkpoint(server), Key(server), Verify(server) };
        server.AddTo(command);
        return command;
    }

    static Command List(ServerOptions server)
    {
        var after = new Option<long>("--after") { Description = "Only entries after this one." };
        var limit = new Option<int>("--limit") { Description = "At most so many.", DefaultValueFactory = _ => 200 };
        var command = new Command("list", "Lists entries, oldest first.") { after, limit };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var page = await client.ListAuditAsync(parsed.GetValue(after), parsed.GetValue(limit), cancel);
            if (parsed.GetValue(Json))
                Output.Json(page, ControlContext.Default.AuditPage);
            else
                Output.Table(["#", "AT", "WHAT", "BY", "WITH", "FROM", "ABOUT", "WHY", "CHANGED"], [.. page.Entries.Select(entry => new[]
                {
                    $"{entry.Id}", Output.Time(DateTimeOffset.FromUnixTimeMilliseconds(entry.At)), entry.Kind, entry.By, entry.Credential ?? "", entry.Origin ?? "",
                    string.Join(" ", new[] { entry.Model, entry.Release, entry.Rollout, entry.Device }.Where(part => part is not null)), entry.Why,
                    string.Join("; ", (entry.Changes ?? []).Select(change => $"{change.What}: {change.Before ?? "-"} → {change.After ?? "-"}")),
                })], "The log is empty.");
        }));
        return command;
    }

    static Command Export(ServerOptions server)
    {
        var file = new Option<string?>("--output", "-o") { Description = "The file; left out, standard output." };
        var after = new Option<long>("--after") { Description = "Only entries after this one." };
        var command = new Command("export", "Writes the log as JSON lines, with its checkpoints.") { file, after };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            await client.GetAuditCheckpointAsync(cancel); // so that the export ends with one
            await using var output = parsed.GetValue(file) is { } path ? new StreamWriter(path) : new StreamWriter(Console.OpenStandardOutput());
            await foreach (var line in client.ExportAuditAsync(parsed.GetValue(after), cancel))
                await output.WriteLineAsync(JsonSerializer.Serialize(line, ControlContext.Default.AuditLine));
        }));
        return command;
    }

    static Command Checkpoint(ServerOptions server)
    {
        var command = new Command("checkpoint", "Tells a signed word about the present end of the log. Keep it apart: with it, a cut-off end is noticed.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            Output.Json(new() { Checkpoint = await client.GetAuditCheckpointAsync(cancel) }, ControlContext.Default.AuditLine);
        }));
        return command;
    }

    static Command Key(ServerOptions server)
    {
        var command = new Command("key", "Tells the public key that signs checkpoints. Fetch it once, while you trust the server, and keep it.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            Console.Out.Write((await client.ListAuditAsync(0, 1, cancel)).Key);
        }));
        return command;
    }

    static Command Verify(ServerOptions server)
    {
        var file = new Argument<string?>("file") { Description = "An export. Left out, the server's own log is read, and held against what was seen at the last visit.", Arity = ArgumentArity.ZeroOrOne };
        var key = new Option<string?>("--key") { Description = "File of the public key, from 'coppice audit key'; wanted for a file." };
        var held = new Option<string[]>("--checkpoint") { Description = "File of a checkpoint that was kept apart; may be repeated." };
        var command = new Command("verify", "Says whether the log is as it was written, and where not. A file is verified without any server.") { file, key, held };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var checkpoints = (parsed.GetValue(held) ?? []).Select(AuditCheck.ReadCheckpoint).ToList();
            AuditChain chain;
            if (parsed.GetValue(file) is { } path)
            {
                chain = new(AuditCheck.ReadKey(parsed.GetValue(key) ?? throw new UsageException("--key is missing; give the file that 'coppice audit key' wrote when you trusted the server.")), checkpoints);
                await AuditCheck.ReadAsync(chain, path, cancel);
            }
            else
            {
                using var client = server.Connect(parsed);
                var seen = KnownAudit.Of(server.Server(parsed));
                var now = await client.GetAuditCheckpointAsync(cancel);
                var pem = parsed.GetValue(key) is { } given ? AuditCheck.ReadKey(given).Value : seen.Key ?? (await client.ListAuditAsync(0, 1, cancel)).Key;
                if (seen.Checkpoint is { } before)
                    checkpoints.Add(before.Checkpoint());
                checkpoints.Add(now.Checkpoint());
                chain = new(AuditCheck.KeyOf(pem, "the server's answer"), checkpoints);
                await foreach (var line in client.ExportAuditAsync(0, cancel))
                    AuditCheck.Take(chain, line);
                chain.End();
                if (chain.Problems.IsEmpty)
                    seen.Keep(pem, now);
            }

            AuditCheck.Say(chain, parsed.GetValue(Json));
        }));
        return command;
    }
}
