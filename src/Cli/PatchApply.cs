using System.CommandLine;
using Coppice.Delta;

namespace Coppice.Cli;

/// <summary><c>coppice patch apply OLD… PATCH -o NEW</c>, or <c>coppice patch apply OLD PATCH --in-place</c>.</summary>
static class PatchApply
{
    public static Command Build()
    {
        var files = new Argument<FileInfo[]>("FILES") { Description = "Old files in the order of the patch, and the patch last.", Arity = new(1, 65) };
        var output = new Option<FileInfo?>("--output", "-o") { Description = "The new file to write." };
        var inPlace = new Option<bool>("--in-place") { Description = "Turn the one old file into the new one; a journal beside it makes that safe." };
        var threads = Patch.Threads();
        var command = new Command("apply", "Make the new file from old files and a patch.") { files, output, inPlace, threads };
        command.Validators.Add(result =>
        {
            if (result.GetValue(inPlace) == (result.GetValue(output) is not null))
                result.AddError("Give either --output NEW or --in-place.");
            else if (result.GetValue(inPlace) && result.GetValue(files) is not { Length: 2 })
                result.AddError("--in-place takes one old file and the patch.");
        });
        command.SetAction(parsed => Patch.Try(parsed, () =>
        {
            var given = parsed.GetRequiredValue(files);
            if (parsed.GetValue(inPlace))
            {
                ApplyInPlace(given[0].FullName, given[1].FullName);
                return;
            }
            using var old = FileSources.Open(given[..^1]);
            using var patch = OpenPatch(given[^1].FullName);
            using var made = ReplacingFile.Create(parsed.GetRequiredValue(output)!.FullName);
            var workers = parsed.GetValue(threads);
            PatchDecoder.Apply(patch, old.Sources, made.Stream, new() { Workers = workers, Run = Patch.OnThreads(workers) });
            made.Commit();
        }));
        return command;
    }

    internal static FileStream OpenPatch(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);

    static void ApplyInPlace(string path, string patchPath)
    {
        var journalPath = path + ".journal";
        try
        {
            using var target = new PatchedFile(path, FileMode.Open);
            using var journal = new PatchedFile(journalPath, FileMode.OpenOrCreate);
            InPlacePatch.Apply(() => OpenPatch(patchPath), target, journal);
        }
        catch when (new FileInfo(journalPath) is { Exists: true, Length: 0 })
        {
            File.Delete(journalPath); // nothing was begun
            throw;
        }

        File.Delete(journalPath);
    }
}
