using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using Coppice.Delta.Bytes;
using Coppice.Delta.Entropy;
using Coppice.Delta.Tensors;
using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>How far a patch has been applied: enough to go on after an interruption.</summary>
/// <param name="Frames">Records that made bytes, all of them written.</param>
/// <param name="NewOffset">Bytes of the new file that they made.</param>
public readonly record struct PatchProgress(long Frames, long NewOffset);

/// <summary>Calls a body for 0 to count - 1, perhaps several at once, and returns when all are done.</summary>
public delegate void ForEach(int count, Action<int> body);

/// <summary>How a patch is applied.</summary>
public sealed record PatchApplication
{
    /// <summary>Where an earlier run stopped; the output must hold at least those bytes.</summary>
    public PatchProgress ResumeAt { get; init; }

    /// <summary>Told after bytes were written. To resume later: make the output durable first, then keep the value.</summary>
    public Action<PatchProgress>? Progress { get; init; }

    /// <summary>Frames that are decoded at once, 1 to 64; each takes about 1 MB. Old files must then be readable by several threads.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>Runs work at once when there are several workers; one after the other if it is not given.</summary>
    public ForEach? Run { get; init; }

    /// <summary>Leave out reading the old files to check their digests: the caller has just done so. Their lengths are checked, and the result is.</summary>
    public bool TrustOldFiles { get; init; }

    /// <summary>Whether vector instructions may be used; the result is the same.</summary>
    public bool Vectors { get; init; } = BitConverter.IsLittleEndian;

    /// <summary>Memory of an earlier run, to be used again; null for new memory.</summary>
    public PatchMemory? Memory { get; init; }
}

/// <summary>The memory in which patches are applied, one after the other: who applies many keeps it. Nothing in it outlives a run but its size.</summary>
public sealed class PatchMemory
{
    internal FrameScratch?[] Scratches { get; set; } = [];

    internal SymbolModel?[] Models { get; } = new SymbolModel?[SideModels.Slots];

    internal TensorMemory Tensor { get; } = new();

    /// <summary>For the bytes of one record.</summary>
    internal byte[]? Block { get; set; }

    internal byte[]? Pool { get; set; }

    internal byte[] PoolPayload { get; set; } = [];

    internal ByteDecoder? Bytes { get; set; }
}

/// <summary>Makes a new file out of old ones and a patch, frame by frame, in memory that does not grow with the files.</summary>
/// <remarks>
/// Memory: models and the current tensor's factors, at most 26 MB and usually below 2; about 1 MB for each worker; two records and the
/// bytes of one, 1 MiB each; where bytes are coded for the smallest size, tables of 4 to 8 MB. None of it grows with the files.
/// A patch is not trusted: every size is checked before memory is taken, and a frame is written only when its checksum is right.
/// </remarks>
public sealed class PatchDecoder
{
    readonly PatchReader patch;
    readonly PatchHeader header;
    readonly OldFiles old;
    readonly IReadOnlyList<IByteSource> oldFiles;
    readonly Stream output;
    readonly PatchApplication application;
    readonly CancellationToken cancel;
    readonly PatchMemory memory;
    readonly FrameScratch?[] scratches;
    readonly SymbolModel?[] models = new SymbolModel?[SideModels.Slots];
    readonly IncrementalHash hash;
    readonly Batch batch;
    TensorRecord? tensor;
    long tensorFrame;
    readonly OutputSoFar outputSoFar;
    int poolPayloadLength;
    bool isPoolDecoded;
    SliceSource? poolWindow;
    int poolHead;
    long poolOffset;
    uint poolSum;
    int poolLength;
    int poolUsed;
    PatchProgress progress;

    PatchDecoder(Stream patch, IReadOnlyList<IByteSource> oldFiles, Stream output, PatchApplication application, IncrementalHash hash, CancellationToken cancel)
    {
        this.patch = new(patch);
        this.oldFiles = oldFiles;
        this.output = output;
        this.application = application;
        this.cancel = cancel;
        this.hash = hash;
        old = new(oldFiles);
        outputSoFar = new(output);
        header = PatchHeader.Read(this.patch);
        memory = application.Memory ?? new();
        var workers = Math.Clamp(application.Workers, 1, 64);
        if (memory.Scratches.Length < workers)
            memory.Scratches = [.. memory.Scratches, .. new FrameScratch?[workers - memory.Scratches.Length]];
        scratches = memory.Scratches;
        batch = new(workers);
    }

    /// <summary>Applies a patch.</summary>
    /// <param name="patch">Read from its position to the end of the patch; need not seek.</param>
    /// <param name="oldFiles">The files that the patch was made from, in the same order.</param>
    /// <param name="output">Takes the new file from position 0 on; must seek and be readable, because later bytes may repeat earlier ones. Its length is set at the end.</param>
    /// <param name="application">How; the default is one worker from the beginning.</param>
    /// <param name="cancel">Stops between frames.</param>
    /// <returns>The header of the patch; the output now has the digest that it names.</returns>
    /// <exception cref="WrongBaseException">An old file is missing or not the one that the patch was made from. Nothing was written.</exception>
    /// <exception cref="MalformedPatchException">The patch is damaged or was written to do harm. The output holds the frames before the fault.</exception>
    public static PatchHeader Apply(
        Stream patch, IReadOnlyList<IByteSource> oldFiles, Stream output, PatchApplication? application = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(patch);
        ArgumentNullException.ThrowIfNull(oldFiles);
        ArgumentNullException.ThrowIfNull(output);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var decoder = new PatchDecoder(patch, oldFiles, output, application ?? new(), hash, cancel);
        decoder.CheckOldFiles();
        decoder.Resume();
        decoder.Run();
        return decoder.header;
    }

    void CheckOldFiles() => CheckOldFiles(header, oldFiles, application.TrustOldFiles);

    /// <summary>Checks that files are those that a patch was made from.</summary>
    /// <exception cref="WrongBaseException">One is not.</exception>
    public static void CheckOldFiles(PatchHeader header, IReadOnlyList<IByteSource> oldFiles, bool lengthsOnly = false)
    {
        ArgumentNullException.ThrowIfNull(header);
        ArgumentNullException.ThrowIfNull(oldFiles);
        if (oldFiles.Count != header.OldFiles.Length)
            throw new WrongBaseException(
                Math.Min(oldFiles.Count, header.OldFiles.Length), $"{oldFiles.Count} old files were given, but the patch was made from {header.OldFiles.Length}.");
        foreach (var (i, wanted) in header.OldFiles.Index())
        {
            if (oldFiles[i].Length != wanted.Length)
                throw new WrongBaseException(i, $"it has {oldFiles[i].Length} bytes, but the patch was made from a file of {wanted.Length}; give that version.");
            if (lengthsOnly)
                continue;
            var found = SourceDigest.Of(oldFiles[i]).AsSpan(0, OldFile.DigestBytes);
            if (!found.SequenceEqual(wanted.Digest.AsSpan()))
                throw new WrongBaseException(
                    i, $"its SHA-256 begins with {Convert.ToHexStringLower(found)}, but the patch was made from {Convert.ToHexStringLower(wanted.Digest.AsSpan())}; give that version.");
        }
    }

    void Resume()
    {
        var (frames, offset) = application.ResumeAt;
        if (frames < 0 || offset < 0 || offset > output.Length || offset > header.NewLength)
            throw new ArgumentException($"{offset} bytes of {header.NewLength} are said to be written, but the output has {output.Length}; start again.", nameof(application));
        if (offset > 0)
            SourceDigest.Append(hash, new StreamSource(output), offset);
        output.Position = offset;
    }

    void Run()
    {
        for (; ; )
        {
            cancel.ThrowIfCancellationRequested();
            patch.Next();
            if (patch.Kind == RecordKind.Frame && tensor is not null && tensorFrame < tensor.Frames)
            {
                TakeFrame();
                continue;
            }
            WriteBatch();
            switch (patch.Kind)
            {
                case RecordKind.Models:
                    ModelRecord.Read(patch, models, memory.Models);
                    break;
                case RecordKind.Tensor:
                    CheckTensorEnded();
                    tensor = TensorRecord.Read(patch.Record, models, old.Length, header.NewLength - progress.NewOffset, memory.Tensor);
                    tensorFrame = 0;
                    break;
                case RecordKind.Frame:
                    throw Wrong("a frame belongs to no tensor.");
                case RecordKind.Copy:
                    CheckTensorEnded();
                    Copy();
                    break;
                case RecordKind.Bytes:
                    CheckTensorEnded();
                    MakeBytes();
                    break;
                case RecordKind.Pool:
                    CheckTensorEnded();
                    FillPool();
                    break;
                case RecordKind.Take:
                    CheckTensorEnded();
                    Take();
                    break;
                default:
                    CheckTensorEnded();
                    Finish();
                    return;
            }
        }
    }

    MalformedPatchException Wrong(string problem) => new(patch.PayloadOffset, problem);

    void CheckTensorEnded()
    {
        if (tensor is not null && tensorFrame < tensor.Frames)
            throw Wrong($"a tensor of {tensor.Frames} frames ends after {tensorFrame}.");
        tensor = null;
    }

    /// <summary>Whether the next bytes are in the output already.</summary>
    bool IsWritten => progress.Frames < application.ResumeAt.Frames;

    void TakeFrame()
    {
        var first = tensorFrame * tensor!.ElementsPerFrame;
        var count = Math.Min(tensor.ElementsPerFrame, tensor.Elements - first);
        var bytes = (int)(tensor.Technique == Technique.Strided ? count : tensor.Lattice.BytesOf(count));
        if (IsWritten)
        {
            progress = new(progress.Frames + 1, progress.NewOffset + bytes);
            tensorFrame++;
            return;
        }
        scratches[batch.Count] ??= new(FrameScratch.Window);
        batch.Add(tensorFrame++, patch);
        if (batch.IsFull)
            WriteBatch();
    }

    void WriteBatch()
    {
        if (batch.Count == 0)
            return;
        var current = tensor!;
        if (batch.Count == 1 || application.Run is null)
            for (var i = 0; i < batch.Count; i++)
                batch.Decode(i, current, old, models, scratches[i]!, application.Vectors);
        else
            application.Run(batch.Count, i => batch.TryDecode(i, current, old, models, scratches[i]!, application.Vectors));
        batch.ThrowFirst();
        for (var i = 0; i < batch.Count; i++)
            Write(batch.Result(i, scratches[i]!));
        batch.Clear();
    }

    void Write(ReadOnlySpan<byte> bytes)
    {
        output.Write(bytes);
        hash.AppendData(bytes);
        progress = new(progress.Frames + 1, progress.NewOffset + bytes.Length);
        application.Progress?.Invoke(progress);
    }

    void Copy()
    {
        var record = patch.Record;
        var from = record.Number(old.Length);
        var count = (int)record.Number(Math.Min(PatchLimits.MostBytes, Math.Min(old.Length - from, header.NewLength - progress.NewOffset)));
        record.End();
        if (IsWritten)
        {
            progress = new(progress.Frames + 1, progress.NewOffset + count);
            return;
        }
        var part = Block(count);
        old.Read(from, part);
        if (Checksum.Of(part) != patch.Sum)
            throw Wrong($"bytes {from} to {from + count} of the old files are not what the patch was made from.");
        Write(part);
    }

    void MakeBytes()
    {
        var record = patch.Record;
        var count = (int)record.Number(Math.Min(PatchLimits.MostBytes, header.NewLength - progress.NewOffset));
        if (IsWritten)
        {
            progress = new(progress.Frames + 1, progress.NewOffset + count);
            return;
        }
        var made = Block(count);
        outputSoFar.Length = progress.NewOffset;
        ByteCoding.Decode(Coder(oldFiles, outputSoFar), record.Bytes(record.Left), progress.NewOffset, made, patch.PayloadOffset);
        if (Checksum.Of(made) != patch.Sum)
            throw Wrong("coded bytes are damaged; fetch the patch again.");
        output.Position = progress.NewOffset;
        Write(made);
    }

    /// <summary>Memory for the bytes of one record.</summary>
    Span<byte> Block(int count) => (memory.Block ??= new byte[PatchLimits.MostBytes]).AsSpan(0, count);

    ByteDecoder Coder(IReadOnlyList<IByteSource> olds, IByteSource made)
    {
        var coder = memory.Bytes ??= new(olds, made);
        coder.Use(olds, made);
        return coder;
    }

    /// <summary>Keeps the record; it is decoded when a byte of it is wanted, which may be never when a run goes on.</summary>
    void FillPool()
    {
        var record = patch.Record;
        if (poolUsed != poolLength)
            throw Wrong($"{poolLength - poolUsed} bytes of the pool were not used.");
        (poolUsed, poolLength) = (0, (int)record.Number(Math.Min(PatchLimits.MostBytes, header.NewLength)));
        var from = record.Number(old.Length);
        poolWindow = new(old, from, record.Number(old.Length - from));
        (poolSum, poolOffset, isPoolDecoded) = (patch.Sum, patch.PayloadOffset, false);
        var head = patch.Payload.Length - record.Left;
        var payload = memory.PoolPayload;
        poolPayloadLength = patch.Exchange(ref payload);
        (memory.PoolPayload, poolHead) = (payload, head);
    }

    void Take()
    {
        var record = patch.Record;
        var count = (int)record.Number(Math.Min(poolLength - poolUsed, header.NewLength - progress.NewOffset));
        record.End();
        poolUsed += count;
        if (IsWritten)
        {
            progress = new(progress.Frames + 1, progress.NewOffset + count);
            return;
        }
        if (!isPoolDecoded)
            DecodePool();
        Write(memory.Pool.AsSpan(poolUsed - count, count));
    }

    void DecodePool()
    {
        var pool = (memory.Pool ??= new byte[PatchLimits.MostBytes]).AsSpan(0, poolLength);
        ByteCoding.Decode(Coder([poolWindow!], new MemorySource(default)), memory.PoolPayload.AsSpan(poolHead, poolPayloadLength - poolHead), 0, pool, poolOffset);
        if (Checksum.Of(pool) != poolSum)
            throw Wrong("coded bytes are damaged; fetch the patch again.");
        isPoolDecoded = true;
    }

    void Finish()
    {
        if (patch.Payload.Length != 0 || poolUsed != poolLength)
            throw Wrong("the end of the patch is not empty.");
        if (progress.NewOffset != header.NewLength)
            throw Wrong($"the patch ends after {progress.NewOffset} of {header.NewLength} bytes; fetch it again.");
        if (!hash.GetHashAndReset().AsSpan().SequenceEqual(header.NewDigest.AsSpan()))
            throw Wrong("the new file does not have the digest that the patch names; delete it and fetch the whole file.");
        output.SetLength(header.NewLength);
        output.Flush();
    }

    /// <summary>Frames that were read and are decoded together.</summary>
    sealed class Batch(int most)
    {
        readonly byte[][] payloads = new byte[most][];
        readonly int[] lengths = new int[most];
        readonly long[] offsets = new long[most];
        readonly long[] frames = new long[most];
        readonly uint[] sums = new uint[most];
        readonly int[] made = new int[most];
        readonly ExceptionDispatchInfo?[] faults = new ExceptionDispatchInfo?[most];

        public int Count { get; private set; }

        public bool IsFull => Count == most;

        public void Clear() => Count = 0;

        public void Add(long frame, PatchReader patch)
        {
            payloads[Count] ??= [];
            lengths[Count] = patch.Exchange(ref payloads[Count]);
            (offsets[Count], frames[Count], sums[Count]) = (patch.PayloadOffset, frame, patch.Sum);
            Count++;
        }

        /// <summary>Keeps what goes wrong for <see cref="ThrowFirst"/>, so that schedulers need not carry exceptions.</summary>
        public void TryDecode(int i, TensorRecord tensor, IByteSource old, SymbolModel?[] models, FrameScratch scratch, bool vectors)
        {
            try
            {
                Decode(i, tensor, old, models, scratch, vectors);
            }
            catch (Exception fault)
            {
                faults[i] = ExceptionDispatchInfo.Capture(fault);
            }
        }

        public void ThrowFirst()
        {
            foreach (var fault in faults)
                fault?.Throw();
        }

        public void Decode(int i, TensorRecord tensor, IByteSource old, SymbolModel?[] models, FrameScratch scratch, bool vectors)
        {
            made[i] = FrameDecoder.Decode(tensor, frames[i], new(payloads[i].AsSpan(0, lengths[i]), offsets[i]), old, models, scratch, vectors);
            if (Checksum.Of(scratch.NewBytes.AsSpan(0, made[i])) != sums[i])
                throw new MalformedPatchException(offsets[i], "a frame does not give the bytes that it should: the patch is damaged, or an old file is another one.");
        }

        public ReadOnlySpan<byte> Result(int i, FrameScratch scratch) => scratch.NewBytes.AsSpan(0, made[i]);
    }
}
