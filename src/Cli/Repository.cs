using System.CommandLine;
using Coppice.Cli.Publishing;
using Coppice.Protocol;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice repository</c>: a signed static tree in a folder, for a web server, a CDN or a USB stick.</summary>
static class Repository
{
    public static Command Build() => new("repository", "Make and keep a repository in a folder, without a server.") { Init(), Refresh(), Status() };

    static readonly Argument<string> FolderArgument = new("FOLDER") { Description = "The repository's folder." };
    static readonly Option<string> KeysOption = new("--keys") { Description = "Folder of the keys.", Required = true };

    static Command Init()
    {
        var command = new Command("init", "Make new keys and an empty repository. Move the keys away from where the folder is served.") { FolderArgument, KeysOption };
        command.SetAction(parsed =>
        {
            var (folder, keysFolder) = (parsed.GetValue(FolderArgument)!, parsed.GetValue(KeysOption)!);
            using var keys = RepositoryKeys.Create();
            var tree = RepositoryTree.OpenFolder(folder, keys.Online);
            if (tree.IsInitialised)
                return Fail($"{folder} is a repository already; nothing was changed.");
            try
            {
                keys.Save(keysFolder, Environment.GetEnvironmentVariable(KeyFiles.PasswordVariable));
            }
            catch (IOException e)
            {
                return Fail($"The keys were not written: {e.Message} Choose an empty folder.");
            }

            var root = tree.Initialise(keys, TimeProvider.System.GetUtcNow());
            Console.WriteLine($"Made {folder}, with its keys in {keysFolder}.");
            Console.WriteLine($"Devices must pin this root: sha256 {Sha256Digest.Of(root.Span)}");
            return ExitCode.Done;
        });
        return command;
    }

    static Command Refresh()
    {
        var command = new Command("refresh", "Sign timestamp, snapshot and rollouts again before they expire.") { FolderArgument, KeysOption };
        command.SetAction(parsed => WithTree(parsed, tree =>
        {
            var now = TimeProvider.System.GetUtcNow();
            Console.WriteLine(tree.RefreshExpiry(now) ? "Signed again." : "Nothing is near its expiry.");
            foreach (var warning in tree.Status(now).Warnings)
                Console.Error.WriteLine($"warning: {warning}");
            return ExitCode.Done;
        }));
        return command;
    }

    static Command Status()
    {
        var keys = new Option<string?>("--keys") { Description = "Not needed any more: looking takes no key." };
        keys.Hidden = true;
        var json = Output.JsonOption();
        var command = new Command("status", "Who signs what, versions and expiries, and what should be done about them.") { FolderArgument, keys, json };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            using var repository = Ceremony.Open(parsed.GetValue(FolderArgument), null, null);
            var status = await repository.StatusAsync(cancel);
            if (parsed.GetValue(json))
                Output.Json(status, ControlContext.Default.RepositoryView);
            else
                RootKeys.Tell(status);
        }));
        return command;
    }

    static int WithTree(ParseResult parsed, Func<RepositoryTree, int> work)
    {
        try
        {
            using var online = KeyFiles.Online(parsed.GetValue(KeysOption)!);
            var folder = parsed.GetValue(FolderArgument)!;
            var tree = RepositoryTree.OpenFolder(folder, online);
            return tree.IsInitialised ? work(tree) : Fail($"{folder} is not a repository; make one with: coppice repository init {folder} --keys FOLDER");
        }
        catch (Exception e) when (e is PublicationException or UntrustedMetadataException)
        {
            return Fail(e.Message);
        }
    }

    static int Fail(string message)
    {
        Console.Error.WriteLine(message);
        return ExitCode.Failed;
    }
}
