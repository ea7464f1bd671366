using Coppice.Delta.Tensors;
using Coppice.Formats;

namespace Coppice.Delta.Planning;

/// <summary>A range of the new file and the old range that it most likely comes from.</summary>
/// <param name="Name">The new tensor's name; empty for bytes between tensors.</param>
/// <param name="Offset">First byte in the new file.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Lattice">The kind of its elements; null when it is coded by the byte.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Old">The old range, if any.</param>
sealed record AlignedPart(string Name, long Offset, long Length, Lattice? Lattice, long[] Shape, OldPart? Old)
{
    /// <summary>Bytes of one record, where elements are no numbers of a <see cref="Lattice"/> but still have a length; 1 where nothing is known.</summary>
    public int Stride { get; init; } = 1;

    public long End => Offset + Length;
}

/// <summary>An old tensor, or some of its first rows.</summary>
/// <param name="Offset">First byte, through the old files one after the other.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Lattice">The kind of its elements.</param>
/// <param name="Transposed">Whether its rows are the new tensor's columns.</param>
sealed record OldPart(long Offset, long Length, Lattice? Lattice, bool Transposed = false);

/// <summary>Finds for every tensor of the new file the old elements that it comes from.</summary>
static class Alignment
{
    /// <summary>Smaller tensors are left to the byte matcher.</summary>
    public const int LeastBytes = 256;

    /// <summary>Tensors of more elements are cut into bands of rows, so that memory stays bounded.</summary>
    public const int MostElements = 1 << 24;

    /// <summary>Parts of the new file in its order, without the bytes between them.</summary>
    public static List<AlignedPart> Of(OldFiles old, IReadOnlyList<PatchSource> oldSources, PatchSource made)
    {
        var tensors = new OldTensors(old, oldSources, made.Bytes);
        var parts = new List<AlignedPart>();
        var end = 0L;
        var wanted = made.Tensors.Tensors
            .Where(entry => entry.ExternalFile is null && entry.Length >= LeastBytes && ByteRange.IsInside(entry.Offset, entry.Length, made.Bytes.Length))
            .OrderBy(entry => entry.Offset);
        var free = new List<TensorEntry>();
        foreach (var entry in wanted)
        {
            if (entry.Offset < end) // shares its bytes with the one before
                continue;
            end = entry.Offset + entry.Length;
            free.Add(entry);
        }
        // Names first: what they claim is not given away by likeness.
        var chosen = free.ConvertAll(tensors.ByName);
        foreach (var (entry, named) in free.Zip(chosen))
            Split(entry, tensors.Of(entry, named), parts);
        return parts;
    }

    /// <summary>Bytes of a block or element whose inside is not looked at.</summary>
    static int StrideOf(TensorEntry entry)
    {
        var stride = entry.Type.IsBlock() ? entry.Type.Block().Bytes : entry.Type.BitsPerElement() / 8;
        return stride > 1 && entry.Length % stride == 0 ? stride : 1;
    }

    /// <summary>Cuts a tensor where its past changes.</summary>
    static void Split(TensorEntry entry, List<Piece> pieces, List<AlignedPart> parts)
    {
        if (pieces is [] || pieces[0].Count == entry.Elements)
        {
            Cut(entry, entry.Offset, entry.Length, entry.Shape.ToArray(), pieces is [var whole] ? whole.Past : null, parts);
            return;
        }
        var lattice = OldTensor.LatticeOf(entry)!.Value;
        var at = 0L;
        foreach (var piece in pieces)
        {
            Region(piece.Count, piece.Past);
            at += piece.Count;
        }
        if (at < entry.Elements)
            Region(entry.Elements - at, null);

        void Region(long count, OldPart? past)
        {
            var row = entry.Elements / entry.Shape[0];
            long[] shape = count % row == 0 ? [count / row, .. entry.Shape.AsSpan()[1..]] : count % entry.Shape[^1] == 0 ? [count / entry.Shape[^1], entry.Shape[^1]] : [count];
            Cut(entry, entry.Offset + lattice.BytesOf(at), lattice.BytesOf(count), shape, past, parts);
        }
    }

    /// <summary>Cuts a range of a tensor where its old rows end, and into bands.</summary>
    static void Cut(TensorEntry entry, long offset, long length, long[] shape, OldPart? past, List<AlignedPart> parts)
    {
        var lattice = OldTensor.LatticeOf(entry);
        var unit = lattice?.UnitBytes ?? StrideOf(entry);
        var rowBytes = shape.Length > 0 && shape[0] > 0 && length % shape[0] == 0 && length / shape[0] % unit == 0 ? length / shape[0] : unit;
        var band = Math.Max(rowBytes, Math.Max(1, (lattice?.BytesOf(MostElements) ?? MostElements) / rowBytes) * rowBytes);
        if (rowBytes > (lattice?.BytesOf(MostElements) ?? MostElements) || past is { Transposed: true } && length > band)
            (lattice, past, band) = (past is { Transposed: true } ? lattice : null, null, MostElements / unit * unit);
        var oldLength = past is null ? 0 : past.Lattice is { } from && lattice is { } to ? past.Length / from.UnitBytes * to.UnitBytes : past.Length;
        for (var at = 0L; at < length;)
        {
            var end = Math.Min(length, at + band);
            if (at < oldLength)
                end = Math.Min(end, oldLength);
            if (shape.Length > 0)
                shape = [(end - at) / rowBytes, .. shape.AsSpan(1)];
            var here = past is null || at >= oldLength ? null : past with
            {
                Offset = past.Offset + OldBytes(at),
                Length = OldBytes(end - at),
            };
            parts.Add(new(entry.Name, offset + at, end - at, lattice, shape, here) { Stride = unit });
            at = end;
        }

        long OldBytes(long bytes) => past.Lattice is { } from && lattice is { } to ? bytes / to.UnitBytes * from.UnitBytes : bytes;
    }
}
