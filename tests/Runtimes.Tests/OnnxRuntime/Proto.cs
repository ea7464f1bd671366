using System.Buffers.Binary;
using System.Text;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

/// <summary>Writes protobuf, enough for a small ONNX model.</summary>
sealed class Proto
{
    readonly List<byte> bytes = [];

    public Proto Number(int field, long value) => Varint((ulong)(field << 3)).Varint((ulong)value);

    public Proto Text(int field, string text) => Bytes(field, Encoding.UTF8.GetBytes(text));

    public Proto Message(int field, Proto message) => Bytes(field, message.ToArray());

    public Proto Bytes(int field, ReadOnlySpan<byte> value)
    {
        Varint((ulong)((field << 3) | 2)).Varint((ulong)value.Length);
        bytes.AddRange(value);
        return this;
    }

    public Proto Float(int field, float value)
    {
        Varint((ulong)((field << 3) | 5));
        Span<byte> four = stackalloc byte[4];
        BinaryPrimitives.WriteSingleLittleEndian(four, value);
        bytes.AddRange(four);
        return this;
    }

    public byte[] ToArray() => [.. bytes];

    Proto Varint(ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            bytes.Add((byte)(value | 0x80));
        bytes.Add((byte)value);
        return this;
    }
}
