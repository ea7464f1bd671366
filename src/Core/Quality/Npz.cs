using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.IO.Compression;
using System.Text;
using Coppice.Formats;
using Coppice.Registry;

namespace Coppice.Quality;

/// <summary>Evaluation sets as NumPy archives (<c>numpy.savez</c>): an array for each input, first dimension the samples, and
/// <c>label</c> or, for each expected output, <c>expected.NAME</c>.</summary>
/// <remarks>The .npy form is NumPy Enhancement Proposal 1, versions 1 to 3; little-endian, C order, plain numbers.</remarks>
public static class Npz
{
    /// <summary>Whether a file begins as a zip archive does; what does not is read as JSON lines.</summary>
    public static bool Looks(ReadOnlySpan<byte> start) => start.StartsWith("PK\x3\x4"u8);

    /// <summary>Reads a set for a model.</summary>
    /// <param name="file">The archive; seekable.</param>
    /// <param name="signature">The model's inputs and outputs.</param>
    /// <param name="set">The set when there is no problem.</param>
    /// <param name="problems">What is wrong, by array.</param>
    public static bool TryRead(Stream file, TensorSignature signature, [NotNullWhen(true)] out EvaluationSet? set, out ImmutableArray<Problem> problems)
    {
        set = null;
        try
        {
            using var archive = new ZipArchive(file, ZipArchiveMode.Read, leaveOpen: true);
            var arrays = new Dictionary<string, NpyArray>(StringComparer.Ordinal);
            var budget = EvaluationSet.MaxBytes;
            foreach (var entry in archive.Entries)
            {
                if (!entry.FullName.EndsWith(".npy", StringComparison.Ordinal))
                    continue;
                using var stream = entry.Open();
                var array = NpyArray.Read(stream, entry.FullName, budget);
                budget -= array.Values.Length * (long)sizeof(double);
                arrays[entry.FullName[..^4]] = array;
            }

            return TryAssemble(arrays, signature, out set, out problems);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or MalformedFileException)
        {
            problems = [new("", e.Message)];
            return false;
        }
    }

    static bool TryAssemble(Dictionary<string, NpyArray> arrays, TensorSignature signature, out EvaluationSet? set, out ImmutableArray<Problem> problems)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        var wanted = signature.Inputs.Select(input => input.Name).ToList();
        foreach (var missing in wanted.Where(name => !arrays.ContainsKey(name)))
            found.Add(new(missing, $"is missing; the model takes {string.Join(", ", signature.Inputs)}, the archive has {string.Join(", ", arrays.Keys)}."));
        var answers = signature.Outputs.Select((output, index) => (index, Array: arrays.GetValueOrDefault("expected." + output.Name))).Where(pair => pair.Array is not null).ToList();
        var labels = arrays.GetValueOrDefault("label");
        if (labels is null && answers.Count == 0)
            found.Add(new("label", "neither label nor expected.NAME is there; give the right answers."));
        var used = found.Count == 0 ? wanted.Select(name => arrays[name]).Concat(answers.Select(pair => pair.Array!)).Concat(labels is null ? [] : [labels]).ToList() : [];
        if (used.Any(array => array.Shape.Length == 0 || array.Shape[0] != used[0].Shape[0] || array.Shape[0] is 0 or > EvaluationSet.MaxSamples))
            found.Add(new("", $"the arrays' first dimensions are {string.Join(", ", used.Select(array => array.Shape.FirstOrDefault()))}; all are the number of samples, 1 to {EvaluationSet.MaxSamples}."));
        if (labels?.Values.FirstOrDefault(value => value < 0 || value != Math.Truncate(value) || value > int.MaxValue) is { } bad and not 0)
            found.Add(new("label", string.Create(CultureInfo.InvariantCulture, $"{bad} is not the index of a class; write whole numbers, 0 and up.")));

        var samples = ImmutableArray.CreateBuilder<Sample>();
        for (var i = 0; found.Count == 0 && i < used[0].Shape[0]; i++)
        {
            var inputs = ImmutableArray.CreateBuilder<Inference.Tensor>();
            foreach (var input in signature.Inputs)
            {
                var array = arrays[input.Name];
                if (NumberBuffer.TryFit(input, array.Shape.AsSpan(1), array.Row(i), out var tensor, out var misfit))
                    inputs.Add(tensor);
                else
                    found.Add(new(input.Name, misfit));
            }

            samples.Add(new(
                inputs.ToImmutable(),
                labels is null ? null : (int)labels.Values[i],
                [.. answers.Select(pair => new ExpectedOutput(pair.index, [.. pair.Array!.Row(i).ToArray().Select(value => (float)value)]))]));
        }

        problems = found.ToImmutable();
        set = problems.IsEmpty ? new(samples.ToImmutable()) : null;
        return set is not null;
    }
}

/// <summary>An array of numbers from a .npy file.</summary>
/// <param name="Shape">Row-major.</param>
/// <param name="Values">As doubles; 64-bit integers beyond 2^53 are rounded.</param>
sealed record NpyArray(long[] Shape, double[] Values)
{
    public ReadOnlySpan<double> Row(int index)
    {
        var size = Values.Length / (int)Shape[0];
        return Values.AsSpan(index * size, size);
    }

    public static NpyArray Read(Stream stream, string name, long budget)
    {
        Span<byte> start = stackalloc byte[12];
        stream.ReadExactly(start[..8]);
        if (start[0] != 0x93 || !start[1..].StartsWith("NUMPY"u8))
            throw new MalformedFileException("npy", 0, $"{name} does not begin with \\x93NUMPY; save it with numpy.savez.");
        var wide = start[6] >= 2;
        stream.ReadExactly(start[8..(wide ? 12 : 10)]);
        var headerLength = wide ? BinaryPrimitives.ReadUInt32LittleEndian(start[8..]) : BinaryPrimitives.ReadUInt16LittleEndian(start[8..]);
        if (headerLength > 64 << 10)
            throw new MalformedFileException("npy", 8, $"{name} has a header of {headerLength} bytes; at most 64 KiB are taken.");
        var header = new byte[headerLength];
        stream.ReadExactly(header);
        var (type, shape) = Header(Encoding.Latin1.GetString(header), name);

        var count = 1L;
        foreach (var dimension in shape)
            count = dimension >= 0 && (dimension == 0 || count <= budget / dimension) ? count * dimension : long.MaxValue;
        if (count > budget / sizeof(double) || count > Array.MaxLength)
            throw new MalformedFileException("npy", 10, $"{name} says [{string.Join(", ", shape)}], more than the {EvaluationSet.MaxBytes >> 20} MiB that are taken; take a part of it.");

        var values = new double[count];
        var size = type[1] - '0';
        var chunk = new byte[size * 4096];
        for (var i = 0; i < values.Length;)
        {
            var part = chunk.AsSpan(0, (int)Math.Min(chunk.Length, (values.Length - (long)i) * size));
            stream.ReadExactly(part);
            for (; !part.IsEmpty; part = part[size..])
                values[i++] = Value(type, part);
        }

        return new(shape, values);
    }

    /// <summary>The header is a Python dictionary in one fixed spelling: {'descr': '&lt;f4', 'fortran_order': False, 'shape': (3, 4), }.</summary>
    static (string Type, long[] Shape) Header(string header, string name)
    {
        static string? After(string text, string key) =>
            text.IndexOf(key, StringComparison.Ordinal) is >= 0 and var at ? text[(at + key.Length)..].TrimStart(' ', ':') : null;

        var type = After(header, "'descr'") is ['\'', var order, var kind, var digit, '\'', ..] && order is '<' or '|' ? $"{kind}{digit}" : null;
        if (type is not ("f2" or "f4" or "f8" or "i1" or "i2" or "i4" or "i8" or "u1" or "u2" or "u4" or "u8" or "b1"))
            throw new MalformedFileException("npy", 10, $"{name} is not of plain little-endian numbers; found the header {header.Trim()}.");
        if (After(header, "'fortran_order'")?.StartsWith("False", StringComparison.Ordinal) != true)
            throw new MalformedFileException("npy", 10, $"{name} is in Fortran order; save numpy.ascontiguousarray of it.");
        var shape = After(header, "'shape'");
        var end = shape?.IndexOf(')', StringComparison.Ordinal) ?? -1;
        if (shape is not ['(', ..] || end < 0)
            throw new MalformedFileException("npy", 10, $"{name} has no shape in its header {header.Trim()}.");
        var dimensions = shape[1..end].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return (type, [.. dimensions.Select(text => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var dimension)
            ? dimension
            : throw new MalformedFileException("npy", 10, $"{name} has the dimension '{text}'; write whole numbers."))]);
    }

    static double Value(string type, ReadOnlySpan<byte> bytes) => type switch
    {
        "f2" => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
        "f4" => BinaryPrimitives.ReadSingleLittleEndian(bytes),
        "f8" => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
        "i1" => (sbyte)bytes[0],
        "i2" => BinaryPrimitives.ReadInt16LittleEndian(bytes),
        "i4" => BinaryPrimitives.ReadInt32LittleEndian(bytes),
        "i8" => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        "u2" => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        "u4" => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        "u8" => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        _ => bytes[0],
    };
}
