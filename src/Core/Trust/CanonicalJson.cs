using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Coppice.Trust;

/// <summary>The OLPC canonical form of JSON, over which TUF signs.</summary>
/// <remarks>
/// No white space, object names in order of their code points, only integers, and in strings only <c>"</c> and <c>\</c>
/// escaped: a line break stays a line break, so the form is to be signed, not to be parsed. Same bytes as
/// <c>encode_canonical</c> of securesystemslib. Source: http://wiki.laptop.org/go/Canonical_JSON.
/// </remarks>
public static class CanonicalJson
{
    /// <summary>Encodes a value.</summary>
    /// <exception cref="FormatException">A number is not an integer, or a string is not Unicode.</exception>
    public static byte[] Encode(JsonElement value)
    {
        var output = new ArrayBufferWriter<byte>();
        Write(value, output);
        return output.WrittenSpan.ToArray();
    }

    static void Write(JsonElement value, ArrayBufferWriter<byte> output)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                WriteObject(value, output);
                break;
            case JsonValueKind.Array:
                WriteArray(value, output);
                break;
            case JsonValueKind.String:
                WriteText(value, output);
                break;
            case JsonValueKind.Number:
                WriteInteger(value.GetRawText(), output);
                break;
            case JsonValueKind.True:
                output.Write("true"u8);
                break;
            case JsonValueKind.False:
                output.Write("false"u8);
                break;
            default:
                output.Write("null"u8);
                break;
        }
    }

    static void WriteObject(JsonElement value, ArrayBufferWriter<byte> output)
    {
        output.Write("{"u8);
        if (IsInOrder(value))
            WriteMembers(value, output);
        else
            WriteSorted(value, output);
        output.Write("}"u8);
    }

    // Files signed here come in canonical order: then nothing is sorted or copied.
    static bool IsInOrder(JsonElement value)
    {
        ReadOnlySpan<byte> last = default;
        var first = true;
        foreach (var member in value.EnumerateObject())
        {
            var name = JsonMarshal.GetRawUtf8PropertyName(member);
            if (!IsPlain(name) || (!first && last.SequenceCompareTo(name) >= 0))
                return false;
            last = name;
            first = false;
        }
        return true;
    }

    static void WriteMembers(JsonElement value, ArrayBufferWriter<byte> output)
    {
        var first = true;
        foreach (var member in value.EnumerateObject())
        {
            if (!first)
                output.Write(","u8);
            first = false;
            output.Write("\""u8);
            output.Write(JsonMarshal.GetRawUtf8PropertyName(member));
            output.Write("\":"u8);
            Write(member.Value, output);
        }
    }

    static void WriteSorted(JsonElement value, ArrayBufferWriter<byte> output)
    {
        var members = new List<(byte[] Name, JsonElement Value)>();
        foreach (var member in value.EnumerateObject())
            members.Add((Name(member), member.Value));
        // UTF-8 sorts as code points do; UTF-16 does not.
        members.Sort(static (a, b) => a.Name.AsSpan().SequenceCompareTo(b.Name));
        for (var i = 0; i < members.Count; i++)
        {
            if (i > 0)
                output.Write(","u8);
            WriteString(members[i].Name, output);
            output.Write(":"u8);
            Write(members[i].Value, output);
        }
    }

    // Text without escapes is its own canonical form, if it is Unicode: the parser does not look.
    static bool IsPlain(ReadOnlySpan<byte> raw) => !raw.Contains((byte)'\\') && Utf8.IsValid(raw);

    static void WriteText(JsonElement value, ArrayBufferWriter<byte> output)
    {
        var raw = JsonMarshal.GetRawUtf8Value(value); // with its quotation marks
        if (IsPlain(raw))
            output.Write(raw);
        else
            WriteString(Text(value), output);
    }

    static void WriteArray(JsonElement value, ArrayBufferWriter<byte> output)
    {
        output.Write("["u8);
        var first = true;
        foreach (var item in value.EnumerateArray())
        {
            if (!first)
                output.Write(","u8);
            first = false;
            Write(item, output);
        }
        output.Write("]"u8);
    }

    static void WriteString(ReadOnlySpan<byte> text, ArrayBufferWriter<byte> output)
    {
        output.Write("\""u8);
        while (text.IndexOfAny((byte)'"', (byte)'\\') is var at and >= 0)
        {
            output.Write(text[..at]);
            output.Write("\\"u8);
            output.Write(text.Slice(at, 1));
            text = text[(at + 1)..];
        }
        output.Write(text);
        output.Write("\""u8);
    }

    static void WriteInteger(string number, ArrayBufferWriter<byte> output)
    {
        if (number.AsSpan().ContainsAny('.', 'e', 'E'))
            throw new FormatException($"{(number.Length <= 40 ? number : number[..40])} is not an integer; canonical JSON has no other numbers.");
        Encoding.ASCII.GetBytes(number == "-0" ? "0" : number, output);
    }

    static byte[] Name(JsonProperty member)
    {
        try
        {
            return Encoding.UTF8.GetBytes(member.Name);
        }
        catch (InvalidOperationException)
        {
            throw new FormatException("The name of a member is not Unicode text.");
        }
    }

    static byte[] Text(JsonElement value)
    {
        try
        {
            return Encoding.UTF8.GetBytes(value.GetString()!);
        }
        catch (InvalidOperationException)
        {
            throw new FormatException("A string is not Unicode text.");
        }
    }
}
