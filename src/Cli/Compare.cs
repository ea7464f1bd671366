using System.CommandLine;
using Coppice.Formats.Comparison;

namespace Coppice.Cli;

/// <summary><c>coppice compare</c>: what differs between two model files, tensor by tensor. Differing is not failing: it exits with 0.</summary>
public static class Compare
{
    public static Command Build()
    {
        var old = new Argument<string>("OLD") { Description = "The model before." };
        var entry = new Argument<string>("NEW") { Description = "The model after; its format may be another one." };
        var json = new Option<bool>("--json") { Description = "One JSON document instead of tables." };
        var command = new Command("compare", "Show what changed from one model file to another, tensor by tensor.") { old, entry, json };
        command.SetAction(parsed => ModelOnDisk.Try(parsed, () =>
        {
            using var before = ModelOnDisk.Open(parsed.GetRequiredValue(old));
            using var after = ModelOnDisk.Open(parsed.GetRequiredValue(entry));
            var diff = ModelDiff.Between(before.Content, after.Content);
            var output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
                CompareReport.WriteJson(output, before.Path, after.Path, diff);
            else
                CompareReport.WriteTables(output, before.Path, after.Path, diff);
        }));
        return command;
    }
}
