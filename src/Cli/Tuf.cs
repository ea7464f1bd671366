using System.CommandLine;
using Coppice.Agent.Link.Tuf;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice tuf</c>: a bare TUF client on any repository, with the command line of the public tuf-conformance suite.</summary>
/// <remarks>It exits with 0 or 1 and nothing else.</remarks>
public static class Tuf
{
    const int MostTargetBytes = 512 * 1024 * 1024;

    public static Command Build()
    {
        var metadataFolder = new Option<DirectoryInfo>("--metadata-dir")
        {
            Description = "Folder of the trusted metadata.",
            Required = true,
            Recursive = true,
        };
        var metadataAddress = new Option<string>("--metadata-url") { Description = "Address of the repository's metadata.", Recursive = true };
        var targetNames = new Option<string[]>("--target-name") { Description = "Target path to download; may be repeated.", Recursive = true };
        var targetFolder = new Option<DirectoryInfo>("--target-dir") { Description = "Folder for downloaded targets.", Recursive = true };
        var targetAddress = new Option<string>("--target-base-url") { Description = "Address of the repository's targets.", Recursive = true };

        var rootFile = new Argument<FileInfo>("root") { Description = "The repository's root file, got in a way that is trusted." };
        var init = new Command("init", "Starts to trust a repository, from its root file.") { rootFile };
        init.SetAction(parsed => Run(() =>
        {
            Init(parsed.GetRequiredValue(metadataFolder), parsed.GetRequiredValue(rootFile));
            return Task.CompletedTask;
        }));

        var refresh = new Command("refresh", "Brings the trusted metadata up to date.");
        refresh.SetAction((parsed, cancel) => Run(async () =>
        {
            using var http = new HttpClient();
            var address = Given(parsed, metadataAddress);
            await Client(http, parsed.GetRequiredValue(metadataFolder), address, address).RefreshAsync(DateTimeOffset.UtcNow, cancel);
        }));

        var download = new Command("download", "Brings the trusted metadata up to date and downloads targets in the order given.");
        download.SetAction((parsed, cancel) => Run(async () =>
        {
            using var http = new HttpClient();
            var client = Client(http, parsed.GetRequiredValue(metadataFolder), Given(parsed, metadataAddress), Given(parsed, targetAddress));
            var folder = Given(parsed, targetFolder);
            await client.RefreshAsync(DateTimeOffset.UtcNow, cancel);
            foreach (var name in Given(parsed, targetNames))
                await DownloadAsync(client, name, folder, cancel);
        }));

        return new Command("tuf", "A TUF client for any repository.")
        {
            metadataFolder, metadataAddress, targetNames, targetFolder, targetAddress, init, refresh, download,
        };
    }

    static void Init(DirectoryInfo metadataFolder, FileInfo rootFile)
    {
        var root = File.ReadAllBytes(rootFile.FullName);
        // A root that its own keys did not sign would only be refused later, with less to say about why.
        _ = new TrustedMetadataSet(root, DateTimeOffset.UtcNow);
        new FolderMetadataStore(metadataFolder.FullName).Write(TopLevelRole.Root, root);
    }

    static TufClient Client(HttpClient http, DirectoryInfo metadataFolder, string metadata, string targets) =>
        new(new HttpSource(http, new Uri(metadata), new Uri(targets)), new FolderMetadataStore(metadataFolder.FullName));

    static async Task DownloadAsync(TufClient client, string name, DirectoryInfo folder, CancellationToken cancel)
    {
        var target = await client.GetTargetAsync(name, cancel)
            ?? throw new UntrustedMetadataException(name, Distrust.Missing, "no role of the repository speaks of it", "check the target path");
        var file = Path.Combine(folder.FullName, FileName(name));
        if (IsCached(file, target))
            return;
        var bytes = await client.DownloadTargetAsync(target, MostTargetBytes, cancel);
        folder.Create();
        await File.WriteAllBytesAsync(file + ".new", bytes, cancel);
        File.Move(file + ".new", file, overwrite: true);
    }

    static bool IsCached(string file, TargetInfo target)
    {
        if (!File.Exists(file) || new FileInfo(file).Length != target.Length)
            return false;
        try
        {
            target.Verify(File.ReadAllBytes(file));
            return true;
        }
        catch (UntrustedMetadataException)
        {
            return false; // an older version of the target, or a damaged copy: fetched again
        }
    }

    // Flat, so that no target path can leave the folder; a long one is named by its digest.
    static string FileName(string target)
    {
        var name = Uri.EscapeDataString(target);
        return name.Length <= 120 ? name : Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(target)).ToString();
    }

    static T Given<T>(ParseResult parsed, Option<T> option) where T : class =>
        parsed.GetValue(option) is { } value and not Array { Length: 0 }
            ? value
            : throw new ArgumentException($"{option.Name} is missing; this command needs it.");

    static async Task<int> Run(Func<Task> command)
    {
        try
        {
            await command();
            return 0;
        }
        // Whatever the repository, the network or the disk does, the answer is 1 and a line that says why.
        catch (Exception problem)
        {
            await Console.Error.WriteLineAsync(problem.Message);
            return 1;
        }
    }
}
