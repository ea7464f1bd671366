using System.Buffers.Binary;

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
/// Byte 0: bits 0-1 kind, 2-3 log2 of the element, 4-6 table bits less 10, 7 set when there is a primer. Bytes 1-2: contexts.
/// Then two bytes of row length if a context needs it, and the primer: source (1 byte), offset (6 bytes), length in units of 256 less one (2 bytes).
/// All little-endian.
/// </remarks>
/// <param name="Shape">How literals are modelled.</param>
/// <param name="TableBits">Size of the hashed tables, 10 to 15.</param>
/// <param name="Primer">The old bytes the literal model learns from before it codes; length 0 for none.</param>
readonly record struct StrongHeader(LiteralShape Shape, int TableBits, Primer Primer)
{
    public const int LongestPrimer = 1 << 18;
    const int PrimerUnit = 256;

    public byte[] Write()
    {
        var bytes = new List<byte>
        {
            (byte)((int)FrameKind.Strong | int.Log2(Shape.Element) << 2 | (TableBits - 10) << 4 | (Primer.Length > 0 ? 128 : 0)),
            (byte)Shape.Contexts,
            (byte)((int)Shape.Contexts >> 8),
        };
        if (Shape.NeedsRow)
            bytes.AddRange([(byte)Shape.Row, (byte)(Shape.Row >> 8)]);
        if (Primer.Length > 0)
        {
            Span<byte> offset = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(offset, Primer.Offset);
            var units = Primer.Length / PrimerUnit - 1;
            bytes.Add((byte)Primer.Source);
            bytes.AddRange(offset[..6]);
            bytes.AddRange([(byte)units, (byte)(units >> 8)]);
        }
        return [.. bytes];
    }

    /// <summary>Reads a header and says where the coded bits begin.</summary>
    /// <exception cref="MalformedPatchException">A field is out of its range, or the payload ends first.</exception>
    public static StrongHeader Read(ReadOnlySpan<byte> payload, out int length)
    {
        var at = 0;
        var first = Take(payload, ref at);
        var contexts = (LiteralContexts)(Take(payload, ref at) | Take(payload, ref at) << 8);
        var tableBits = 10 + (first >> 4 & 7);
        if (tableBits > 15)
            throw new MalformedPatchException(0, $"byte frame: tables of 2^{tableBits} buckets are asked for, and 2^15 is the most; update this program or fetch the patch again.");
        var shape = new LiteralShape(contexts, 1 << (first >> 2 & 3), 1);
        if (shape.NeedsRow)
        {
            shape = shape with { Row = Take(payload, ref at) | Take(payload, ref at) << 8 };
            if (shape.Row == 0)
                throw new MalformedPatchException(at - 2, "byte frame: rows of no bytes are named; fetch the patch again.");
        }
        var primer = default(Primer);
        if (first >= 128)
        {
            var source = Take(payload, ref at);
            var offset = 0L;
            for (var i = 0; i < 48; i += 8)
                offset |= (long)Take(payload, ref at) << i;
            var primed = ((Take(payload, ref at) | Take(payload, ref at) << 8) + 1) * PrimerUnit;
            if (primed > LongestPrimer)
                throw new MalformedPatchException(at - 2, $"byte frame: a primer of {primed} bytes is named, and {LongestPrimer} is the most; fetch the patch again.");
            primer = new(source, offset, primed);
        }
        length = at;
        return new(shape, tableBits, primer);
    }

    static byte Take(ReadOnlySpan<byte> payload, ref int at) => at < payload.Length
        ? payload[at++]
        : throw new MalformedPatchException(at, "byte frame: the frame ends in its header; fetch the patch again.");
}

/// <summary>Old bytes that the literal model sees before a frame, so that it need not learn from nothing.</summary>
/// <param name="Source">The old file.</param>
/// <param name="Offset">Where in it.</param>
/// <param name="Length">A multiple of 256; 0 for none.</param>
readonly record struct Primer(int Source, long Offset, int Length);
