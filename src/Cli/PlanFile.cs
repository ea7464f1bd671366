using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Coppice.Protocol;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Coppice.Cli;

/// <summary>Rollout plans in files: YAML, and JSON, which is YAML too.</summary>
public static class PlanFile
{
    /// <summary>Deepest nesting of a plan.</summary>
    const int MaxDepth = 16;

    /// <summary>Reads a plan; every problem comes with its line.</summary>
    /// <exception cref="UsageException">The file cannot be read, or is not a plan; says everything that is wrong.</exception>
    public static StartRollout Read(FileInfo file)
    {
        string text;
        try
        {
            if (file.Length > RolloutFile.MaxBytes)
                throw new UsageException($"{file}: has {file.Length} bytes; a plan has at most {RolloutFile.MaxBytes}.");
            text = File.ReadAllText(file.FullName);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{file}: {e.Message}");
        }

        return Read(text, file.Name);
    }

    /// <summary>Reads a plan's text.</summary>
    /// <param name="text">YAML or JSON.</param>
    /// <param name="name">The file's name, for what is said.</param>
    /// <exception cref="UsageException">It is not a plan; says everything that is wrong.</exception>
    public static StartRollout Read(string text, string name)
    {
        var lines = new Dictionary<string, long>(StringComparer.Ordinal);
        using var document = JsonDocument.Parse(ToJson(text, name, lines));
        if (RolloutFile.TryRead(document.RootElement, out var plan, out var problems))
            return plan;
        throw new UsageException(string.Join(Environment.NewLine, problems.Select(problem => $"{name}:{Line(lines, problem.Where)}: {problem}")));
    }

    /// <summary>The line of a field, else of what it would be in.</summary>
    static long Line(Dictionary<string, long> lines, string path)
    {
        for (var at = path; at.Length > 0; at = at[..Math.Max(0, at.LastIndexOfAny(['.', '[']))])
        {
            if (lines.TryGetValue(at, out var line))
                return line;
        }

        return 1;
    }

    static byte[] ToJson(string text, string name, Dictionary<string, long> lines)
    {
        var yaml = new YamlStream();
        try
        {
            yaml.Load(new StringReader(text));
        }
        catch (YamlException e)
        {
            throw new UsageException($"{name}:{e.Start.Line}: {e.Message}");
        }

        if (yaml.Documents.Count != 1)
            throw new UsageException($"{name}: holds {yaml.Documents.Count} documents; write one plan a file.");
        var bytes = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(bytes))
            Write(json, yaml.Documents[0].RootNode, "", name, lines, 0);
        return bytes.WrittenSpan.ToArray();
    }

    static void Write(Utf8JsonWriter json, YamlNode node, string path, string name, Dictionary<string, long> lines, int depth)
    {
        if (depth > MaxDepth)
            throw new UsageException($"{name}:{node.Start.Line}: nested deeper than {MaxDepth}; a plan is not.");
        lines[path] = node.Start.Line;
        switch (node)
        {
            case YamlMappingNode mapping:
                json.WriteStartObject();
                var seen = new HashSet<string>(StringComparer.Ordinal);
                foreach (var (key, value) in mapping.Children)
                {
                    if (key is not YamlScalarNode { Value: { } field })
                        throw new UsageException($"{name}:{key.Start.Line}: a field's name is text.");
                    if (!seen.Add(field))
                        throw new UsageException($"{name}:{key.Start.Line}: {field} is there twice.");
                    json.WritePropertyName(field);
                    Write(json, value, path.Length == 0 ? field : $"{path}.{field}", name, lines, depth + 1);
                }

                json.WriteEndObject();
                return;
            case YamlSequenceNode sequence:
                json.WriteStartArray();
                for (var i = 0; i < sequence.Children.Count; i++)
                    Write(json, sequence.Children[i], $"{path}[{i}]", name, lines, depth + 1);
                json.WriteEndArray();
                return;
            case YamlScalarNode scalar:
                WriteScalar(json, scalar);
                return;
            default:
                throw new UsageException($"{name}:{node.Start.Line}: aliases and tags are not for plans; write it out.");
        }
    }

    /// <summary>As YAML's core schema reads plain scalars; quoted ones are text.</summary>
    static void WriteScalar(Utf8JsonWriter json, YamlScalarNode scalar)
    {
        var text = scalar.Value ?? "";
        if (scalar.Style != ScalarStyle.Plain)
            json.WriteStringValue(text);
        else if (text is "" or "~" or "null" or "Null" or "NULL")
            json.WriteNullValue();
        else if (text is "true" or "True" or "TRUE" or "false" or "False" or "FALSE")
            json.WriteBooleanValue(text[0] is 't' or 'T');
        else if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole))
            json.WriteNumberValue(whole);
        else if (double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number))
            json.WriteNumberValue(number);
        else
            json.WriteStringValue(text);
    }

    /// <summary>A plan with defaults that suit a fleet's size, and words on each.</summary>
    public static string Draft(string model, string release, int devices)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"# Rollout of {model} {release} to about {devices} devices. Try it first: coppice rehearse FILE --devices {devices}");
        text.AppendLine(CultureInfo.InvariantCulture, $"model: {model}");
        text.AppendLine(CultureInfo.InvariantCulture, $"release: {release}");
        if (devices < GatesFrom)
        {
            text.Append("""
                # A fleet this small is looked at device by device: the first failure holds the rollout.
                phases:
                  - { share: 10 %, soak: 24h }
                  - { share: 50 %, soak: 24h }
                  - { share: 100 %, soak: 24h }
                policy: { maxFailures: 0, onFailure: hold }
                # A device that began and is silent for longer is no longer waited for.
                deadline: 3d

                """);
        }
        else
        {
            text.Append("""
                phases:
                  - { share: 1 %, soak: 4h }
                  - { share: 10 %, soak: 24h }
                  - { share: 50 %, soak: 24h }
                  - { share: 100 %, soak: 24h }
                # All must be good before the next phase; one that is bad stops the rollout. Looking often costs nothing.
                gates:
                  - { gate: failures, max: 2 % }
                  - { gate: crashes, max: 1 % }
                  - { gate: silence, max: 5 % }
                # Where devices have run a release before:
                #  - { gate: metric, metric: latencyP95Ms, against: before, maxRise: 20 % }
                #  - { gate: metric, metric: accuracy, against: before, maxDrop: 0.02 }
                policy: { onFailure: revert }
                confidence: 0.95
                # A device that began and is silent for longer counts as silent.
                deadline: 24h
                # The devices of a phase begin spread over this time.
                spread: 1h

                """);
        }

        return text.ToString();
    }

    /// <summary>From so many devices on, one failing device says little and shares say much.</summary>
    const int GatesFrom = 2_000;
}
