using System.Buffers;
using System.CommandLine;
using System.Text;
using System.Text.Json;
using Coppice.Cli.Publishing;
using Coppice.Cli.Verification;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice verify</c>: what is proved of a release, and what is not.</summary>
static class Verify
{
    static readonly Argument<string> ReleaseArgument = new("RELEASE") { Description = "Model and version, as plant/bearing@1.2.0." };
    static readonly Option<string?> RepositoryOption = new("--repository") { Description = "Folder or address of a repository; else that of COPPICE_SERVER." };
    static readonly Option<string?> BundleOption = new("--bundle") { Description = "A bundle in place of a repository." };
    static readonly Option<string?> RootOption = new("--root") { Description = "SHA-256 of a version of the repository's root metadata that you trust." };
    static readonly Option<string[]> AttestorOption = new("--attestor-key") { Description = "PEM file of a public key whose attestations count; repeat for more." };
    static readonly Option<string> GraceOption = new("--offline-grace") { Description = "Take a timestamp that expired this long ago, and say so.", DefaultValueFactory = _ => "0s" };
    static readonly Option<bool> JsonOption = Output.JsonOption();

    public static Command Build()
    {
        var command = new Command("verify", "Check a release from the trusted root down to its last byte, and say what is proved and what is not.")
        {
            ReleaseArgument, RepositoryOption, BundleOption, RootOption, AttestorOption, GraceOption, JsonOption,
        };
        command.SetAction(RunAsync);
        return command;
    }

    static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        VerificationReport report;
        string name;
        try
        {
            var (model, version) = ReleaseText.Read(parsed.GetRequiredValue(ReleaseArgument));
            name = $"{model} {version}";
            using var place = RepositoryPlace.Open(parsed.GetValue(RepositoryOption), parsed.GetValue(BundleOption));
            report = await new ReleaseVerification(
                place.Metadata, place.Files, Root(parsed, place), [.. (parsed.GetValue(AttestorOption) ?? []).Select(KeyFiles.Public)], RepositoryPlace.Grace(parsed.GetValue(GraceOption)))
                .RunAsync(model, version, TimeProvider.System.GetUtcNow(), cancel);
        }
        catch (Exception e) when (e is UsageException or PublicationException or MalformedFileException or IOException)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return e is UsageException ? ExitCode.Usage : ExitCode.Failed;
        }

        if (parsed.GetValue(JsonOption))
            WriteJson(name, report);
        else
            Say(name, report);
        return report.Holds ? ExitCode.Done : ExitCode.Failed;
    }

    /// <summary>What was named; else what is remembered of the server, as <c>coppice publish</c> does.</summary>
    static Sha256Digest? Root(ParseResult parsed, RepositoryPlace place) =>
        parsed.GetValue(RootOption) is not { } text ? place.Address is { } address ? KnownRoots.Of(address) : null
        : Sha256Digest.TryParse(text, out var digest) ? digest
        : throw new UsageException($"--root: '{text}' is not a SHA-256; give 64 hexadecimal digits.");

    static void Say(string name, VerificationReport report)
    {
        Part("Proved:", report.Proved, Console.Out);
        Part("Not proved:", report.NotProved, Console.Out);
        Part("WRONG:", report.Failed, Console.Error);
        (report.Holds ? Console.Out : Console.Error).WriteLine(report.Holds ? $"{name} holds." : $"{name} does NOT hold; do not use it.");
    }

    static void Part(string heading, IReadOnlyCollection<string> lines, TextWriter to)
    {
        if (lines.Count == 0)
            return;
        to.WriteLine(heading);
        foreach (var line in lines)
            to.WriteLine($"  {line}");
    }

    static void WriteJson(string name, VerificationReport report)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new() { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteString("release", name);
            writer.WriteBoolean("holds", report.Holds);
            Write("proved", report.Proved);
            Write("notProved", report.NotProved);
            Write("failed", report.Failed);
            writer.WriteEndObject();

            void Write(string part, IEnumerable<string> lines)
            {
                writer.WriteStartArray(part);
                foreach (var line in lines)
                    writer.WriteStringValue(line);
                writer.WriteEndArray();
            }
        }

        Console.WriteLine(Encoding.UTF8.GetString(buffer.WrittenSpan));
    }
}

/// <summary>Releases as a command line names them.</summary>
static class ReleaseText
{
    /// <summary>Reads <c>plant/bearing@1.2.0</c>.</summary>
    /// <exception cref="UsageException">It is none.</exception>
    public static (ModelName Model, SemanticVersion Version) Read(string text) =>
        text.Split('@') is [var name, var number] && ModelName.TryParse(name, out var model) && SemanticVersion.TryParse(number, out var version)
            ? (model, version)
            : throw new UsageException($"'{text}' is not a release; write MODEL@VERSION, as plant/bearing@1.2.0.");
}
