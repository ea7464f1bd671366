namespace Coppice.Delta.Bytes;

/// <summary>How a frame is stored; the low two bits of its first byte.</summary>
enum FrameKind
{
    /// <summary>The bytes themselves.</summary>
    Stored,
    /// <summary>Mixed contexts and arithmetic coding: small.</summary>
    Strong,
    /// <summary>Static tables and rANS: fast.</summary>
    Fast,
}

/// <summary>What stands before a strong frame's coded bits.</summary>
/// <remarks>
/// Byte 0: bits 0-1 kind, 2-3 log2 of the element, 4-6 table bits less 10, bit 7 zero. Bytes 1-2: contexts.
/// Then two bytes of row length if a context needs it. All little-endian.
/// </remarks>
/// <param name="Shape">How literals are modelled.</param>
/// <param name="TableBits">Size of the hashed tables, 10 to 13.</param>
readonly record struct StrongHeader(LiteralShape Shape, int TableBits)
{
    /// <summary>The largest tables: they must be near a processor and fit into the smallest device.</summary>
    public const int MostTableBits = 13;

    public byte[] Write()
    {
        var bytes = new List<byte>
        {
            (byte)((int)FrameKind.Strong | int.Log2(Shape.Element) << 2 | (TableBits - 10) << 4),
            (byte)Shape.Contexts,
            (byte)((int)Shape.Contexts >> 8),
        };
        if (Shape.NeedsRow)
            bytes.AddRange([(byte)Shape.Row, (byte)(Shape.Row >> 8)]);
        return [.. bytes];
    }

    /// <summary>Reads a header and says where the coded bits begin.</summary>
    /// <exception cref="MalformedPatchException">A field is out of its range, or the payload ends first.</exception>
    public static StrongHeader Read(ReadOnlySpan<byte> payload, out int length)
    {
        var at = 0;
        var first = Take(payload, ref at);
        var contexts = (LiteralContexts)(Take(payload, ref at) | Take(payload, ref at) << 8);
        var tableBits = 10 + (first >> 4);
        if (tableBits > MostTableBits)
            throw new MalformedPatchException(0, $"byte frame: tables of 2^{tableBits} buckets are asked for, and 2^{MostTableBits} is the most; update this program or fetch the patch again.");
        var shape = new LiteralShape(contexts, 1 << (first >> 2 & 3), 1);
        if (shape.NeedsRow)
        {
            shape = shape with { Row = Take(payload, ref at) | Take(payload, ref at) << 8 };
            if (shape.Row == 0)
                throw new MalformedPatchException(at - 2, "byte frame: rows of no bytes are named; fetch the patch again.");
        }
        length = at;
        return new(shape, tableBits);
    }

    static byte Take(ReadOnlySpan<byte> payload, ref int at) => at < payload.Length
        ? payload[at++]
        : throw new MalformedPatchException(at, "byte frame: the frame ends in its header; fetch the patch again.");
}
