using System.Collections.Immutable;
using Coppice.Delta.Bytes;
using Coppice.Delta.Entropy;
using Coppice.Delta.Tensors;
using Coppice.Formats;

namespace Coppice.Delta.Planning;

/// <summary>Writes the records of a planned file, segment by segment: the tensors of a segment share their models.</summary>
sealed class EncoderRun(
    OldFiles old, IReadOnlyList<PatchSource> sources, IByteSource made, List<PlanStep> plan, PatchWriter writer, PatchOptions options, CancellationToken cancel,
    long mostWanted = long.MaxValue)
{
    /// <summary>Elements of the tensors of one segment: their symbols are in memory until the segment is written.</summary>
    const long SegmentElements = 1 << 24;

    /// <summary>Share of its bytes that a tensor must still take for the byte matcher to be tried on it.</summary>
    const double WorthMatching = 0.45;

    /// <summary>A longer tensor is not given to the byte matcher.</summary>
    const long MostMatched = 4 << 20;

    readonly FrameScratch[] scratches = [.. Enumerable.Range(0, Math.Clamp(options.Workers, 1, 64)).Select(_ => new FrameScratch())];
    readonly ImmutableArray<PatchPart>.Builder parts = ImmutableArray.CreateBuilder<PatchPart>();
    readonly RecordWriter record = new();
    readonly IByteSource[] oldFiles = [.. sources.Select(source => source.Bytes)];
    ByteEncoder? matcher;
    long matchingLeft = options.Level switch { PatchLevel.Fast => 0, PatchLevel.Default => 2 << 20, _ => 64 << 20 };
    PoolSource? pool;
    int poolLeft;

    public ImmutableArray<PatchPart> Write()
    {
        pool = new(made, [.. plan.Where(step => step.Kind == StepKind.Pool).Select(step => (step.Part.Offset, step.Part.Length))]);
        for (var start = 0; start < plan.Count;)
        {
            var end = start;
            for (var elements = 0L; end < plan.Count; end++)
            {
                elements += plan[end].Kind == StepKind.Tensor ? Count(plan[end].Part) : 0;
                if (elements > SegmentElements && end > start)
                    break;
            }
            WriteSegment(start, end);
            start = end;
        }
        writer.Record(RecordKind.End, []);
        return parts.ToImmutable();
    }

    static long Count(AlignedPart part) => part.Lattice is { } lattice ? part.Length / lattice.UnitBytes * lattice.UnitElements : part.Length;

    void WriteSegment(int start, int end)
    {
        var coded = new CodedTensor?[end - start];
        var tensors = Enumerable.Range(start, end - start).Where(i => plan[i].Kind == StepKind.Tensor).ToArray();
        var free = new System.Collections.Concurrent.ConcurrentBag<FrameScratch>(scratches);
        ForEach run = options.Run is { } given && scratches.Length > 1 ? given : (count, body) =>
        {
            for (var i = 0; i < count; i++)
                body(i);
        };
        run(tensors.Length, i =>
        {
            cancel.ThrowIfCancellationRequested();
            var scratch = free.TryTake(out var taken) ? taken : new FrameScratch();
            coded[tensors[i] - start] = Code(plan[tensors[i]].Part, scratch);
            free.Add(scratch);
        });

        var models = Models([.. coded.OfType<CodedTensor>()]);
        for (var i = start; i < end; i++)
        {
            cancel.ThrowIfCancellationRequested();
            var part = plan[i].Part;
            var before = writer.Position;
            var technique = plan[i].Kind switch
            {
                StepKind.Copy => WriteCopy(plan[i]),
                StepKind.Tensor => WriteTensor(part, coded[i - start]!, models),
                StepKind.Pool => WritePool(part),
                _ => WriteBytes(part),
            };
            parts.Add(new(part.Name, technique, part.Offset, part.Length, writer.Position - before, coded[i - start] is { Record.Technique: not Technique.Strided } ? Count(part) : 0));
            options.Progress?.Invoke(part.End);
        }
    }

    CodedTensor Code(AlignedPart part, FrameScratch scratch)
    {
        var bytes = new byte[part.Length];
        made.Read(part.Offset, bytes);
        if (part.Lattice is not { } kind)
        {
            var before = new byte[part.Old is { } same && same.Length == part.Length ? part.Length : 0];
            if (before.Length != 0)
                old.Read(part.Old!.Offset, before);
            return StridedWork.Code(bytes, before, part.Old?.Offset ?? 0, part.Stride);
        }
        Elements? past = null;
        byte[] oldBytes = [];
        if (part.Old is { } from && from.Lattice is { } lattice)
        {
            oldBytes = new byte[from.Length];
            old.Read(from.Offset, oldBytes);
            past = Elements.Unpack(lattice, oldBytes);
            if (from.Transposed)
                past = past.Transpose((int)part.Shape[1], (int)part.Shape[0]);
        }
        var planner = new TensorPlanner(Efforts.Of(options.Level), scratch);
        var (work, bits) = planner.Plan(Elements.Unpack(kind, bytes), past, part.Old?.Offset ?? 0, part.Shape, part.Old?.Transposed ?? false);
        if (kind.IsBlock && StridedWork.Bits(bytes, oldBytes, kind.UnitBytes) < bits)
            return StridedWork.Code(bytes, oldBytes, part.Old?.Offset ?? 0, kind.UnitBytes);
        return CodedTensor.Of(work, bytes, scratch);
    }

    /// <summary>Gives every kind of symbols a model, and writes them all.</summary>
    SymbolModel?[] Models(List<CodedTensor> tensors)
    {
        var models = new SymbolModel?[SideModels.Slots];
        if (tensors.Count == 0)
            return models;
        var histograms = new Histogram?[SideModels.Slots];
        (histograms[SideModels.Slot], histograms[SideModels.FactorSlot]) = (new(), new());
        var slots = new Dictionary<(Technique, LatticeKind, bool, int, bool), byte>();
        foreach (var tensor in tensors)
        {
            var key = (tensor.Record.Technique, tensor.Record.Lattice.Kind, tensor.Record.HasOld, tensor.Record.PlaceBits, tensor.Record.Rank != 0);
            if (!slots.TryGetValue(key, out var slot))
            {
                slots[key] = slot = (byte)Math.Min(SideModels.FirstElementSlot + slots.Count, SideModels.Slots - 1);
                histograms[slot] ??= new();
            }
            tensor.Record.Slot = slot;
            tensor.CountInto(histograms);
        }
        foreach (var (slot, counts) in histograms.Index())
            if (counts is not null && (slot != SideModels.FactorSlot || tensors.Exists(tensor => tensor.Record.Rank != 0)))
                models[slot] = ModelBuilder.Build(counts);
        writer.Record(RecordKind.Models, ModelRecord.Write(models));
        return models;
    }

    string WriteTensor(AlignedPart part, CodedTensor tensor, SymbolModel?[] models)
    {
        var frames = tensor.Frames.ConvertAll(frame => tensor.Encode(frame, models));
        var (words, raw) = tensor.Header.Encode(models);
        tensor.Record.Name = part.Name;
        record.Clear();
        tensor.Record.WriteTo(record, words, raw);
        var typed = record.Length + frames.Sum(frame => (long)frame.Length);
        if (typed > part.Length * WorthMatching && (options.Level == PatchLevel.Max || part.Lattice is not { IsFloat: true }) && part.Length <= Math.Min(matchingLeft, MostMatched))
        {
            matchingLeft -= part.Length;
            var payloads = Pieces(part).Select(piece => (Piece: piece, Payload: Match(piece.Offset, (int)piece.Length, (long)((double)typed * piece.Length / part.Length)))).ToList();
            if (payloads.Sum(piece => (long)piece.Payload.Length) < typed * payloads.Min(piece => Worth(piece.Payload)))
            {
                foreach (var (piece, payload) in payloads)
                    WriteBytes(piece, payload.AsSpan());
                return "bytes";
            }
        }
        writer.Record(RecordKind.Tensor, record.Written);
        foreach (var (i, frame) in frames.Index())
            writer.Record(RecordKind.Frame, frame, tensor.Frames[i].Checksum);
        return tensor.Record.ToString();
    }

    /// <summary>At the usual level the slow coding must be worth its time at the device.</summary>
    ByteEffort Effort => options.Level switch { PatchLevel.Fast => ByteEffort.Fast, PatchLevel.Default => ByteEffort.Balanced, _ => ByteEffort.Small };

    /// <summary>Part of a tensor's typed size that the byte matcher's may be: it is also slower to apply, and the slow coding much slower.</summary>
    double Worth(ImmutableArray<byte> payload) => (payload[0] & 3) == (byte)FrameKind.Strong && options.Level != PatchLevel.Max ? 0.975 : 0.99;

    /// <summary>What the byte matcher makes of a range of the new file.</summary>
    ImmutableArray<byte> Match(long offset, int count, long wanted) => (matcher ??= new(oldFiles, made, new() { Effort = Effort })).Encode(offset, count, wanted).Payload;

    /// <summary>A range cut to what one record may make.</summary>
    static IEnumerable<AlignedPart> Pieces(AlignedPart part)
    {
        for (var left = part.Length; left > 0; left -= Math.Min(left, PatchLimits.MostBytes))
            yield return part with { Offset = part.End - left, Length = Math.Min(left, PatchLimits.MostBytes) };
    }

    string WriteCopy(PlanStep step)
    {
        var buffer = new byte[(int)Math.Min(step.Part.Length, PatchLimits.MostBytes)];
        for (var at = 0L; at < step.Part.Length; at += buffer.Length)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, step.Part.Length - at));
            old.Read(step.From + at, part);
            record.Clear();
            record.Number(step.From + at);
            record.Number(part.Length);
            writer.Record(RecordKind.Copy, record.Written, Checksum.Of(part));
        }
        return "copy";
    }

    string WritePool(AlignedPart part)
    {
        for (var left = part.Length; left > 0;)
        {
            if (poolLeft == 0)
                poolLeft = FillPool();
            var count = (int)Math.Min(left, poolLeft);
            var bytes = new byte[count];
            made.Read(part.End - left, bytes);
            record.Clear();
            record.Number(count);
            writer.Record(RecordKind.Take, record.Written, Checksum.Of(bytes));
            (left, poolLeft) = (left - count, poolLeft - count);
        }
        return "bytes";
    }

    int FillPool()
    {
        var (source, count) = pool!.Next(PatchLimits.MostBytes);
        record.Clear();
        record.Number(count);
        var window = PoolWindow.Of(sources, old.Length);
        record.Number(0);
        record.Number(window);
        record.Bytes(new ByteEncoder([new SliceSource(old, 0, window)], source, new() { Effort = Effort }).Encode(0, count).Payload.AsSpan());
        var bytes = new byte[count];
        source.Read(0, bytes);
        writer.Record(RecordKind.Pool, record.Written, Checksum.Of(bytes));
        return count;
    }

    string WriteBytes(AlignedPart part)
    {
        foreach (var piece in Pieces(part))
            WriteBytes(piece, Match(piece.Offset, (int)piece.Length, mostWanted).AsSpan());
        return "bytes";
    }

    void WriteBytes(AlignedPart part, ReadOnlySpan<byte> payload)
    {
        var bytes = new byte[part.Length];
        made.Read(part.Offset, bytes);
        record.Clear();
        record.Number(bytes.Length);
        record.Bytes(payload);
        writer.Record(RecordKind.Bytes, record.Written, Checksum.Of(bytes));
    }
}
