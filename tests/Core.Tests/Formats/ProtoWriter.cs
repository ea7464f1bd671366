using System.Text;

namespace Coppice.Core.Tests.Formats;

/// <summary>Protobuf messages, field by field, as wrong as a test wants them.</summary>
sealed class ProtoWriter
{
    readonly List<byte> bytes = [];

    public byte[] Bytes => [.. bytes];

    public ProtoWriter Number(int field, long value)
    {
        Varint((ulong)field << 3);
        Varint((ulong)value);
        return this;
    }

    public ProtoWriter Data(int field, ReadOnlySpan<byte> data)
    {
        Varint((ulong)field << 3 | 2);
        Varint((ulong)data.Length);
        bytes.AddRange(data);
        return this;
    }

    public ProtoWriter Text(int field, string text) => Data(field, Encoding.UTF8.GetBytes(text));

    public ProtoWriter Message(int field, ProtoWriter message) => Data(field, message.Bytes);

    public ProtoWriter Packed(int field, params ReadOnlySpan<long> numbers)
    {
        var list = new ProtoWriter();
        foreach (var number in numbers)
            list.Varint((ulong)number);
        return Data(field, list.Bytes);
    }

    /// <summary>A length that says more than follows.</summary>
    public ProtoWriter Lie(int field, ulong length)
    {
        Varint((ulong)field << 3 | 2);
        Varint(length);
        return this;
    }

    void Varint(ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            bytes.Add((byte)(value | 0x80));
        bytes.Add((byte)value);
    }
}
