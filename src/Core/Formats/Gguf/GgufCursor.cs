namespace Coppice.Formats.Gguf;

/// <summary>Reads GGUF's values one after another.</summary>
sealed class GgufCursor(ByteWindow bytes, long offset)
{
    public ByteWindow Bytes => bytes;
    public long Offset { get; private set; } = offset;

    public byte Byte() => bytes.Byte(Skip(1));
    public ushort UInt16() => bytes.UInt16(Skip(2));
    public uint UInt32() => bytes.UInt32(Skip(4));
    public ulong UInt64() => bytes.UInt64(Skip(8));

    /// <summary>A number of items that each take at least <paramref name="least"/> bytes of what is left.</summary>
    public long Count(int least, string what)
    {
        var at = Offset;
        var count = UInt64();
        if (count > (ulong)(bytes.Length - Offset) / (uint)least)
            throw bytes.Malformed(at, $"{count} {what} do not fit into the {bytes.Length - Offset} bytes that follow; the file is cut short or damaged, fetch it again.");
        return (long)count;
    }

    public string Name()
    {
        var length = Count(1, "bytes of a name");
        return bytes.Name(Skip(length), length);
    }

    public string Text()
    {
        var length = Count(1, "bytes of a text");
        return bytes.Text(Skip(length), length);
    }

    /// <summary>Steps over bytes that must be there, and says where they begin.</summary>
    public long Skip(long count)
    {
        var at = Offset;
        bytes.Check(at, count, "a value");
        Offset += count;
        return at;
    }
}
