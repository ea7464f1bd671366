namespace Coppice.Formats.Tflite;

/// <summary>Counts what is visited, because a hostile flatbuffer can point at one table from a million places.</summary>
sealed class FlatBuffer(ByteWindow bytes)
{
    // A table takes at least its four-byte offset and is written once; twice as many visits leave room for looking again.
    long visits = Math.Min(1 << 24, 1024 + bytes.Length / 2);

    public ByteWindow Bytes => bytes;

    public FlatTable Root() => Table(0, bytes.UInt32(0));

    public FlatTable Table(long from, uint distance)
    {
        if (--visits < 0)
            throw bytes.Malformed(from, "the file points at the same tables again and again; it is damaged or made to exhaust the reader.");
        var at = from + distance;
        var vtable = at - bytes.Int32(at);
        var vtableSize = bytes.UInt16(vtable);
        bytes.Check(vtable, vtableSize, "a vtable");
        var size = bytes.UInt16(vtable + 2);
        bytes.Check(at, size, "a table");
        if (vtableSize < 4 || vtableSize % 2 != 0 || size < 4)
            throw bytes.Malformed(vtable, $"a vtable of {vtableSize} bytes describes a table of {size}; the file is damaged.");
        return new(this, at, vtable, vtableSize, size);
    }
}

/// <summary>A vector: where its items begin, and how many there are; they lie inside the file.</summary>
readonly record struct FlatVector(long Start, int Count)
{
    public bool IsEmpty => Count == 0;
}

/// <summary>A table of a flatbuffer; every read is checked against the vtable and the file.</summary>
readonly struct FlatTable(FlatBuffer buffer, long at, long vtable, int vtableSize, int size)
{
    ByteWindow Bytes => buffer.Bytes;

    public long At => at;

    /// <summary>Where a field is, or 0 when the table does not have it.</summary>
    long Field(int index, int width)
    {
        var slot = 4 + 2 * index;
        if (slot + 2 > vtableSize)
            return 0;
        var offset = Bytes.UInt16(vtable + slot);
        if (offset == 0)
            return 0;
        if (offset < 4 || offset + width > size)
            throw Bytes.Malformed(vtable + slot, $"field {index} lies outside its table of {size} bytes; the file is damaged.");
        return at + offset;
    }

    public sbyte SByte(int index) => Field(index, 1) is > 0 and var field ? (sbyte)Bytes.Byte(field) : (sbyte)0;
    public int Int32(int index) => Field(index, 4) is > 0 and var field ? Bytes.Int32(field) : 0;
    public uint UInt32(int index) => Field(index, 4) is > 0 and var field ? Bytes.UInt32(field) : 0;
    public ulong UInt64(int index) => Field(index, 8) is > 0 and var field ? Bytes.UInt64(field) : 0;
    public bool Has(int index) => Field(index, 1) > 0;

    public FlatTable? Table(int index) => Field(index, 4) is > 0 and var field ? buffer.Table(field, Bytes.UInt32(field)) : null;

    public FlatVector Vector(int index, int itemSize)
    {
        if (Field(index, 4) is not (> 0 and var field))
            return default;
        var start = field + Bytes.UInt32(field);
        var count = Bytes.UInt32(start);
        Bytes.Check(start + 4, count * (long)itemSize, "a vector");
        return count > int.MaxValue
            ? throw Bytes.Malformed(start, $"a vector has {count} items; the file is damaged.")
            : new(start + 4, (int)count);
    }

    public string Text(int index)
    {
        var text = Vector(index, 1);
        return Bytes.Name(text.Start, text.Count);
    }

    public string LongText(int index)
    {
        var text = Vector(index, 1);
        return Bytes.Text(text.Start, text.Count);
    }

    /// <summary>An item of a vector of tables.</summary>
    public FlatTable Item(FlatVector vector, int item)
    {
        var place = vector.Start + 4L * item;
        return buffer.Table(place, Bytes.UInt32(place));
    }

    public int IntItem(FlatVector vector, int item) => Bytes.Int32(vector.Start + 4L * item);
}
