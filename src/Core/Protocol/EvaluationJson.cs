using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Coppice.Inference;
using Coppice.Quality;
using Coppice.Registry;

namespace Coppice.Protocol;

/// <summary>Evaluation sets as JSON lines: <c>{"inputs": {"x": [[0.1, 0.2]]}, "label": 2}</c> or <c>{"inputs": {…}, "expected": {"y": [0.3]}}</c>.</summary>
/// <remarks>Arrays are nested as the shape is; the batch dimension may be left out. Blank lines are passed over. Specified in docs/formats/evaluation.md.</remarks>
public static class EvaluationJson
{
    /// <summary>Most problems that are told about one file.</summary>
    const int MaxProblems = 20;

    /// <summary>Reads a set for a model.</summary>
    /// <param name="utf8">The whole file.</param>
    /// <param name="signature">The model's inputs and outputs: they say which element types the numbers become.</param>
    /// <param name="set">The set when there is no problem.</param>
    /// <param name="problems">What is wrong, by line; at most 20.</param>
    public static bool TryRead(
        ReadOnlySpan<byte> utf8, TensorSignature signature, [NotNullWhen(true)] out EvaluationSet? set, out ImmutableArray<Problem> problems)
    {
        var samples = ImmutableArray.CreateBuilder<Sample>();
        var found = ImmutableArray.CreateBuilder<Problem>();
        var bytes = 0L;
        for (var line = 1; !utf8.IsEmpty && found.Count < MaxProblems; line++)
        {
            var end = utf8.IndexOf((byte)'\n');
            var text = (end < 0 ? utf8 : utf8[..end]).Trim(" \t\r"u8);
            utf8 = end < 0 ? [] : utf8[(end + 1)..];
            if (text.IsEmpty)
                continue;
            try
            {
                var sample = new SampleReader(text, signature).Read();
                samples.Add(sample);
                foreach (var tensor in sample.Inputs)
                    bytes += tensor.Bytes.Length;
            }
            catch (JsonException e)
            {
                found.Add(new($"line {line}", e.Message));
            }

            if (samples.Count > EvaluationSet.MaxSamples || bytes > EvaluationSet.MaxBytes)
            {
                found.Add(new($"line {line}", $"the set has more than {EvaluationSet.MaxSamples} samples or {EvaluationSet.MaxBytes >> 20} MiB of inputs; take a part of it."));
                break;
            }
        }

        if (found.Count == 0 && samples.Count == 0)
            found.Add(new("", "there is no sample in the file; write one JSON object a line."));
        problems = found.ToImmutable();
        set = problems.IsEmpty ? new(samples.ToImmutable()) : null;
        return set is not null;
    }

    /// <summary>Writes samples with what a model answered as their expected outputs: a golden set.</summary>
    public static void WriteLine(IBufferWriter<byte> to, TensorSignature signature, Sample sample)
    {
        using (var writer = new Utf8JsonWriter(to))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("inputs"u8);
            for (var i = 0; i < signature.Inputs.Length; i++)
            {
                writer.WritePropertyName(signature.Inputs[i].Name);
                WriteNested(writer, sample.Inputs[i].Shape, new TensorResult(sample.Inputs[i]));
            }

            writer.WriteEndObject();
            if (sample.Label is { } label)
                writer.WriteNumber("label"u8, label);
            if (!sample.Expected.IsEmpty)
            {
                writer.WriteStartObject("expected"u8);
                foreach (var expected in sample.Expected)
                {
                    writer.WriteStartArray(signature.Outputs[expected.Output].Name);
                    foreach (var value in expected.Values)
                        WriteNumber(writer, value);
                    writer.WriteEndArray();
                }

                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        to.Write("\n"u8);
    }

    static void WriteNested(Utf8JsonWriter writer, ReadOnlySpan<long> shape, TensorResult tensor)
    {
        var values = Answer.Values(tensor, 0);
        var next = 0;
        Write(shape, values);

        void Write(ReadOnlySpan<long> rest, ReadOnlySpan<float> all)
        {
            if (rest.IsEmpty)
            {
                WriteNumber(writer, all[next++]);
                return;
            }

            writer.WriteStartArray();
            for (var i = 0L; i < rest[0]; i++)
                Write(rest[1..], all);
            writer.WriteEndArray();
        }
    }

    /// <summary>JSON has no NaN and no infinity: they travel as the names that JSON.NET and Python agree on.</summary>
    static void WriteNumber(Utf8JsonWriter writer, float value)
    {
        if (float.IsFinite(value))
            writer.WriteNumberValue(value);
        else
            writer.WriteStringValue(float.IsNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    }

    /// <summary>A tensor seen as the only output of a run, so that its elements are read by the same code.</summary>
    sealed class TensorResult(Tensor tensor) : InferenceResult
    {
        public override int Count => 1;

        public override Formats.ElementType TypeOf(int output) => tensor.Type;

        public override ReadOnlySpan<long> ShapeOf(int output) => tensor.Shape;

        public override ReadOnlySpan<byte> BytesOf(int output) => tensor.Bytes.Span;

        protected override void Dispose(bool disposing)
        {
        }
    }
}
