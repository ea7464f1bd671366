using System.Buffers.Binary;
using Coppice.Delta.Tensors;
using Coppice.Formats;

namespace Coppice.Delta.Planning;

/// <summary>Guesses what numbers a file of unknown layout holds, piece by piece.</summary>
static class TypeSniffer
{
    const int PieceBytes = 1 << 18;

    /// <summary>A number type must take this share of what single bytes take, by first-order entropies.</summary>
    const double Convincing = 0.97;

    static readonly LatticeKind[] kinds = [LatticeKind.Float16, LatticeKind.BFloat16, LatticeKind.Float32];

    /// <summary>Pieces that look like floats and are not moved or unchanged parts of the old files, which the byte matcher finds.</summary>
    public static List<AlignedPart> Pieces(OldFiles old, IByteSource made)
    {
        var parts = new List<AlignedPart>();
        var anchors = Anchors(old);
        var buffer = new byte[PieceBytes];
        for (var start = 0L; start < made.Length; start += PieceBytes)
        {
            var piece = buffer.AsSpan(0, (int)Math.Min(PieceBytes, made.Length - start));
            made.Read(start, piece);
            if (piece.Length < 1024 || IsKnown(piece, anchors) || Sniff(piece) is not ({ } lattice, var phase))
                continue;
            var length = (piece.Length - phase) / lattice.UnitBytes * lattice.UnitBytes;
            var from = made.Length == old.Length ? start + phase : -1; // nothing else says where the old numbers are
            parts.Add(new(
                $"bytes from {start}", start + phase, length, lattice, [length / lattice.UnitBytes],
                from < 0 ? null : new OldPart(from, length, lattice)));
        }
        return parts;
    }

    /// <summary>The cheapest type and where its first element begins; null when the bytes are cheaper by themselves.</summary>
    static (Lattice? Lattice, int Phase) Sniff(ReadOnlySpan<byte> piece)
    {
        (Lattice? Lattice, int Phase) best = default;
        var least = Entropy(piece, 0, 1) * Convincing;
        foreach (var kind in kinds)
        {
            var lattice = Lattice.Of(kind);
            for (var phase = 0; phase < lattice.UnitBytes; phase++)
            {
                var bits = Cost(piece[phase..], lattice);
                if (bits < least)
                    (least, best) = (bits * Convincing, (lattice, phase));
            }
        }
        return best;
    }

    /// <summary>Bits of exponents, and of signs and mantissas by the byte.</summary>
    static double Cost(ReadOnlySpan<byte> piece, Lattice lattice)
    {
        var exponents = new byte[piece.Length / lattice.UnitBytes];
        var rest = new byte[exponents.Length * lattice.UnitBytes];
        for (var i = 0; i < exponents.Length; i++)
        {
            var bits = lattice.UnitBytes == 4 ? BinaryPrimitives.ReadUInt32LittleEndian(piece[(4 * i)..]) : BinaryPrimitives.ReadUInt16LittleEndian(piece[(2 * i)..]);
            exponents[i] = (byte)(bits >> lattice.Mantissa & ((1u << lattice.Exponent) - 1));
            var other = bits & ((1u << lattice.Mantissa) - 1) | bits >> (lattice.Bits - 1) << lattice.Mantissa;
            for (var j = 0; j < lattice.UnitBytes; j++)
                rest[i * lattice.UnitBytes + j] = (byte)(other >> (8 * j));
        }
        var total = Entropy(exponents, 0, 1);
        for (var j = 0; j < lattice.UnitBytes; j++)
            total += Entropy(rest, j, lattice.UnitBytes);
        return total;
    }

    static double Entropy(ReadOnlySpan<byte> bytes, int first, int stride)
    {
        Span<int> counts = stackalloc int[256];
        counts.Clear();
        var total = 0;
        for (var i = first; i < bytes.Length; i += stride, total++)
            counts[bytes[i]]++;
        var bits = total == 0 ? 0 : total * Math.Log2(total);
        foreach (var count in counts)
            bits -= count == 0 ? 0 : count * Math.Log2(count);
        return bits;
    }

    /// <summary>Hashes of eight bytes at places that the bytes themselves choose, about one in 256.</summary>
    static HashSet<ulong> Anchors(OldFiles old)
    {
        var found = new HashSet<ulong>();
        var buffer = new byte[PieceBytes + 7];
        for (var start = 0L; start + 8 <= old.Length && found.Count < 1 << 22; start += PieceBytes)
        {
            var piece = buffer.AsSpan(0, (int)Math.Min(buffer.Length, old.Length - start));
            old.Read(start, piece);
            Visit(piece, found, add: true);
        }
        return found;
    }

    static bool IsKnown(ReadOnlySpan<byte> piece, HashSet<ulong> anchors)
    {
        var (seen, known) = Visit(piece, anchors, add: false);
        return known * 4 > seen && seen > 0;
    }

    static (int Seen, int Known) Visit(ReadOnlySpan<byte> piece, HashSet<ulong> anchors, bool add)
    {
        var (seen, known) = (0, 0);
        for (var i = 0; i + 8 <= piece.Length; i++)
        {
            var hash = BinaryPrimitives.ReadUInt64LittleEndian(piece[i..]) * 0x9E3779B97F4A7C15;
            if (hash >> 56 != 0x5A)
                continue;
            seen++;
            if (add)
                anchors.Add(hash);
            else
                known += anchors.Contains(hash) ? 1 : 0;
        }
        return (seen, known);
    }
}
