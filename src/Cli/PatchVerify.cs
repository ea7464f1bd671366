using System.CommandLine;
using Coppice.Delta;

namespace Coppice.Cli;

/// <summary><c>coppice patch verify PATCH [OLD…]</c>: whether a patch is whole, and with old files whether it makes the file that it names.</summary>
static class PatchVerify
{
    public static Command Build()
    {
        var file = new Argument<FileInfo>("PATCH") { Description = "The patch." };
        var olds = new Argument<FileInfo[]>("OLD") { Description = "The old files, to try the patch as well.", Arity = new(0, 64) };
        var threads = Patch.Threads();
        var command = new Command("verify", "Check that a patch is whole, and with old files that it makes the file it names.") { file, olds, threads };
        command.SetAction(parsed => Patch.Try(parsed, () =>
        {
            var path = parsed.GetRequiredValue(file).FullName;
            PatchHeader header;
            using (var patch = PatchApply.OpenPatch(path))
                header = PatchInspector.Read(patch).Header;
            if (parsed.GetValue(olds) is { Length: > 0 } given)
            {
                using var old = FileSources.Open(given);
                using var patch = PatchApply.OpenPatch(path);
                // Bytes may repeat earlier ones, so the result needs a place; it is gone afterwards.
                using var made = new FileStream(
                    Path.GetTempFileName(), FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
                var workers = parsed.GetValue(threads);
                PatchDecoder.Apply(patch, old.Sources, made, new() { Workers = workers, Run = Patch.OnThreads(workers) });
            }
            parsed.InvocationConfiguration.Output.WriteLine(
                $"The patch makes {header.NewLength} bytes with SHA-256 {Convert.ToHexStringLower(header.NewDigest.AsSpan())}.");
        }));
        return command;
    }
}
