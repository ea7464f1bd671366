namespace Coppice.Formats.Onnx;

/// <summary>How a protobuf field is stored.</summary>
enum Wire
{
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// <summary>Walks the fields of one protobuf message without copying or loading what they hold.</summary>
struct ProtoFields(ByteWindow bytes, long start, long end)
{
    const int LongestTagAndValue = 20; // two varints

    long next = start;

    /// <summary>Number of the current field.</summary>
    public int Number { get; private set; }

    public Wire Wire { get; private set; }

    /// <summary>Where the field's tag begins.</summary>
    public long TagAt { get; private set; }

    /// <summary>First byte of the payload, after tag and length.</summary>
    public long Start { get; private set; }

    /// <summary>Where the payload ends, and the next field begins.</summary>
    public readonly long End => next;

    /// <summary>Bytes of the payload.</summary>
    public readonly long Length => next - Start;

    /// <summary>A varint's or fixed number's value.</summary>
    public ulong Value { get; private set; }

    /// <summary>Moves to the next field; false at the end of the message.</summary>
    public bool Next()
    {
        if (next == end)
            return false;

        TagAt = next;
        var head = bytes.Slice(next, (int)Math.Min(LongestTagAndValue, end - next));
        var tag = Varint(ref head);
        var number = tag >> 3;
        if (number is 0 or > 536_870_911 || (tag & 7) is not (0 or 1 or 2 or 5))
            throw bytes.Malformed(TagAt, $"{tag} is no field tag; the file is damaged, fetch it again.");
        (Number, Wire) = ((int)number, (Wire)(tag & 7));

        Start = next;
        switch (Wire)
        {
            case Wire.Varint:
                Value = Varint(ref head);
                break;
            case Wire.Bytes:
                var length = Varint(ref head);
                Start = next;
                if (length > (ulong)(end - next))
                    throw bytes.Malformed(TagAt, $"field {Number} has {length} bytes, but its message ends after {end - next}; the file is cut short or damaged, fetch it again.");
                next += (long)length;
                break;
            default:
                var size = Wire == Wire.Fixed64 ? 8 : 4;
                if (size > end - next)
                    throw bytes.Malformed(TagAt, $"field {Number} is cut off by the end of its message; the file is damaged, fetch it again.");
                Value = size == 8 ? bytes.UInt64(next) : bytes.UInt32(next);
                next += size;
                break;
        }
        return true;
    }

    /// <summary>The payload as a number, for fields that must be one.</summary>
    public readonly long Int64()
    {
        if (Wire != Wire.Varint)
            throw bytes.Malformed(TagAt, $"field {Number} is not stored as a number; the file is damaged.");
        return (long)Value;
    }

    /// <summary>The payload as a message, text or run of bytes, for fields that must be one.</summary>
    public readonly ProtoRun Run()
    {
        if (Wire != Wire.Bytes)
            throw bytes.Malformed(TagAt, $"field {Number} is not stored as bytes; the file is damaged.");
        return new(Start, End);
    }

    ulong Varint(ref ReadOnlySpan<byte> head)
    {
        var value = 0ul;
        for (var i = 0; i < head.Length && i < 10; i++)
        {
            value |= (ulong)(head[i] & 0x7F) << (7 * i);
            if (head[i] < 0x80)
            {
                if (i == 9 && head[i] > 1)
                    break;
                next += i + 1;
                head = head[(i + 1)..];
                return value;
            }
        }
        throw bytes.Malformed(next, "a number does not end within 64 bits or its message; the file is damaged, fetch it again.");
    }
}

/// <summary>A run of bytes inside the file: a message, a text, or data.</summary>
readonly record struct ProtoRun(long Start, long End)
{
    public long Length => End - Start;
    public bool IsEmpty => End == Start;
    public ProtoFields Fields(ByteWindow bytes) => new(bytes, Start, End);
    public string Name(ByteWindow bytes) => bytes.Name(Start, Length);
    public string Text(ByteWindow bytes) => bytes.Text(Start, Length);

    /// <summary>The numbers of a packed list, or the one number of an unpacked item.</summary>
    public static void AddNumbers(ByteWindow bytes, in ProtoFields field, List<long> numbers, int limit)
    {
        if (field.Wire == Wire.Varint)
        {
            Add(bytes, field.TagAt, numbers, field.Int64(), limit);
            return;
        }
        var run = field.Run();
        for (var at = run.Start; at < run.End;)
        {
            var value = 0ul;
            for (var shift = 0; ; shift += 7)
            {
                if (at == run.End || shift == 70)
                    throw bytes.Malformed(at, "a number of a list does not end; the file is damaged.");
                var part = bytes.Byte(at++);
                value |= (ulong)(part & 0x7F) << shift;
                if (part < 0x80)
                    break;
            }
            Add(bytes, run.Start, numbers, (long)value, limit);
        }
    }

    static void Add(ByteWindow bytes, long at, List<long> numbers, long number, int limit)
    {
        if (numbers.Count == limit)
            throw bytes.Malformed(at, $"a list has more than {limit} numbers; the file is damaged.");
        numbers.Add(number);
    }
}
