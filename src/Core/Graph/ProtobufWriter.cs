using System.Buffers.Binary;
using System.Text;

namespace Coppice.Graph;

/// <summary>Writes protobuf fields in the order it is told, or only counts the bytes they would take.</summary>
/// <remarks>
/// A nested message stands behind its own length, so it is measured before it is written. Measuring visits each message below it once;
/// writing a tree of depth d therefore costs d visits of each message, and never a copy of its bytes.
/// </remarks>
sealed class ProtobufWriter(Stream? output)
{
    const int Varint = 0, Fixed32 = 5, LengthDelimited = 2;

    /// <summary>Bytes written or counted so far.</summary>
    public long Length { get; private set; }

    /// <summary>The bytes that a message takes without its tag and length.</summary>
    public static long Measure<T>(T message, Action<ProtobufWriter, T> write)
    {
        var counter = new ProtobufWriter(null);
        write(counter, message);
        return counter.Length;
    }

    /// <summary>A nested message.</summary>
    public void Message<T>(int field, T message, Action<ProtobufWriter, T> write)
    {
        var length = Measure(message, write);
        Tag(field, LengthDelimited);
        Unsigned((ulong)length);
        if (output is null)
            Length = checked(Length + length);
        else
            write(this, message);
    }

    /// <summary>Nested messages, one field each.</summary>
    public void Messages<T>(int field, IEnumerable<T> messages, Action<ProtobufWriter, T> write)
    {
        foreach (var message in messages)
            Message(field, message, write);
    }

    /// <summary>An integer, negative ones in ten bytes.</summary>
    public void Int(int field, long value)
    {
        Tag(field, Varint);
        Unsigned((ulong)value);
    }

    /// <summary>A 32-bit float.</summary>
    public void Float(int field, float value)
    {
        Tag(field, Fixed32);
        Span<byte> bytes = stackalloc byte[sizeof(float)];
        BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
        Raw(bytes);
    }

    /// <summary>Text as UTF-8.</summary>
    public void Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    /// <summary>Text that is left out when it is empty, as the default of the field.</summary>
    public void TextIfAny(int field, string value)
    {
        if (value.Length > 0)
            Text(field, value);
    }

    /// <summary>Bytes as they are.</summary>
    public void Bytes(int field, ReadOnlySpan<byte> value)
    {
        Tag(field, LengthDelimited);
        Unsigned((ulong)value.Length);
        Raw(value);
    }

    void Tag(int field, int wire) => Unsigned((uint)field << 3 | (uint)wire);

    void Unsigned(ulong value)
    {
        Span<byte> bytes = stackalloc byte[10];
        var count = 0;
        for (; value >= 0x80; value >>= 7)
            bytes[count++] = (byte)(value | 0x80);
        bytes[count++] = (byte)value;
        Raw(bytes[..count]);
    }

    void Raw(ReadOnlySpan<byte> bytes)
    {
        Length = checked(Length + bytes.Length);
        output?.Write(bytes);
    }
}
