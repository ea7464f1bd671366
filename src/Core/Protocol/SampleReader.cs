using System.Collections.Immutable;
using System.Text.Json;
using Coppice.Inference;
using Coppice.Quality;
using Coppice.Registry;

namespace Coppice.Protocol;

/// <summary>Reads one line of an evaluation set.</summary>
ref struct SampleReader
{
    /// <summary>Most dimensions of a tensor.</summary>
    const int MaxRank = 16;

    readonly ImmutableArray<TensorSpec> inputs;
    readonly ImmutableArray<TensorSpec> outputs;
    Utf8JsonReader reader;

    public SampleReader(ReadOnlySpan<byte> line, TensorSignature signature)
    {
        reader = new(line, new JsonReaderOptions { MaxDepth = MaxRank + 4, AllowMultipleValues = false });
        (inputs, outputs) = (signature.Inputs, signature.Outputs);
    }

    /// <exception cref="JsonException">The line is not a sample of this model.</exception>
    public Sample Read()
    {
        var given = new Tensor?[inputs.Length];
        int? label = null;
        var expected = ImmutableArray.CreateBuilder<ExpectedOutput>();
        Expect(JsonTokenType.StartObject, "a sample is an object");
        while (Next() == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            Next();
            switch (name)
            {
                case "inputs":
                    ReadInputs(given);
                    break;
                case "label":
                    label = reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var index) && index >= 0
                        ? index
                        : throw new JsonException("label: write the index of the right class, 0 and up.");
                    break;
                case "expected":
                    ReadExpected(expected);
                    break;
                default:
                    reader.Skip(); // notes of the writer: an id, a comment
                    break;
            }
        }

        for (var i = 0; i < given.Length; i++)
        {
            if (given[i] is null)
                throw new JsonException($"inputs.{inputs[i].Name} is missing; the model takes {string.Join(", ", inputs)}.");
        }

        if (label is null && expected.Count == 0)
            throw new JsonException("neither label nor expected is there; give the right answer.");
        return new([.. given.Select(tensor => tensor!.Value)], label, expected.ToImmutable());
    }

    void ReadInputs(Tensor?[] given)
    {
        Is(JsonTokenType.StartObject, "inputs is an object of arrays");
        while (Next() == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            var at = Index(inputs, name, "inputs");
            Next();
            var (shape, values) = Numbers($"inputs.{name}");
            if (!NumberBuffer.TryFit(inputs[at], shape, values.ToArray(), out var tensor, out var misfit))
                throw new JsonException($"inputs.{name}: {misfit}");
            given[at] = tensor;
        }
    }

    void ReadExpected(ImmutableArray<ExpectedOutput>.Builder expected)
    {
        Is(JsonTokenType.StartObject, "expected is an object of arrays");
        while (Next() == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            var at = Index(outputs, name, "expected");
            Next();
            var (_, values) = Numbers($"expected.{name}");
            expected.Add(new(at, [.. values.Select(value => (float)value)]));
        }
    }

    static int Index(ImmutableArray<TensorSpec> specs, string name, string where)
    {
        for (var i = 0; i < specs.Length; i++)
        {
            if (specs[i].Name == name)
                return i;
        }

        throw new JsonException($"{where}.{name} is not of this model; it has {string.Join(", ", specs)}.");
    }

    /// <summary>A number, or arrays of arrays of numbers, all of one shape.</summary>
    (long[] Shape, List<double> Values) Numbers(string where)
    {
        var values = new List<double>();
        var shape = new List<long>();
        Dimension(where, 0, shape, values);
        return ([.. shape], values);
    }

    void Dimension(string where, int depth, List<long> shape, List<double> values)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            if (depth < shape.Count)
                throw new JsonException($"{where}: a number stands where other rows have an array; all rows have one shape.");
            values.Add(Number(where));
            return;
        }

        if (depth == MaxRank)
            throw new JsonException($"{where}: nested deeper than {MaxRank}.");
        // The first row at a depth says how many elements every row there has; numbers that were already read show it is not the first.
        var first = depth == shape.Count;
        if (first && values.Count > 0)
            throw new JsonException($"{where}: an array stands where other rows have a number; all rows have one shape.");
        if (first)
            shape.Add(-1);
        var count = 0L;
        while (Next() != JsonTokenType.EndArray)
        {
            Dimension(where, depth + 1, shape, values);
            count++;
        }

        if (shape[depth] < 0)
            shape[depth] = count;
        else if (shape[depth] != count)
            throw new JsonException($"{where}: a row has {count} elements where others have {shape[depth]}; all rows have one shape.");
    }

    readonly double Number(string where) => reader.TokenType switch
    {
        JsonTokenType.Number => reader.GetDouble(),
        JsonTokenType.True => 1,
        JsonTokenType.False => 0,
        JsonTokenType.String when reader.ValueTextEquals("NaN"u8) => double.NaN,
        JsonTokenType.String when reader.ValueTextEquals("Infinity"u8) => double.PositiveInfinity,
        JsonTokenType.String when reader.ValueTextEquals("-Infinity"u8) => double.NegativeInfinity,
        _ => throw new JsonException($"{where}: found {reader.TokenType}; write numbers."),
    };

    JsonTokenType Next() => reader.Read() ? reader.TokenType : JsonTokenType.None;

    void Expect(JsonTokenType type, string what)
    {
        Next();
        Is(type, what);
    }

    readonly void Is(JsonTokenType type, string what)
    {
        if (reader.TokenType != type)
            throw new JsonException($"found {reader.TokenType}; {what}.");
    }
}
