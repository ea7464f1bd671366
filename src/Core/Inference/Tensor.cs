using System.Runtime.InteropServices;
using Coppice.Formats;

namespace Coppice.Inference;

/// <summary>Numbers with a shape, in the caller's memory. A value that exists has exactly the bytes its type and shape say.</summary>
public readonly struct Tensor
{
    Tensor(ElementType type, long[] shape, ReadOnlyMemory<byte> bytes) => (Type, this.shape, Bytes) = (type, shape, bytes);

    readonly long[] shape;

    /// <summary>Element type; never String, Unknown or a block type.</summary>
    public ElementType Type { get; }

    /// <summary>Dimensions, outermost first; empty for a scalar.</summary>
    public ReadOnlySpan<long> Shape => shape;

    /// <summary>Row-major, little-endian elements.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>Wraps bytes that are already in the right layout; nothing is copied.</summary>
    /// <exception cref="ArgumentException">The bytes do not fill the shape, a dimension is negative, or the type has no fixed size.</exception>
    public static Tensor Of(ElementType type, ReadOnlySpan<long> shape, ReadOnlyMemory<byte> bytes)
    {
        var elements = 1L;
        foreach (var dimension in shape)
        {
            if (dimension < 0)
                throw new ArgumentException($"dimension {dimension} of [{string.Join(", ", shape.ToArray())}] is negative; give the real size.", nameof(shape));
            elements = checked(elements * dimension);
        }

        var bits = type.BitsPerElement();
        if (bits == 0)
            throw new ArgumentException($"{type} has no fixed size in memory; use a plain numeric type.", nameof(type));
        var wanted = checked((elements * bits + 7) / 8);
        if (bytes.Length != wanted)
            throw new ArgumentException($"{type}[{string.Join(", ", shape.ToArray())}] needs {wanted} bytes, not {bytes.Length}.", nameof(bytes));
        return new(type, shape.ToArray(), bytes);
    }

    /// <summary>A tensor of 32-bit floats over the caller's array; nothing is copied.</summary>
    public static Tensor Of(float[] values, params ReadOnlySpan<long> shape) =>
        Of(ElementType.Float32, shape, new ArrayBytes<float>(values).Memory);

    /// <summary>A tensor of 64-bit integers over the caller's array; nothing is copied.</summary>
    public static Tensor Of(long[] values, params ReadOnlySpan<long> shape) =>
        Of(ElementType.Int64, shape, new ArrayBytes<long>(values).Memory);

    /// <summary>The bytes of an array of numbers as <see cref="Memory{T}"/>, which the BCL offers for spans only.</summary>
    sealed class ArrayBytes<T>(T[] array) : System.Buffers.MemoryManager<byte>
        where T : unmanaged
    {
        public override Span<byte> GetSpan() => MemoryMarshal.AsBytes(array.AsSpan());

        public override unsafe System.Buffers.MemoryHandle Pin(int elementIndex = 0)
        {
            var handle = GCHandle.Alloc(array, GCHandleType.Pinned);
            return new((byte*)handle.AddrOfPinnedObject() + elementIndex, handle, this);
        }

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}

/// <summary>What a run returned. Dispose it: the numbers live in the runtime's memory until then.</summary>
public abstract class InferenceResult : IDisposable
{
    /// <summary>Number of outputs; the same as the session's.</summary>
    public abstract int Count { get; }

    /// <summary>Element type of an output.</summary>
    public abstract ElementType TypeOf(int output);

    /// <summary>Shape of an output as this run gave it.</summary>
    public abstract ReadOnlySpan<long> ShapeOf(int output);

    /// <summary>Row-major, little-endian elements of an output, in the runtime's memory: valid until <see cref="Dispose()"/>.</summary>
    public abstract ReadOnlySpan<byte> BytesOf(int output);

    /// <summary>An output of 32-bit floats.</summary>
    /// <exception cref="InvalidOperationException">The output has another type.</exception>
    public ReadOnlySpan<float> Floats(int output) => TypeOf(output) == ElementType.Float32
        ? MemoryMarshal.Cast<byte, float>(BytesOf(output))
        : throw new InvalidOperationException($"output {output} is {TypeOf(output)}, not Float32; read it with BytesOf.");

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives the memory back.</summary>
    protected abstract void Dispose(bool disposing);
}
