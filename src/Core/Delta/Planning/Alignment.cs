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

/// <summary>Finds for every tensor of the new file the old tensor that it comes from.</summary>
sealed class Alignment
{
    /// <summary>Smaller tensors are left to the byte matcher.</summary>
    const int LeastBytes = 256;
    const int SampleElements = 2048;
    const int SampleRun = 64;

    /// <summary>Tensors of more elements are cut into bands of rows, so that memory stays bounded.</summary>
    public const int MostElements = 1 << 24;

    readonly OldFiles old;
    readonly IByteSource made;
    readonly List<(TensorEntry Entry, long Offset)> oldTensors = [];
    readonly Dictionary<string, int> byName = [];
    readonly HashSet<int> used = [];

    Alignment(OldFiles old, IReadOnlyList<PatchSource> oldSources, IByteSource made)
    {
        this.old = old;
        this.made = made;
        foreach (var (i, source) in oldSources.Index())
            foreach (var entry in source.Tensors.Tensors)
                if (entry.ExternalFile is null && ByteRange.IsInside(entry.Offset, entry.Length, source.Bytes.Length))
                {
                    byName.TryAdd(entry.Name, oldTensors.Count);
                    oldTensors.Add((entry, old.StartOf(i) + entry.Offset));
                }
    }

    /// <summary>Parts of the new file in its order, without the bytes between them.</summary>
    public static List<AlignedPart> Of(OldFiles old, IReadOnlyList<PatchSource> oldSources, PatchSource made)
    {
        var alignment = new Alignment(old, oldSources, made.Bytes);
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
        var chosen = new OldPart?[free.Count];
        for (var i = 0; i < free.Count; i++)
            chosen[i] = alignment.ByName(free[i]);
        for (var i = 0; i < free.Count; i++)
            Split(free[i], chosen[i] ?? alignment.ByContent(free[i]), parts);
        return parts;
    }

    OldPart? ByName(TensorEntry entry)
    {
        if (!byName.TryGetValue(entry.Name, out var index) || !Fits(entry, oldTensors[index].Entry, out var transposed))
            return null;
        used.Add(index);
        return Part(index, transposed);
    }

    OldPart Part(int index, bool transposed)
    {
        var (entry, offset) = oldTensors[index];
        return new(offset, entry.Length, LatticeOf(entry), transposed);
    }

    static Lattice? LatticeOf(TensorEntry entry)
    {
        if (Lattice.For(entry.Type) is not { } kind)
            return null;
        var lattice = Lattice.Of(kind);
        return entry.Length % lattice.UnitBytes == 0 ? lattice : null;
    }

    /// <summary>Bytes of a block or element whose inside is not looked at.</summary>
    static int StrideOf(TensorEntry entry)
    {
        var stride = entry.Type.IsBlock() ? entry.Type.Block().Bytes : entry.Type.BitsPerElement() / 8;
        return stride > 1 && entry.Length % stride == 0 ? stride : 1;
    }

    /// <summary>Whether an old tensor may be the past of a new one: same type or a cast, same shape, turned, or with more rows now.</summary>
    static bool Fits(TensorEntry entry, TensorEntry past, out bool transposed)
    {
        transposed = false;
        if (entry.Type != past.Type && !(IsArithmetic(entry) && IsArithmetic(past)))
            return false;
        if (entry.Shape.AsSpan().SequenceEqual(past.Shape.AsSpan()))
            return true;
        if (entry.Shape.Length == 2 && past.Shape.Length == 2 && entry.Shape[0] == past.Shape[1] && entry.Shape[1] == past.Shape[0]
            && entry.Type == past.Type && LatticeOf(entry) is { UnitElements: 1 } && entry.Shape[1] <= 1 << 14)
            return transposed = true;
        return entry.Shape.Length == past.Shape.Length && entry.Shape.Length > 0 && entry.Type == past.Type
            && entry.Shape.AsSpan()[1..].SequenceEqual(past.Shape.AsSpan()[1..]) && past.Shape[0] > 0 && entry.Shape[0] > 0;
    }

    static bool IsArithmetic(TensorEntry entry) => LatticeOf(entry) is { HasArithmetic: true };

    /// <summary>The unused old tensor of the same type and size whose sampled elements are most alike.</summary>
    OldPart? ByContent(TensorEntry entry)
    {
        if (LatticeOf(entry) is not { } lattice)
            return null;
        var best = (Likeness: 0.5, Index: -1, Transposed: false);
        for (var i = 0; i < oldTensors.Count; i++)
        {
            var past = oldTensors[i].Entry;
            if (past.Type != entry.Type || past.Length != entry.Length || !Fits(entry, past, out var transposed) && !(past.Elements == entry.Elements))
                continue;
            var likeness = Likeness(entry, oldTensors[i].Offset, lattice, transposed) + (used.Contains(i) ? 0 : 0.01);
            if (likeness > best.Likeness)
                best = (likeness, i, transposed);
        }
        if (best.Index < 0)
            return null;
        used.Add(best.Index);
        return Part(best.Index, best.Transposed);
    }

    /// <summary>Correlation of sampled elements, 0 to 1.</summary>
    double Likeness(TensorEntry entry, long oldOffset, Lattice lattice, bool transposed)
    {
        // Runs rather than single elements where both lie in one order: a read costs more than the numbers in it.
        var units = entry.Length / lattice.UnitBytes;
        var run = (int)Math.Min(units, transposed ? 1 : Math.Max(1, SampleRun / lattice.UnitElements));
        var runs = Math.Clamp(SampleElements / lattice.UnitElements / run, 1, units / run);
        var (a, b) = (new byte[run * lattice.UnitBytes], new byte[run * lattice.UnitBytes]);
        double ab = 0, aa = 0, bb = 0;
        for (var i = 0L; i < runs; i++)
        {
            var at = i * (units - run) / Math.Max(1, runs - 1);
            var from = transposed ? at % entry.Shape[1] * entry.Shape[0] + at / entry.Shape[1] : at;
            made.Read(entry.Offset + at * lattice.UnitBytes, a);
            old.Read(oldOffset + from * lattice.UnitBytes, b);
            var (x, y) = (Elements.Unpack(lattice, a), Elements.Unpack(lattice, b));
            for (var j = 0; j < x.Words.Length; j++)
            {
                double u = lattice.IsFloat ? FloatValue.Finite(lattice, x.Words[j]) : (int)x.Words[j];
                double v = lattice.IsFloat ? FloatValue.Finite(lattice, y.Words[j]) : (int)y.Words[j];
                (ab, aa, bb) = (ab + u * v, aa + u * u, bb + v * v);
            }
        }
        return aa == 0 || bb == 0 ? 0 : Math.Abs(ab) / Math.Sqrt(aa * bb);
    }

    /// <summary>Cuts a tensor where its old rows end, and into bands.</summary>
    static void Split(TensorEntry entry, OldPart? past, List<AlignedPart> parts)
    {
        var lattice = LatticeOf(entry);
        var unit = lattice?.UnitBytes ?? StrideOf(entry);
        var shape = entry.Shape.ToArray();
        var rowBytes = shape.Length > 0 && shape[0] > 0 && entry.Length % shape[0] == 0 && entry.Length / shape[0] % unit == 0 ? entry.Length / shape[0] : unit;
        var band = Math.Max(rowBytes, Math.Max(1, (lattice?.BytesOf(MostElements) ?? MostElements) / rowBytes) * rowBytes);
        if (rowBytes > (lattice?.BytesOf(MostElements) ?? MostElements) || past is { Transposed: true } && entry.Length > band)
            (lattice, past, band) = (past is { Transposed: true } ? lattice : null, null, MostElements / unit * unit);
        var oldLength = past is null ? 0 : past.Lattice is { } from && lattice is { } to ? past.Length / from.UnitBytes * to.UnitBytes : past.Length;
        for (var at = 0L; at < entry.Length;)
        {
            var end = Math.Min(entry.Length, at + band);
            if (at < oldLength)
                end = Math.Min(end, oldLength);
            if (shape.Length > 0)
                shape = [(end - at) / rowBytes, .. shape.AsSpan(1)];
            var here = past is null || at >= oldLength ? null : past with
            {
                Offset = past.Offset + OldBytes(at),
                Length = OldBytes(end - at),
            };
            parts.Add(new(entry.Name, entry.Offset + at, end - at, lattice, shape, here) { Stride = unit });
            at = end;
        }

        long OldBytes(long bytes) => past.Lattice is { } from && lattice is { } to ? bytes / to.UnitBytes * from.UnitBytes : bytes;
    }
}
