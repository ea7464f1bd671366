using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Coppice.Formats;

namespace Coppice.Graph;

/// <summary>A constant tensor with its bytes.</summary>
/// <param name="Name">As nodes refer to it; may be empty in an attribute.</param>
/// <param name="Type">Element type; not String and not a GGUF block.</param>
/// <param name="Dims">Outermost first; empty for a scalar.</param>
/// <param name="RawData">Row-major, little-endian elements; as many bytes as type and dims say. Not copied: whoever made it leaves it alone.</param>
public sealed record OnnxTensor(string Name, ElementType Type, ImmutableArray<long> Dims, ReadOnlyMemory<byte> RawData)
{
    /// <summary>For people.</summary>
    public string DocString { get; init; } = "";

    /// <summary>A tensor of 32-bit floats; the values are copied.</summary>
    public static OnnxTensor Of(string name, ReadOnlySpan<float> values, params ReadOnlySpan<long> dims)
    {
        var bytes = new byte[checked(values.Length * sizeof(float))];
        if (BitConverter.IsLittleEndian)
            MemoryMarshal.AsBytes(values).CopyTo(bytes);
        else
        {
            for (var i = 0; i < values.Length; i++)
                BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), values[i]);
        }
        return new(name, ElementType.Float32, [.. dims], bytes);
    }

    /// <summary>A tensor of 64-bit integers; the values are copied.</summary>
    public static OnnxTensor Of(string name, ReadOnlySpan<long> values, params ReadOnlySpan<long> dims)
    {
        var bytes = new byte[checked(values.Length * sizeof(long))];
        for (var i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(i * sizeof(long)), values[i]);
        return new(name, ElementType.Int64, [.. dims], bytes);
    }
}
