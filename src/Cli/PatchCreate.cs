using System.CommandLine;
using Coppice.Delta;

namespace Coppice.Cli;

/// <summary><c>coppice patch create OLD… NEW -o PATCH</c>.</summary>
static class PatchCreate
{
    public static Command Build()
    {
        var files = new Argument<FileInfo[]>("FILES") { Description = "Old files, and the new file last.", Arity = new(2, 65) };
        var output = new Option<FileInfo>("--output", "-o") { Description = "The patch to write.", Required = true };
        var level = new Option<PatchLevel>("--level") { Description = "How hard to try: fast, default or max.", DefaultValueFactory = _ => PatchLevel.Default };
        var threads = Patch.Threads();
        var json = Patch.Json();
        var command = new Command("create", "Make the patch that turns old files into a new one.") { files, output, level, threads, json };
        command.SetAction(parsed => Patch.Try(parsed, () =>
        {
            var given = parsed.GetRequiredValue(files);
            var to = parsed.GetRequiredValue(output);
            using var opened = FileSources.Open(given);
            var workers = parsed.GetValue(threads);
            using var patch = ReplacingFile.Create(to.FullName);
            var explanation = PatchEncoder.Create(
                [.. opened.Sources.SkipLast(1).Select(PatchSource.Of)], PatchSource.Of(opened.Sources[^1]), patch.Stream,
                new() { Level = parsed.GetValue(level), Workers = workers, Run = Patch.OnThreads(workers) });
            patch.Commit();
            if (parsed.GetValue(json))
                PatchReport.WriteJson(parsed.InvocationConfiguration.Output, explanation);
            else
                parsed.InvocationConfiguration.Output.WriteLine(PatchReport.Summary(explanation));
        }));
        return command;
    }
}
