using System.CommandLine;
using Coppice.Delta;

namespace Coppice.Cli;

/// <summary><c>coppice patch</c>: makes, applies, explains and checks patches from old model files to a new one.</summary>
public static class Patch
{
    public static Command Build() => new("patch", "Make and apply patches from old model files to a new one.")
    {
        PatchCreate.Build(), PatchApply.Build(), PatchExplain.Build(), PatchVerify.Build(),
    };

    /// <summary>Runs a verb, and turns what is wrong with files into a line on standard error.</summary>
    internal static int Try(ParseResult parsed, Action verb)
    {
        try
        {
            verb();
            return ExitCode.Done;
        }
        catch (Exception e) when (e is MalformedPatchException or WrongBaseException or IOException or UnauthorizedAccessException)
        {
            parsed.InvocationConfiguration.Error.WriteLine(e.Message);
            return ExitCode.Failed;
        }
    }

    internal static Option<bool> Json() => new("--json") { Description = "One JSON document instead of text." };

    internal static Option<int> Threads() => new("--threads")
    {
        Description = "Threads that work at once; all processors by default.",
        DefaultValueFactory = _ => Math.Min(64, Environment.ProcessorCount),
    };

    internal static ForEach? OnThreads(int threads) => threads == 1
        ? null
        : (count, body) => Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads }, body);
}
