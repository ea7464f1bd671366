using System.Collections.Concurrent;
using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Agent.Serving;

/// <summary>Copies of requests and of what was answered, on their way to a shadow. A few, in memory that is bounded; the request that is copied waits for nobody.</summary>
/// <param name="answers">Whether the answers are copied too.</param>
sealed class ShadowCopies(bool answers) : IDisposable
{
    /// <summary>Requests that wait at most, the one that runs among them.</summary>
    public const int Most = 8;

    /// <summary>Bytes that all of them take at most.</summary>
    public const long MaxBytes = 64L << 20;

    const int Alignment = 64; // as runtimes like their tensors

    readonly ConcurrentQueue<ShadowCopy> free = new(Enumerable.Range(0, Most).Select(_ => new ShadowCopy()));
    readonly ConcurrentQueue<ShadowCopy> waiting = new();
    readonly AutoResetEvent came = new(false);
    long bytes; // of all buffers
    volatile bool sleeps;

    /// <summary>Copies a request when there is room; false when there is none.</summary>
    public bool TryAdd(ReadOnlySpan<Tensor> inputs, InferenceResult answered)
    {
        if (!free.TryDequeue(out var copy))
            return false;
        var fits = false;
        try
        {
            fits = TryFill(copy, inputs, answered);
        }
        finally
        {
            (fits ? waiting : free).Enqueue(copy);
        }

        if (fits && sleeps)
            Wake();
        return fits;
    }

    /// <summary>The oldest that waits, when one comes in time. One caller.</summary>
    public ShadowCopy? Take(TimeSpan wait)
    {
        if (waiting.TryDequeue(out var copy))
            return copy;
        sleeps = true;
        Interlocked.MemoryBarrier(); // one that came before it was seen to sleep is found now
        if (waiting.TryDequeue(out copy))
        {
            sleeps = false;
            return copy;
        }

        came.WaitOne(wait);
        sleeps = false;
        return waiting.TryDequeue(out copy) ? copy : null;
    }

    /// <summary>Wakes who takes.</summary>
    public void Wake()
    {
        try
        {
            came.Set();
        }
        catch (ObjectDisposedException) // who took has ended meanwhile
        {
        }
    }

    /// <summary>Nobody takes any more; what is added from now on is left where it is.</summary>
    public void Dispose() => came.Dispose();

    /// <summary>Gives a copy back.</summary>
    public void Return(ShadowCopy copy) => free.Enqueue(copy);

    bool TryFill(ShadowCopy copy, ReadOnlySpan<Tensor> inputs, InferenceResult answered)
    {
        var length = 0L;
        foreach (var input in inputs)
            length += Aligned(input.Bytes.Length);
        for (var i = 0; answers && i < answered.Count; i++)
            length += IsPlain(answered.TypeOf(i)) ? Aligned(answered.BytesOf(i).Length) : 0;
        if (length > copy.Bytes.Length)
        {
            var more = length - copy.Bytes.Length;
            if (length > Array.MaxLength || Interlocked.Add(ref bytes, more) > MaxBytes)
            {
                if (length <= Array.MaxLength)
                    Interlocked.Add(ref bytes, -more);
                return false;
            }

            copy.Bytes = GC.AllocateUninitializedArray<byte>((int)length);
        }

        var at = 0;
        copy.Inputs = new Tensor[inputs.Length];
        for (var i = 0; i < inputs.Length; i++)
        {
            var input = inputs[i];
            if (input.Type == ElementType.String)
            {
                copy.Inputs[i] = Tensor.Of(input.Strings.ToArray(), input.Shape);
                continue;
            }

            input.Bytes.Span.CopyTo(copy.Bytes.AsSpan(at));
            copy.Inputs[i] = Tensor.Of(input.Type, input.Shape, copy.Bytes.AsMemory(at, input.Bytes.Length));
            at += (int)Aligned(input.Bytes.Length);
        }

        copy.Answered = answers ? CopyAnswer(copy, answered, at) : null;
        return true;
    }

    static CopiedAnswer CopyAnswer(ShadowCopy copy, InferenceResult answered, int at)
    {
        var outputs = new CopiedOutput[answered.Count];
        for (var i = 0; i < outputs.Length; i++)
        {
            var type = answered.TypeOf(i);
            var output = IsPlain(type) ? answered.BytesOf(i) : default;
            output.CopyTo(copy.Bytes.AsSpan(at));
            outputs[i] = new(type, answered.ShapeOf(i).ToArray(), copy.Bytes.AsMemory(at, output.Length));
            at += (int)Aligned(output.Length);
        }

        return new(outputs);
    }

    static bool IsPlain(ElementType type) => type.BitsPerElement() >= 8;

    static long Aligned(long length) => (length + Alignment - 1) / Alignment * Alignment;
}

/// <summary>A copied request.</summary>
sealed class ShadowCopy
{
    /// <summary>Inputs and answer, one after the other.</summary>
    public byte[] Bytes { get; set; } = [];

    /// <summary>What the request gave.</summary>
    public Tensor[] Inputs { get; set; } = [];

    /// <summary>What it was answered; null when that is not compared.</summary>
    public InferenceResult? Answered { get; set; }
}

/// <summary>An output of a copied answer.</summary>
readonly record struct CopiedOutput(ElementType Type, long[] Shape, ReadOnlyMemory<byte> Bytes);

/// <summary>What was answered, in memory of our own.</summary>
sealed class CopiedAnswer(CopiedOutput[] outputs) : InferenceResult
{
    public override int Count => outputs.Length;

    public override ElementType TypeOf(int output) => outputs[output].Type;

    public override ReadOnlySpan<long> ShapeOf(int output) => outputs[output].Shape;

    public override ReadOnlySpan<byte> BytesOf(int output) => outputs[output].Bytes.Span;

    protected override void Dispose(bool disposing)
    {
    }
}
