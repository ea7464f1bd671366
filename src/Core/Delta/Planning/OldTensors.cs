using Coppice.Delta.Tensors;
using Coppice.Formats;

namespace Coppice.Delta.Planning;

/// <summary>A tensor of the old files.</summary>
/// <param name="Entry">What its file says of it.</param>
/// <param name="Offset">First byte, through the old files one after the other.</param>
/// <param name="Lattice">The kind of its elements; null where they are coded by the byte.</param>
sealed record OldTensor(TensorEntry Entry, long Offset, Lattice? Lattice)
{
    /// <summary>Where in it the search for a part goes on: after what was last found there, in elements.</summary>
    public long Taken { get; set; }

    /// <summary>The whole of it.</summary>
    public OldPart Whole(bool transposed = false) => new(Offset, Entry.Length, Lattice, transposed);

    /// <summary>Some of its elements.</summary>
    /// <param name="from">The first of them.</param>
    /// <param name="count">How many; both multiples of a unit.</param>
    public OldPart Part(long from, long count) => new(Offset + Lattice!.Value.BytesOf(from), Lattice.Value.BytesOf(count), Lattice);

    /// <summary>The kind that codes a tensor's elements; null where its bytes are no whole number of them.</summary>
    public static Lattice? LatticeOf(TensorEntry entry)
    {
        if (Tensors.Lattice.For(entry.Type) is not { } kind)
            return null;
        var lattice = Tensors.Lattice.Of(kind);
        return entry.Length % lattice.UnitBytes == 0 ? lattice : null;
    }
}

/// <summary>A past of some elements of a new tensor, which follow those of the piece before.</summary>
/// <param name="Count">How many.</param>
/// <param name="Past">Where they come from.</param>
readonly record struct Piece(long Count, OldPart Past);

/// <summary>The old tensor that has a new one's name.</summary>
/// <param name="Past">All of it.</param>
/// <param name="Likeness">How alike the two are, 0 to 1; 1 where that cannot be measured.</param>
readonly record struct NamedPast(OldPart Past, double Likeness)
{
    /// <summary>Below this correlation a name is not believed when something else is more alike.</summary>
    const double Least = 0.3;

    /// <summary>Whether what is in it does not contradict the name.</summary>
    public bool IsBelieved => Likeness >= Least;
}

/// <summary>The tensors of the old files, searched by name, by likeness, and for parts of them.</summary>
sealed class OldTensors
{
    /// <summary>From this correlation on a tensor is taken for another's past.</summary>
    const double LeastAlike = 0.5;

    /// <summary>Smaller parts of a tensor are not searched for.</summary>
    const long LeastPiece = 64;

    /// <summary>A tensor is searched for as one of so many equal parts of another.</summary>
    const int MostParts = 16;

    readonly List<OldTensor> tensors = [];
    readonly Dictionary<string, OldTensor> byName = [];
    readonly HashSet<OldTensor> used = [];
    readonly Likeness likeness;

    public OldTensors(OldFiles old, IReadOnlyList<PatchSource> sources, IByteSource made)
    {
        likeness = new(old, made);
        foreach (var (i, source) in sources.Index())
            foreach (var entry in source.Tensors.Tensors)
                if (entry.ExternalFile is null && ByteRange.IsInside(entry.Offset, entry.Length, source.Bytes.Length))
                {
                    var tensor = new OldTensor(entry, old.StartOf(i) + entry.Offset, OldTensor.LatticeOf(entry));
                    byName.TryAdd(entry.Name, tensor);
                    tensors.Add(tensor);
                }
    }

    /// <summary>The tensor of the same name, where it can be the past of this one; when the name is believed, it is given to nobody else.</summary>
    public NamedPast? ByName(TensorEntry entry)
    {
        if (!byName.TryGetValue(entry.Name, out var tensor) || !Fits(entry, tensor.Entry, out var transposed))
            return null;
        var named = new NamedPast(tensor.Whole(transposed), OldTensor.LatticeOf(entry) is { } lattice && tensor.Lattice is { } oldLattice
            ? likeness.Of(new(entry.Offset, lattice), new(tensor.Offset, oldLattice), Math.Min(entry.Elements, tensor.Entry.Elements), Turned(entry, transposed))
            : 1); // nothing speaks against the name
        if (named.IsBelieved)
            used.Add(tensor);
        return named;
    }

    /// <summary>What a tensor comes from: that of its name if it is believed, another that is alike, parts of others, or after all the one of its name.</summary>
    /// <param name="entry">The tensor.</param>
    /// <param name="named">What <see cref="ByName"/> said.</param>
    /// <returns>In the tensor's order; elements after the last piece have no past.</returns>
    public List<Piece> Of(TensorEntry entry, NamedPast? named)
    {
        if (named is not { IsBelieved: true } && OldTensor.LatticeOf(entry) is { } lattice)
        {
            if (Alike(entry, lattice, named?.Likeness ?? 0) is { } alike)
                return [new(entry.Elements, alike)];
            if (Pieces(entry, lattice) is { Count: > 0 } pieces)
                return pieces;
        }

        return named is { } last ? [new(entry.Elements, last.Past)] : [];
    }

    static (long, long)? Turned(TensorEntry entry, bool transposed) => transposed ? (entry.Shape[0], entry.Shape[1]) : null;

    /// <summary>Whether an old tensor may be the past of a new one: same type or a cast, same shape, turned, or with more rows now.</summary>
    static bool Fits(TensorEntry entry, TensorEntry past, out bool transposed)
    {
        transposed = false;
        if (!IsKin(entry, past))
            return false;
        if (entry.Shape.AsSpan().SequenceEqual(past.Shape.AsSpan()))
            return true;
        if (entry.Shape.Length == 2 && past.Shape.Length == 2 && entry.Shape[0] == past.Shape[1] && entry.Shape[1] == past.Shape[0]
            && entry.Type == past.Type && OldTensor.LatticeOf(entry) is { UnitElements: 1 } && entry.Shape[1] <= 1 << 14)
            return transposed = true;
        return entry.Shape.Length == past.Shape.Length && entry.Shape.Length > 0 && entry.Type == past.Type
            && entry.Shape.AsSpan()[1..].SequenceEqual(past.Shape.AsSpan()[1..]) && past.Shape[0] > 0 && entry.Shape[0] > 0;
    }

    /// <summary>Whether elements of the one may be those of the other: of one type, or cast.</summary>
    static bool IsKin(TensorEntry entry, TensorEntry past) => entry.Type == past.Type
        || (OldTensor.LatticeOf(entry) is { HasArithmetic: true } && OldTensor.LatticeOf(past) is { HasArithmetic: true });

    /// <summary>The tensor of as many elements, one that nobody has taken before others, whose sampled elements are most alike.</summary>
    OldPart? Alike(TensorEntry entry, Lattice lattice, double most)
    {
        var best = (Likeness: Math.Max(LeastAlike, most), Tensor: (OldTensor?)null, Transposed: false);
        foreach (var tensor in tensors)
        {
            if (tensor.Lattice is not { } oldLattice || tensor.Entry.Elements != entry.Elements || !IsKin(entry, tensor.Entry))
                continue;
            Fits(entry, tensor.Entry, out var transposed);
            var found = likeness.Of(new(entry.Offset, lattice), new(tensor.Offset, oldLattice), entry.Elements, Turned(entry, transposed)) + (used.Contains(tensor) ? 0 : 0.01);
            if (found > best.Likeness)
                best = (found, tensor, transposed);
        }

        if (best.Tensor is null)
            return null;
        used.Add(best.Tensor);
        return best.Tensor.Whole(best.Transposed);
    }

    /// <summary>Tensors, or parts of larger ones, that follow each other in a new one: what was split, fused or stacked.</summary>
    List<Piece> Pieces(TensorEntry entry, Lattice lattice)
    {
        var pieces = new List<Piece>();
        var kin = tensors.Where(tensor => tensor.Lattice is not null && IsKin(entry, tensor.Entry) && Width(tensor.Entry) == Width(entry)).ToList();
        if (Width(entry) % lattice.UnitElements != 0)
            return pieces;
        for (var at = 0L; entry.Elements - at >= LeastPiece;)
        {
            var best = (Likeness: LeastAlike, Tensor: (OldTensor?)null, From: 0L, Count: 0L);
            foreach (var tensor in kin)
                foreach (var from in Starts(tensor, entry.Elements))
                {
                    var count = Math.Min(tensor.Entry.Elements - from, entry.Elements - at);
                    if (count < LeastPiece)
                        continue;
                    var found = likeness.Of(
                        new(entry.Offset + lattice.BytesOf(at), lattice), new(tensor.Offset + tensor.Lattice!.Value.BytesOf(from), tensor.Lattice.Value), count);
                    if (found > best.Likeness)
                        best = (found, tensor, from, count);
                }

            if (best.Tensor is not { } taken)
                break;
            pieces.Add(new(best.Count, taken.Part(best.From, best.Count)));
            taken.Taken = best.From + best.Count;
            at += best.Count;
        }

        return pieces;
    }

    /// <summary>Where a part may begin: at the beginning, where the last part ended, or where equal parts do.</summary>
    static IEnumerable<long> Starts(OldTensor tensor, long elements)
    {
        yield return 0;
        if (tensor.Taken > 0 && tensor.Taken < tensor.Entry.Elements)
            yield return tensor.Taken;
        if (tensor.Entry.Elements % elements == 0 && tensor.Entry.Elements / elements <= MostParts)
            for (var start = elements; start < tensor.Entry.Elements; start += elements)
                if (start != tensor.Taken)
                    yield return start;
    }

    static long Width(TensorEntry entry) => entry.Shape.Length > 1 ? entry.Shape[^1] : 1;
}
