using System.Text.Json;

namespace Coppice.Formats.Safetensors;

/// <summary>The JSON tokens of a header, read through a buffer that only a long string makes larger.</summary>
ref struct HeaderTokens
{
    const int Ahead = 64 * 1024;

    readonly ByteWindow bytes;
    readonly long end;
    byte[] buffer;
    int held;
    long next;
    Utf8JsonReader json;

    public HeaderTokens(ByteWindow bytes, long start, long end)
    {
        (this.bytes, this.end, next) = (bytes, end, start);
        buffer = new byte[(int)Math.Min(Ahead, end - start)];
        Fill(default);
    }

    /// <summary>Where the current token begins in the file.</summary>
    public readonly long Offset => next - held + json.TokenStartIndex;

    public JsonTokenType Next()
    {
        while (!json.Read())
        {
            if (next == end)
                throw bytes.Malformed(end, "the header ends in the middle; the file is damaged, fetch it again.");
            Refill();
        }
        return json.TokenType;
    }

    public void Expect(JsonTokenType type)
    {
        Next();
        ExpectHere(type);
    }

    public readonly void ExpectHere(JsonTokenType type)
    {
        if (json.TokenType != type)
            throw bytes.Malformed(Offset, $"the header has {json.TokenType} where {type} belongs; the file is damaged.");
    }

    /// <summary>The outer object is closed and only white space follows.</summary>
    public void ExpectEnd()
    {
        ExpectHere(JsonTokenType.EndObject);
        while (!json.Read())
        {
            if (next == end)
                return;
            Refill();
        }
        throw bytes.Malformed(Offset, "something follows the header's object; the file is damaged.");
    }

    public readonly string Text()
    {
        var length = json.HasValueSequence ? json.ValueSequence.Length : json.ValueSpan.Length;
        if (json.TokenType == JsonTokenType.PropertyName && length > ReadLimits.NameBytes)
            throw bytes.Malformed(Offset, $"a name has {length} bytes, more than {ReadLimits.NameBytes}; the file is damaged.");
        bytes.Spend(Offset, Math.Min(length, ReadLimits.MetadataCharacters));
        return json.GetString()!;
    }

    public readonly bool TryNumber(out long number) => json.TryGetInt64(out number);

    void Refill()
    {
        var rest = held - (int)json.BytesConsumed;
        if (rest == buffer.Length)
        {
            if (rest >= ReadLimits.SafetensorsToken)
                throw bytes.Malformed(next - rest, $"a string in the header has more than {ReadLimits.SafetensorsToken} bytes; the file is damaged.");
            Array.Resize(ref buffer, buffer.Length * 2);
        }
        else
        {
            buffer.AsSpan(held - rest, rest).CopyTo(buffer);
        }
        held = rest;
        Fill(json.CurrentState);
    }

    void Fill(JsonReaderState state)
    {
        var count = (int)Math.Min(buffer.Length - held, end - next);
        bytes.Source.Read(next, buffer.AsSpan(held, count));
        held += count;
        next += count;
        json = new(buffer.AsSpan(0, held), isFinalBlock: next == end, state);
    }
}
