using System.CommandLine;
using Coppice.Cli.Publishing;
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
            Console.WriteLine(tree.RefreshExpiry(TimeProvider.System.GetUtcNow()) ? "Signed again." : "Nothing is near its expiry.");
            return ExitCode.Done;
        }));
        return command;
    }

    static Command Status()
    {
        var command = new Command("status", "Versions and expiries, and what should be done about them.") { FolderArgument, KeysOption };
        command.SetAction(parsed => WithTree(parsed, tree =>
        {
            var status = tree.Status(TimeProvider.System.GetUtcNow());
            foreach (var role in status.Roles)
                Console.WriteLine($"{role.Role,-10} version {role.Version,-5} expires {role.Expires:u}{(role.Online ? "" : "  (offline key)")}");
            foreach (var warning in status.Warnings)
                Console.Error.WriteLine($"warning: {warning}");
            return ExitCode.Done;
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
        catch (PublicationException e)
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
