using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Cli.Publishing;
using Coppice.Client;
using Coppice.Server.Backups;
using Coppice.Server.Storage;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice admin</c>: a server's whole state as a file, and back.</summary>
public static class AdminCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build() => new("admin", "Back a server up, put it back, move it to another machine or database.") { Json, CreateBackup(), PutBack(), Export(), Import() };

    static Command CreateBackup()
    {
        var place = new ServerPlaceOptions();
        var output = new Option<string>("--output", "-o") { Description = "The backup; must not be there.", Required = true };
        var password = KeyPassword.Option();
        var to = new Option<string[]>("--to") { Description = "File of a public sealing key (coppice seal key) whose owner opens the backup; may be repeated." };
        var withoutKeys = new Option<bool>("--without-keys") { Description = "Leave the server's keys out: who restores must have them from elsewhere. The backup is then encrypted only if a password or --to is given." };
        var withBlobs = new Option<bool>("--with-blobs") { Description = "The files of releases too; else only which they are." };
        var command = new Command("backup", "Writes everything that a server cannot make again into one encrypted file, also while it runs. Offline keys are never in it.") { output, password, to, withoutKeys, withBlobs };
        place.AddTo(command);
        command.SetAction((parsed, cancel) => RunAsync(async () =>
        {
            var readers = Readers(parsed.GetValue(password), parsed.GetValue(to) ?? [], parsed.GetValue(withoutKeys));
            var made = await Backup.CreateAsync(new(place.Read(parsed), parsed.GetRequiredValue(output), readers) { WithoutKeys = parsed.GetValue(withoutKeys), WithBlobs = parsed.GetValue(withBlobs) }, cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(made, AdminContext.Default.BackupMade);
                return;
            }

            Console.Out.WriteLine($"{made.File}: {made.Rows} rows and {made.Files} files as they were at {Output.Time(made.At)}, {ByteSize.Format(made.Bytes)}{(readers.Seals ? ", encrypted" : ", in the clear")}.");
            Console.Out.WriteLine(parsed.GetValue(withBlobs) ? $"With the {made.Blobs - made.Missing.Length} files of releases." : $"Without the {made.Blobs} files of releases: keep a copy of where they are, or give --with-blobs.");
            if (!parsed.GetValue(withoutKeys))
                Console.Out.WriteLine("It holds the server's keys: who can open it can sign plans and certificates in the server's place. Offline keys are not in it; keep them as you do.");
            SayMissing(made.Missing);
        }));
        return command;
    }

    static Command PutBack()
    {
        var place = new ServerPlaceOptions();
        var file = new Argument<string>("BACKUP") { Description = "The file." };
        var password = KeyPassword.Option();
        var key = new Option<string?>("--key") { Description = $"File of the private sealing key that opens the backup; its password, if it has one, comes from {KeyPassword.Variable}." };
        var moved = new Option<bool>("--moved") { Description = "The server is moved, not lost: it was stopped for the backup and never runs again. Rollouts go on, and no number is left out." };
        var command = new Command("restore", "Puts a backup back into an empty data folder and an empty database, all or nothing.") { file, password, key, moved };
        place.AddTo(command);
        command.SetAction((parsed, cancel) => RunAsync(async () =>
        {
            var path = parsed.GetRequiredValue(file);
            using var own = parsed.GetValue(key) is { } given ? SealingFiles.ReadKey(given) : null;
            var done = await Restore.RunAsync(new(path, place.Read(parsed))
            {
                Key = own,
                Password = () => KeyPassword.Existing(parsed.GetValue(password), path),
                Moved = parsed.GetValue(moved),
            }, cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(done, AdminContext.Default.RestoreDone);
                return;
            }

            Console.Out.WriteLine($"{done.Rows} rows are back as they were at {Output.Time(done.BackupAt)}. Start the server with the options that it had.");
            Say(done);
        }));
        return command;
    }

    static void Say(RestoreDone done)
    {
        if (!done.Keys)
            Console.Out.WriteLine("The backup holds no keys: put keys/ and authorities/ of the server's data folder in their places first.");
        SayMissing(done.Missing);
        if (done.Roles.IsEmpty)
            return;
        Console.Out.WriteLine(
            $"""

            What was done after the backup is lost to this server, and devices may have seen it. So:
              rollouts     {(done.Held.IsEmpty ? "none was under way" : $"{string.Join(", ", done.Held)} {(done.Held.Length == 1 ? "is" : "are")} held: devices keep what they serve. Look, then: coppice rollout resume ID")}
              releases     if one was published, or a key or team changed, after the backup: publish a release, or
                           coppice root renew FILE {string.Join(' ', done.Roles.Select(role => $"--role {role}"))}
                           Until then devices that have seen it refuse the repository, and keep what they serve.
              root         if it was changed after the backup: coppice root apply with the same signed request
              revocations  of releases, devices, tokens and operators after the backup are undone: repeat them
              devices      that enrolled after the backup ask again with their keys; accept them
            """);
    }

    static void SayMissing(ImmutableArray<string> missing)
    {
        if (missing.IsEmpty)
            return;
        Console.Out.WriteLine($"Files of releases that are not there: {missing.Length}");
        foreach (var digest in missing.Take(10))
            Console.Out.WriteLine($"  {digest}");
        if (missing.Length > 10)
            Console.Out.WriteLine($"  and {missing.Length - 10} more (--json lists all)");
        Console.Out.WriteLine("Copy them to blobs/sha256/XX/SHA256 where the server keeps them (--blobs), or send them again: PUT /v1/blobs/SHA256.");
    }

    static Command Export()
    {
        var place = new ServerPlaceOptions();
        var output = new Option<string?>("--output", "-o") { Description = "The file; left out, standard output." };
        var command = new Command("export", "Writes the tables as lines of JSON, one for each row, without keys and secrets; also while the server runs.") { output };
        place.AddTo(command);
        command.SetAction((parsed, cancel) => RunAsync(async () =>
        {
            if (parsed.GetValue(output) is not { } file)
            {
                await using var standard = Console.OpenStandardOutput();
                await RowExchange.ExportAsync(place.Read(parsed), standard, cancel);
                return;
            }

            if (File.Exists(file))
                throw new BackupException($"{file} is there already; nothing was written. Choose another name.");
            long rows;
            await using (var stream = File.Create(file + ".part"))
                rows = await RowExchange.ExportAsync(place.Read(parsed), stream, cancel);
            File.Move(file + ".part", file);
            Console.Error.WriteLine($"{file}: {rows} rows.");
        }));
        return command;
    }

    static Command Import()
    {
        var place = new ServerPlaceOptions();
        var file = new Argument<string>("EXPORT") { Description = "The file; '-' for standard input." };
        var command = new Command("import", "Takes devices, groups, operators and policies of an export over into a server that was started once, is stopped and has none of them.") { file };
        place.AddTo(command);
        command.SetAction((parsed, cancel) => RunAsync(async () =>
        {
            await using var input = parsed.GetRequiredValue(file) is "-" ? Console.OpenStandardInput() : File.OpenRead(parsed.GetRequiredValue(file));
            var (taken, left) = await RowExchange.ImportAsync(place.Read(parsed), input, TimeProvider.System, cancel);
            if (parsed.GetValue(Json))
                Output.Json(new(taken, left), AdminContext.Default.Imported);
            else
                Console.Out.WriteLine($"Taken: {string.Join(", ", taken.Select(table => $"{table.Value} {table.Key}"))}. Left, since they rest on the other server's keys: {left} rows.");
        }));
        return command;
    }

    static BackupReaders Readers(string? password, string[] to, bool withoutKeys)
    {
        var keys = SealingFiles.ReadPublic(to);
        // For the owners of keys alone, or for nobody in particular, nobody is asked for a password.
        var wanted = password is not null || (keys.IsEmpty && !withoutKeys);
        return new(wanted ? KeyPassword.New(password, "the backup") : null, keys);
    }

    static Task<int> RunAsync(Func<Task> command) => Output.RunAsync(async () =>
    {
        try
        {
            await command();
        }
        catch (Exception e) when (e is BackupException or PublicationException or InvalidDataException or DataFolderBusyException or DatabaseUnavailableException or UntrustedMetadataException or IOException or UnauthorizedAccessException)
        {
            throw new ControlException(new(Title: e.Message), e);
        }
    });
}

/// <summary>The options that say where a server's state is: the same as those of <c>coppice serve</c>.</summary>
sealed class ServerPlaceOptions
{
    readonly Option<string> data = new("--data") { Description = "The server's data folder.", DefaultValueFactory = _ => "coppice-data" };
    readonly Option<string?> database = new("--database") { Description = $"PostgreSQL database of the tables, or @FILE that holds its address; else {ServeCommand.DatabaseVariable}, else a file in the data folder." };
    readonly Option<string?> blobs = new("--blobs") { Description = "Where files of releases are: a folder, or s3://BUCKET/PREFIX?region=NAME; else in the data folder." };

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[data, database, blobs])
            command.Options.Add(option);
    }

    /// <exception cref="UsageException">An option is wrong; says which.</exception>
    public ServerPlace Read(ParseResult parsed)
    {
        var (folder, bucket) = ServeCommand.ReadBlobs(parsed.GetValue(blobs));
        return new(parsed.GetRequiredValue(data)) { Database = ServeCommand.ReadDatabase(parsed.GetValue(database)), BlobFolder = folder, Bucket = bucket };
    }
}

/// <summary>What <c>coppice admin import --json</c> tells.</summary>
sealed record Imported(ImmutableSortedDictionary<string, long> Taken, long Left);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(BackupMade))]
[JsonSerializable(typeof(RestoreDone))]
[JsonSerializable(typeof(Imported))]
sealed partial class AdminContext : JsonSerializerContext;
