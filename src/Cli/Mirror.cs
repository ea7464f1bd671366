using System.CommandLine;
using System.Text.Json.Serialization;
using Coppice.Mirror;
using Coppice.Trust;
using Microsoft.Extensions.Logging;

namespace Coppice.Cli;

/// <summary><c>coppice mirror</c>: a site's own copy of the repository, served to its devices.</summary>
static class MirrorCommand
{
    public static Command Build()
    {
        var upstream = new Option<string>("--upstream") { Description = "Address of the server.", Required = true };
        var data = new Option<string>("--data") { Description = "Folder that holds everything; made at the first start.", DefaultValueFactory = _ => "coppice-mirror" };
        var listen = new Option<string>("--listen") { Description = "Address to listen on; port 0 takes a free one.", DefaultValueFactory = _ => "http://127.0.0.1:8430" };
        var root = new Option<string?>("--root") { Description = "SHA-256 of the repository's root, for a mirror that shall follow no other. Devices check for themselves." };
        var authority = new Option<string?>("--authority") { Description = "SHA-256 of the public key of the authority of the server's TLS ('coppice ca list'), where no public one vouches for it." };
        var budget = new Option<string>("--budget") { Description = "Most bytes of files; what was asked for longest ago goes first.", DefaultValueFactory = _ => "64GiB" };
        var reports = new Option<string>("--report-budget") { Description = "Most bytes of reports that wait for upstream.", DefaultValueFactory = _ => "1GiB" };
        var poll = new Option<string>("--poll") { Description = "Between two looks at upstream.", DefaultValueFactory = _ => "1m" };
        var log = new Option<LogLevel>("--log") { Description = "What the log on standard error tells.", DefaultValueFactory = _ => LogLevel.Information };
        var json = new Option<bool>("--json") { Description = "Write one line of JSON when ready, for scripts." };
        var command = new Command("mirror", "Serves a site's devices from a local copy, without keys; works on while the server is away, and carries reports to it.")
        {
            upstream, data, listen, root, authority, budget, reports, poll, log, json,
        };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var address = parsed.GetRequiredValue(upstream);
            if (!Uri.TryCreate(address.EndsWith('/') ? address : address + "/", UriKind.Absolute, out var server) || server.Scheme is not ("http" or "https"))
                throw new UsageException($"--upstream: '{address}' is not an address; write it as https://coppice.example.org.");
            if (!Duration.TryParse(parsed.GetValue(poll), out var pace) || pace <= TimeSpan.Zero)
                throw new UsageException($"--poll: '{parsed.GetValue(poll)}' is not a duration; write it as 1m.");
            await using var mirror = await StartAsync(new()
            {
                Upstream = server,
                Data = Path.GetFullPath(parsed.GetRequiredValue(data)),
                Listen = parsed.GetRequiredValue(listen),
                Root = Digest(root.Name, parsed.GetValue(root)),
                Authority = Digest(authority.Name, parsed.GetValue(authority)),
                Budget = Bytes(budget.Name, parsed.GetValue(budget)),
                ReportBudget = Bytes(reports.Name, parsed.GetValue(reports)),
                Poll = pace,
                LogLevel = parsed.GetValue(log),
            }, cancel);
            if (parsed.GetValue(json))
                Output.Json(new(mirror.Url, Environment.ProcessId), MirrorReadyContext.Default.MirrorReady);
            else
                Console.Out.WriteLine($"Coppice mirrors {server} at {mirror.Url}; devices take it with: coppice agent --server {mirror.Url}");
            await mirror.WaitForShutdownAsync(cancel);
        }));
        return command;
    }

    static async Task<SiteMirror> StartAsync(MirrorOptions options, CancellationToken cancel)
    {
        try
        {
            return await SiteMirror.StartAsync(options, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Client.ControlException(new(Title: "The mirror did not start.", Detail: e.Message), e);
        }
    }

    static Sha256Digest? Digest(string option, string? text) => text is null ? null
        : Sha256Digest.TryParse(text, out var digest) ? digest
        : throw new UsageException($"{option}: '{text}' is not a SHA-256; give 64 hexadecimal digits.");

    static long Bytes(string option, string? text) => ByteSize.TryParse(text, out var bytes) && bytes >= 0
        ? (long)bytes
        : throw new UsageException($"{option}: '{text}' is not a size; write it as 64GiB.");
}

/// <summary>What <c>coppice mirror --json</c> tells when it is ready.</summary>
sealed record MirrorReady(Uri Url, int Pid);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(MirrorReady))]
sealed partial class MirrorReadyContext : JsonSerializerContext;
