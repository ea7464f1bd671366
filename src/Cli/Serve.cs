using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Server;
using Coppice.Server.Access;
using Coppice.Server.Events;
using Coppice.Server.Storage;
using Microsoft.Extensions.Logging;

namespace Coppice.Cli;

/// <summary><c>coppice serve</c>: the control plane, in this process.</summary>
public static class ServeCommand
{
    public static Command Build()
    {
        var data = new Option<string>("--data") { Description = "Folder that holds everything; made at the first start.", DefaultValueFactory = _ => "coppice-data" };
        var database = new Option<string?>("--database")
        {
            Description = $"PostgreSQL database for the tables: postgres://user@host/database, or @FILE that holds it with its password; else {DatabaseVariable}, else a file in the data folder.",
        };
        var clusterKey = new Option<FileInfo?>("--cluster-key") { Description = "File with 32 random bytes in base64, the same for all servers on a database: they share their other keys under it." };
        var blobs = new Option<string?>("--blobs") { Description = "Where files and patches are: a folder, or s3://BUCKET/PREFIX?region=NAME; the same for all servers on a database. Else in the data folder." };
        var blobUrls = new Option<string?>("--blob-urls") { Description = "Where devices are sent for files and patches: 'signed' for addresses in the bucket that are signed for an hour, or the address of a CDN that holds blobs/ and patches/. Else this server gives them." };
        var listen = new Option<string[]>("--listen") { Description = "Address to listen on, http or https; port 0 takes a free one; may be repeated.", DefaultValueFactory = _ => ["http://127.0.0.1:8420"] };
        var access = new ServeAccess();
        var enrolments = new Option<int>("--enrolments-per-minute") { Description = "Enrolments that one address may try in a minute.", DefaultValueFactory = _ => 300 };
        var ddiPoll = new Option<string>("--ddi-poll") { Description = "How often devices that speak hawkBit's device API ask.", DefaultValueFactory = _ => "5m" };
        var maxBlob = new Option<string>("--max-blob") { Description = "Largest file taken.", DefaultValueFactory = _ => "64GiB" };
        var noPatches = new Option<bool>("--no-patches") { Description = "Make no patches; devices then fetch whole files." };
        var patchThreads = new Option<int>("--patch-threads") { Description = "Patches made at once, each with one thread.", DefaultValueFactory = _ => 1 };
        var largestPatched = new Option<string>("--largest-patched") { Description = "Largest file that a patch is made from or makes; a patch takes memory by its largest tensor.", DefaultValueFactory = _ => "512MB" };
        var oidc = new Option<string?>("--oidc") { Description = "File that says whose sign-ins are taken beside API tokens, and what groups may do." };
        var sealingKeys = new Option<string[]>("--sealing-key")
        {
            Description = "File of the server's sealing key, outside the data folder, made with 'coppice seal key'; repeat for older ones. Without it the server keeps no content keys. A password comes from COPPICE_KEY_PASSWORD.",
        };
        var smtp = new Option<string?>("--smtp") { Description = "Server that takes mail: smtp://user:password@host:587 or smtps://…, or @FILE that holds it." };
        var mailFrom = new Option<string?>("--mail-from") { Description = "Sender of the server's mail; wanted with --smtp." };
        var log = new Option<LogLevel>("--log") { Description = "What the log on standard error tells.", DefaultValueFactory = _ => LogLevel.Information };
        var json = new Option<bool>("--json") { Description = "Write one line of JSON when ready, for scripts." };
        var command = new Command("serve", "Runs the server: repository, device API and control API in one process.") { data, database, clusterKey, blobs, blobUrls, listen, enrolments, ddiPoll, maxBlob, noPatches, patchThreads, largestPatched, sealingKeys, oidc, smtp, mailFrom, log, json };
        access.AddTo(command);
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var addresses = parsed.GetRequiredValue(listen);
            foreach (var address in addresses)
            {
                if (!Uri.TryCreate(address.Replace("*", "any", StringComparison.Ordinal).Replace("+", "any", StringComparison.Ordinal), UriKind.Absolute, out var url)
                    || url.Scheme is not ("http" or "https") || url.PathAndQuery != "/" || address.Contains(';', StringComparison.Ordinal))
                    throw new UsageException($"--listen: '{address}' is not an address to listen on; write http://127.0.0.1:8420 for this machine, or https://0.0.0.0:8443.");
            }

            if (!ByteSize.TryParse(parsed.GetValue(maxBlob), out var most) || most < 1)
                throw new UsageException($"--max-blob: '{parsed.GetValue(maxBlob)}' is not a size; write it as 64GiB.");
            if (!ByteSize.TryParse(parsed.GetValue(largestPatched), out var largest) || largest < 1)
                throw new UsageException($"--largest-patched: '{parsed.GetValue(largestPatched)}' is not a size; write it as 512MB.");
            if (parsed.GetValue(patchThreads) is < 1 or > 64)
                throw new UsageException("--patch-threads: give 1 to 64.");
            if (!Duration.TryParse(parsed.GetValue(ddiPoll), out var poll) || poll < TimeSpan.FromSeconds(1) || poll >= TimeSpan.FromDays(1))
                throw new UsageException($"--ddi-poll: '{parsed.GetValue(ddiPoll)}' is no such time; give 1s to 23h, as 5m.");
            if (parsed.GetValue(enrolments) < 1)
                throw new UsageException("--enrolments-per-minute: give 1 or more.");

            var (blobFolder, bucket) = ReadBlobs(parsed.GetValue(blobs));
            var elsewhere = parsed.GetValue(blobUrls);
            Uri? cdn = null;
            if (elsewhere == "signed" && bucket is null)
                throw new UsageException("--blob-urls: signed addresses are those of a bucket; give --blobs s3://BUCKET/PREFIX?region=NAME too, or the address of a CDN.");
            if (elsewhere is not (null or "signed") && (!Uri.TryCreate(elsewhere.EndsWith('/') ? elsewhere : elsewhere + "/", UriKind.Absolute, out cdn) || cdn.Scheme is not ("http" or "https") || cdn.Query.Length > 0 || cdn.UserInfo.Length > 0))
                throw new UsageException($"--blob-urls: '{elsewhere}' is neither 'signed' nor the address of a CDN; write it as https://cdn.example.org/coppice.");

            await using var server = await StartAsync(access.Read(parsed, new()
            {
                Data = parsed.GetRequiredValue(data),
                Database = ReadDatabase(parsed.GetValue(database)),
                ClusterKeyFile = parsed.GetValue(clusterKey) is not { } shared ? null
                    : shared.Exists ? shared.FullName
                    : throw new UsageException($"--cluster-key: {shared.FullName} is not there; make it once for all servers: openssl rand -base64 32 > FILE"),
                BlobFolder = blobFolder,
                Bucket = bucket,
                SignedBlobAddresses = elsewhere == "signed",
                BlobCdn = cdn,
                Listen = string.Join(';', addresses),
                EnrolmentLimit = new(parsed.GetValue(enrolments), 20 * Math.Min(parsed.GetValue(enrolments), 100_000)),
                DdiPoll = poll,
                MaxBlobBytes = (long)most,
                Patches = !parsed.GetValue(noPatches),
                Oidc = parsed.GetValue(oidc) is { } file ? ReadOidc(file) : null,
                SealingKeys = parsed.GetValue(sealingKeys) ?? [],
                SealingKeyPassword = Environment.GetEnvironmentVariable(Publishing.KeyFiles.PasswordVariable),
                PatchThreads = parsed.GetValue(patchThreads),
                LargestPatched = (long)largest,
                Mail = parsed.GetValue(smtp) is { } mail ? ReadMail(mail, parsed.GetValue(mailFrom)) : null,
                LogLevel = parsed.GetValue(log),
            }), cancel);
            if (parsed.GetValue(json))
                Output.Json(new(server.Url, server.DeviceUrl, Environment.ProcessId, server.Data, server.AdminTokenFile, server.First is not null, server.First?.JoinToken.Token), ServeContext.Default.ServeReady);
            else
                Say(server);
            await server.WaitForShutdownAsync(cancel);
        }));
        return command;
    }

    /// <summary>Environment variable in place of <c>--database</c>; may hold the password.</summary>
    public const string DatabaseVariable = "COPPICE_DATABASE";

    /// <summary>The database that is given, or named by <see cref="DatabaseVariable"/>; null for none.</summary>
    /// <exception cref="UsageException">It is no address, or shows a password to everybody on this machine.</exception>
    public static PostgresAddress? ReadDatabase(string? given)
    {
        var (text, where) = (given, "--database");
        if (given is null && Environment.GetEnvironmentVariable(DatabaseVariable) is { Length: > 0 } variable)
            (text, where) = (variable, DatabaseVariable);
        if (text is null)
            return null;
        var isFile = text.StartsWith('@');
        try
        {
            if (!PostgresAddress.TryParse(isFile ? File.ReadAllText(text[1..]) : text, out var address, out var problem))
                throw new UsageException($"{where}: the address {problem}");
            return address.HasPassword && !isFile && given is not null
                ? throw new UsageException($"--database: a password on the command line is seen by everybody on this machine; put the address into a file and give @FILE, or set {DatabaseVariable} or PGPASSWORD.")
                : address;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{where}: {text[1..]} cannot be read ({e.Message}).");
        }
    }

    /// <summary>Where files and patches are: a folder or a bucket; neither for the data folder.</summary>
    /// <exception cref="UsageException">It is no address of a bucket.</exception>
    public static (string? Folder, BucketAddress? Bucket) ReadBlobs(string? place)
    {
        if (place is null || !place.StartsWith("s3:", StringComparison.Ordinal))
            return (place, null);
        return BucketAddress.TryParse(place, out var bucket, out var unclear) ? (null, bucket) : throw new UsageException($"--blobs: '{place}' {unclear}");
    }

    static MailSettings ReadMail(string server, string? from)
    {
        try
        {
            var text = server.StartsWith('@') ? File.ReadAllText(server[1..]).Trim() : server;
            if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("smtp" or "smtps") || url.Host.Length == 0)
                throw new UsageException("--smtp: that is no address of a mail server; write smtp://user:password@host:587, with what is not a letter or digit in the password percent-encoded.");
            return new(url, from ?? throw new UsageException("--mail-from is missing; give the sender's address, as coppice@example.org."));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--smtp: {server[1..]} cannot be read ({e.Message}).");
        }
    }

    static OidcSettings ReadOidc(string file)
    {
        try
        {
            return OidcSettings.Read(file);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--oidc: {e.Message}");
        }
    }

    static async Task<ControlPlane> StartAsync(ControlPlaneOptions options, CancellationToken cancel)
    {
        try
        {
            return await ControlPlane.StartAsync(options, cancel);
        }
        catch (Exception e) when (e is DataFolderBusyException or DatabaseUnavailableException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new Client.ControlException(new(Title: "The server did not start.", Detail: e.Message), e);
        }
    }

    static void Say(ControlPlane server)
    {
        Console.Out.WriteLine($"Coppice serves {server.Url} from {server.Data}{(server.DeviceUrl != server.Url ? $"; devices call {server.DeviceUrl}" : "")}");
        if (server.First is not { } first)
            return;
        Console.Out.WriteLine(
            $"""

            First start. Made for you:
              admin token    {first.AdminTokenFile}   (may do everything; keep it)
              offline keys   {first.OfflineKeys}
                             MOVE THEM to the machine that publishes, and a copy into a safe. Who has them can sign
                             releases; this server never reads them again.
              join token     {first.JoinToken.Token}
                             lets {first.JoinToken.MaxUses} devices join until {Output.Time(first.JoinToken.ExpiresAt)}; told only now

            Next:
              export {ServerOptions.ServerVariable}={server.Url} {ServerOptions.TokenVariable}=@{first.AdminTokenFile}
              coppice model list
            """);
    }
}

/// <summary>What <c>coppice serve --json</c> tells when it is ready.</summary>
sealed record ServeReady(Uri Url, Uri DeviceUrl, int Pid, string Data, string AdminTokenFile, bool FirstStart, string? JoinToken);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ServeReady))]
sealed partial class ServeContext : JsonSerializerContext;
