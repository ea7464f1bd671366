using Coppice.Delta.Bytes;

namespace Coppice.Delta;

/// <summary>Codes bytes that are no tensor, and says where in the patch a payload breaks the rules.</summary>
static class ByteCoding
{
    public static void Decode(ByteDecoder decoder, ReadOnlySpan<byte> payload, long start, Span<byte> into, long offset)
    {
        if (into.IsEmpty)
        {
            if (!payload.IsEmpty)
                throw new MalformedPatchException(offset, "no bytes are made of a payload that is not empty.");
            return;
        }
        try
        {
            decoder.Decode(payload, start, into);
        }
        catch (MalformedPatchException fault)
        {
            throw new MalformedPatchException(offset + fault.Offset, fault.Message);
        }
    }
}
