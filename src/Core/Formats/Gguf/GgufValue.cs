using System.Globalization;
using System.Text;

namespace Coppice.Formats.Gguf;

/// <summary>The value of a key as text; arrays show their first items and their count.</summary>
static class GgufValue
{
    const uint String = 8;
    const uint Array = 9;

    // UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, string, array, UINT64, INT64, FLOAT64
    static readonly int[] Sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

    public static string Read(GgufCursor at, uint type, int depth) => type switch
    {
        0 => Plain(at.Byte()),
        1 => Plain((sbyte)at.Byte()),
        2 => Plain(at.UInt16()),
        3 => Plain((short)at.UInt16()),
        4 => Plain(at.UInt32()),
        5 => Plain((int)at.UInt32()),
        6 => Plain(BitConverter.UInt32BitsToSingle(at.UInt32())),
        7 => at.Byte() == 0 ? "false" : "true",
        String => at.Text(),
        Array => ReadArray(at, depth),
        10 => Plain(at.UInt64()),
        11 => Plain((long)at.UInt64()),
        12 => Plain(BitConverter.UInt64BitsToDouble(at.UInt64())),
        _ => throw at.Bytes.Malformed(at.Offset - sizeof(uint), $"value type {type} is not one of GGUF's 13; the file is damaged."),
    };

    static string ReadArray(GgufCursor at, int depth)
    {
        if (depth == 0)
            throw at.Bytes.Malformed(at.Offset, $"arrays lie more than {ReadLimits.Depth} deep in one another; the file is damaged.");
        var type = at.UInt32();
        var size = type < Sizes.Length ? Sizes[type] : 0;
        var count = at.Count(type == Array ? 12 : type == String ? 8 : Math.Max(size, 1), "items");

        var text = new StringBuilder("[");
        for (var i = 0L; i < Math.Min(count, ReadLimits.MetadataItems); i++)
        {
            var item = Read(at, type, depth - 1);
            if (text.Length < ReadLimits.MetadataCharacters)
                text.Append(i == 0 ? "" : ", ").Append(type == String ? Quote(item) : item);
        }
        for (var i = (long)ReadLimits.MetadataItems; i < count; i++)
        {
            if (size > 0)
            {
                at.Skip((count - i) * size);
                break;
            }
            Step(at, type, depth - 1);
        }
        if (count > ReadLimits.MetadataItems)
            text.Append(CultureInfo.InvariantCulture, $", … {count} items");
        return text.Append(']').ToString();
    }

    /// <summary>Steps over one string or array without keeping anything of it.</summary>
    static void Step(GgufCursor at, uint type, int depth)
    {
        if (type == String)
        {
            at.Skip(at.Count(1, "bytes of a text"));
            return;
        }
        if (depth == 0)
            throw at.Bytes.Malformed(at.Offset, $"arrays lie more than {ReadLimits.Depth} deep in one another; the file is damaged.");
        var inner = at.UInt32();
        if (inner >= Sizes.Length)
            throw at.Bytes.Malformed(at.Offset - sizeof(uint), $"value type {inner} is not one of GGUF's 13; the file is damaged.");
        var size = Sizes[inner];
        var count = at.Count(inner == Array ? 12 : inner == String ? 8 : size, "items");
        if (size > 0)
            at.Skip(count * size);
        else
            for (; count > 0; count--)
                Step(at, inner, depth - 1);
    }

    static string Plain<T>(T value) where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);

    static string Quote(string text) => $"\"{(text.Length > 64 ? $"{text.AsSpan(0, 64)}…" : text)}\"";
}
