using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Coppice.Cli.Publishing;
using Coppice.Quality;
using Coppice.Registry;
using Coppice.Trust;
using Spectre.Console;

namespace Coppice.Cli;

/// <summary>What <c>coppice publish</c> says, to people and to scripts.</summary>
static class PublishOutput
{
    public static void Problems(bool json, ImmutableArray<Problem> problems, ImmutableArray<Problem> warnings)
    {
        if (json)
        {
            WriteJson(writer =>
            {
                writer.WriteBoolean("published", false);
                WriteProblems(writer, "problems", problems);
                WriteProblems(writer, "warnings", warnings);
            });
            return;
        }

        Console.Error.WriteLine(problems.Length == 1 ? "Not published:" : $"Not published; {problems.Length} problems:");
        foreach (var problem in problems)
            Console.Error.WriteLine($"  {problem}");
        Warn(warnings);
    }

    public static void Done(bool json, CheckedRelease check, Sha256Digest digest, Publication? publication)
    {
        var manifest = check.Manifest;
        if (json)
        {
            WriteJson(writer =>
            {
                writer.WriteBoolean("published", publication is not null);
                writer.WriteString("model", manifest.Model.ToString());
                writer.WriteString("version", manifest.Version.ToString());
                writer.WriteString("digest", digest.ToString());
                if (publication is not null)
                {
                    writer.WriteNumber("bytesSent", publication.BytesSent);
                    writer.WriteNumber("bytesThere", publication.BytesThere);
                }

                writer.WriteStartArray("variants");
                foreach (var variant in manifest.Variants)
                    WriteVariant(writer, variant, check.Measures.GetValueOrDefault(variant.Name));
                writer.WriteEndArray();
                WriteProblems(writer, "problems", []);
                WriteProblems(writer, "warnings", check.Warnings);
            });
            return;
        }

        var table = new Table().Border(TableBorder.Simple).AddColumns("variant", "format", "size", "accuracy", "p95", "memory");
        foreach (var variant in manifest.Variants)
        {
            var measured = check.Measures.GetValueOrDefault(variant.Name);
            table.AddRow(
                Markup.Escape(variant.Name), variant.Format.ToString(), ByteSize.Format(variant.Length),
                measured?.ReleaseAccuracy is { } accuracy ? string.Create(CultureInfo.InvariantCulture, $"{100 * accuracy:0.#} %") : "–",
                measured?.LatencyP95 is { } p95 ? string.Create(CultureInfo.InvariantCulture, $"{p95.TotalMilliseconds:0.##} ms") : "–",
                measured?.Memory is { } memory ? ByteSize.Format(memory) : "–");
        }

        AnsiConsole.Write(table);
        Console.WriteLine(publication is null
            ? $"{manifest.Model} {manifest.Version} is in order; nothing was published."
            : $"Published {manifest.Model} {manifest.Version} ({digest.ToString()[..12]}): {ByteSize.Format(publication.BytesSent)} sent, {ByteSize.Format(publication.BytesThere)} were there.");
        Warn(check.Warnings);
        if (publication is not null)
            Console.WriteLine($"No device takes it before a rollout says so: coppice rollout start {manifest.Model} {manifest.Version} --share 0.1 --share 1 --soak 24h");
    }

    /// <summary>The very same release is there already.</summary>
    public static void Repeated(bool json, PublishedRelease there)
    {
        var manifest = there.Manifest;
        if (!json)
        {
            Console.WriteLine($"{manifest.Model} {manifest.Version} ({there.Digest.ToString()[..12]}) is published already with the same content; there is nothing to do.");
            return;
        }

        WriteJson(writer =>
        {
            writer.WriteBoolean("published", true);
            writer.WriteBoolean("repeated", true);
            writer.WriteString("model", manifest.Model.ToString());
            writer.WriteString("version", manifest.Version.ToString());
            writer.WriteString("digest", there.Digest.ToString());
        });
    }

    /// <summary>Shows a bar on a terminal; nothing elsewhere.</summary>
    public static Task<Publication> WithProgressAsync(bool json, ReleaseManifest manifest, Func<IProgress<long>, Task<Publication>> work)
    {
        if (json || !AnsiConsole.Profile.Capabilities.Interactive)
            return work(new Progress<long>());
        return AnsiConsole.Progress().Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new TransferSpeedColumn(), new RemainingTimeColumn()).StartAsync(async context =>
        {
            var bar = context.AddTask("files", maxValue: Math.Max(1, manifest.Blobs.Sum(blob => blob.Length)));
            return await work(new Progress<long>(bytes => bar.Value = bytes));
        });
    }

    static void Warn(ImmutableArray<Problem> warnings)
    {
        foreach (var warning in warnings)
            Console.Error.WriteLine($"warning: {warning}");
    }

    static void WriteVariant(Utf8JsonWriter writer, Variant variant, TrialMeasures? measured)
    {
        writer.WriteStartObject();
        writer.WriteString("name", variant.Name);
        writer.WriteNumber("bytes", variant.Length);
        if (measured is not null)
        {
            if (measured.ReleaseAccuracy is { } accuracy)
                writer.WriteNumber("accuracy", accuracy);
            if (measured.LatencyP95 is { } p95)
                writer.WriteNumber("latencyP95Ms", p95.TotalMilliseconds);
            if (measured.Memory is { } memory)
                writer.WriteNumber("memoryBytes", memory);
        }

        writer.WriteEndObject();
    }

    static void WriteProblems(Utf8JsonWriter writer, string name, ImmutableArray<Problem> problems)
    {
        writer.WriteStartArray(name);
        foreach (var problem in problems)
        {
            writer.WriteStartObject();
            writer.WriteString("where", problem.Where);
            writer.WriteString("what", problem.What);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    static void WriteJson(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new() { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        Console.WriteLine(Encoding.UTF8.GetString(buffer.WrittenSpan));
    }
}
