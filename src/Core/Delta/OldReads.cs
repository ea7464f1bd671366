using Coppice.Delta.Tensors;

namespace Coppice.Delta;

/// <summary>Which old bytes the records of a patch still need.</summary>
sealed class OldReads
{
    readonly List<(long From, long To)> needed = []; // by producing record; after the walk: by it and all later ones

    OldReads(PatchHeader header) => Header = header;

    public PatchHeader Header { get; }

    /// <summary>The range that holds every old byte which the records from this one on need; empty when there is none.</summary>
    public (long From, long To) From(long record) => record < needed.Count ? needed[(int)record] : (0, 0);

    public static OldReads Of(Stream patch)
    {
        var pool = (From: 0L, To: 0L);
        OldReads? reads = null;
        var header = PatchInspector.Walk(patch, (kind, record, tensor, frame, header) =>
        {
            reads ??= new(header);
            switch (kind)
            {
                case RecordKind.Frame:
                    reads.needed.Add(OfFrame(tensor!, frame));
                    break;
                case RecordKind.Copy:
                    var from = record.Number(header.OldLength);
                    reads.needed.Add((from, from + record.Number(header.OldLength - from)));
                    break;
                case RecordKind.Bytes:
                    reads.needed.Add((0, header.OldLength));
                    break;
                case RecordKind.Pool:
                    record.Number(long.MaxValue / 4);
                    from = record.Number(header.OldLength);
                    pool = (from, from + record.Number(header.OldLength - from));
                    break;
                case RecordKind.Take: // a run that goes on here decodes the pool again
                    reads.needed.Add(pool);
                    break;
            }
        });
        reads ??= new(header);
        for (var i = reads.needed.Count - 2; i >= 0; i--)
            reads.needed[i] = Hull(reads.needed[i], reads.needed[i + 1]);
        return reads;
    }

    static (long From, long To) OfFrame(TensorRecord tensor, long frame)
    {
        if (!tensor.HasOld)
            return (0, 0);
        if (tensor.IsTransposed)
            return (tensor.OldOffset, tensor.OldOffset + tensor.OldBytes);
        var first = frame * tensor.ElementsPerFrame;
        var last = Math.Min(tensor.Elements, first + tensor.ElementsPerFrame);
        return tensor.Technique == Technique.Strided
            ? (tensor.OldOffset + first, tensor.OldOffset + last)
            : (tensor.OldOffset + tensor.OldLattice.BytesOf(first), tensor.OldOffset + tensor.OldLattice.BytesOf(last));
    }

    static (long From, long To) Hull((long From, long To) a, (long From, long To) b) =>
        a.From == a.To ? b : b.From == b.To ? a : (Math.Min(a.From, b.From), Math.Max(a.To, b.To));
}
