using System.CommandLine;
using Coppice.Formats;
using Coppice.Formats.Comparison;

namespace Coppice.Cli;

/// <summary><c>coppice inspect</c>: what a model file says of itself, without loading it.</summary>
public static class Inspect
{
    public static Command Build()
    {
        var file = new Argument<string>("FILE") { Description = "The model file; its format is found from its bytes." };
        var json = new Option<bool>("--json") { Description = "One JSON document instead of tables." };
        var command = new Command("inspect", "Show a model file: format, signature, needs, tensors.") { file, json };
        command.SetAction(parsed => ModelOnDisk.Try(parsed, () =>
        {
            using var model = ModelOnDisk.Open(parsed.GetRequiredValue(file));
            var output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
                InspectReport.WriteJson(output, model);
            else
                InspectReport.WriteTables(output, model);
        }));
        return command;
    }
}

/// <summary>A model file that is open while a command looks at it; files beside it are opened when a tensor is in them.</summary>
sealed class ModelOnDisk : IDisposable
{
    readonly List<Stream> open = [];

    ModelOnDisk(string path)
    {
        Path = path;
        Content = ModelContent.Read(new StreamSource(OpenStream(path)), OpenBeside);
    }

    public string Path { get; }

    public ModelContent Content { get; }

    public ModelFile File => Content.File;

    public static ModelOnDisk Open(string path)
    {
        try
        {
            return new(path);
        }
        catch (MalformedFileException problem)
        {
            throw new IOException($"{path}: {problem.Message}", problem);
        }
    }

    /// <summary>Whether a file that tensors lie in is beside the model and long enough.</summary>
    public bool Has(ExternalFile external) => new FileInfo(Beside(external.Path)) is { Exists: true } file && file.Length >= external.BytesNeeded;

    /// <summary>Runs a command that looks at files; a bad one ends it with a line that says why.</summary>
    public static int Try(ParseResult parsed, Action look)
    {
        try
        {
            look();
            return ExitCode.Done;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or MalformedFileException)
        {
            parsed.InvocationConfiguration.Error.WriteLine(problem.Message);
            return ExitCode.Failed;
        }
    }

    public void Dispose()
    {
        foreach (var stream in open)
            stream.Dispose();
    }

    readonly Dictionary<string, IByteSource?> beside = [];

    IByteSource? OpenBeside(string relative)
    {
        if (!beside.TryGetValue(relative, out var source))
        {
            source = System.IO.File.Exists(Beside(relative)) ? new StreamSource(OpenStream(Beside(relative))) : null;
            beside.Add(relative, source);
        }
        return source;
    }

    // The reader has refused absolute paths and '..' already.
    string Beside(string relative) => System.IO.Path.Combine(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!, relative);

    FileStream OpenStream(string path)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0); // the source has its own windows
        open.Add(stream);
        return stream;
    }
}
