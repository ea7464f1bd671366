using System.CommandLine;
using System.Diagnostics;
using Coppice.Cli.Quickstart;
using Spectre.Console;

namespace Coppice.Cli;

/// <summary><c>coppice quickstart</c>: the whole product on this machine, in under a minute.</summary>
static class QuickstartCommand
{
    static readonly Option<DirectoryInfo?> DirOption = new("--dir") { Description = "Keep everything in this folder, which must be empty or not there. Default: a temporary one." };

    public static Command Build()
    {
        var command = new Command("quickstart", "See it work: a server, six devices, a good, a better and a bad release, and a device killed in mid-update.") { DirOption };
        command.SetAction((parsed, cancel) => RunAsync(parsed.GetValue(DirOption), cancel));
        return command;
    }

    static async Task<int> RunAsync(DirectoryInfo? kept, CancellationToken cancel)
    {
        if (kept is { Exists: true } && kept.EnumerateFileSystemInfos().Any())
        {
            Console.Error.WriteLine($"--dir: {kept.FullName} is not empty; give an empty folder, or one that is not there.");
            return ExitCode.Usage;
        }

        var folder = kept?.FullName ?? Directory.CreateTempSubdirectory("coppice-quickstart-").FullName;
        Directory.CreateDirectory(folder);
        var start = Stopwatch.GetTimestamp();
        try
        {
            var narrator = new Narrator(AnsiConsole.Console);
            await using (var story = new QuickstartStory(folder, narrator))
            {
                await story.TellAsync(cancel);
                narrator.Chapter($"Seen in {Stopwatch.GetElapsedTime(start).TotalSeconds:0} s");
                foreach (var line in story.Seen)
                    narrator.Say($"  ✓ {line}");
            }

            narrator.Say("");
            narrator.Say("Next:");
            narrator.Say("  coppice quickstart --dir ./fleet                     keep it all: keys, repository, devices' folders");
            narrator.Say("  coppice agent explain --data ./fleet/press-1         what runs on a device, and why");
            narrator.Say("  coppice serve --data ./fleet/server                  the same server again; then: coppice rollout list, coppice device list");
            return ExitCode.Done;
        }
        catch (QuickstartException e)
        {
            Console.Error.WriteLine(e.Message);
            return ExitCode.Failed;
        }
        finally
        {
            if (kept is null)
                Directory.Delete(folder, recursive: true);
        }
    }
}
