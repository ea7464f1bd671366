using System.CommandLine;
using Coppice.Delta;

namespace Coppice.Cli;

/// <summary><c>coppice patch explain PATCH</c>: where the bytes of a patch go.</summary>
static class PatchExplain
{
    public static Command Build()
    {
        var file = new Argument<FileInfo>("PATCH") { Description = "The patch." };
        var json = Patch.Json();
        var command = new Command("explain", "Show where the bytes of a patch go: technique and bits per weight of every tensor.") { file, json };
        command.SetAction(parsed => Patch.Try(parsed, () =>
        {
            using var patch = PatchApply.OpenPatch(parsed.GetRequiredValue(file).FullName);
            var (header, explanation) = PatchInspector.Read(patch);
            if (parsed.GetValue(json))
                PatchReport.WriteJson(parsed.InvocationConfiguration.Output, explanation, header);
            else
                PatchReport.WriteText(parsed.InvocationConfiguration.Output, explanation, header);
        }));
        return command;
    }
}
