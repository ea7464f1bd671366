using System.Runtime.InteropServices;
using Coppice.Formats;

namespace Coppice.Inference;

/// <summary>Numbers with a shape, in the caller's memory. A value that exists has exactly the bytes its type and shape say.</summary>
public readonly struct Tensor
{
    Tensor(ElementType type, long[] shape, ReadOnlyMemory<byte> bytes, string[]? strings = null) =>
        (Type, this.shape, Bytes, this.strings) = (type, shape, bytes, strings);

    readonly long[] shape;
    readonly string[]? strings;

    /// <summary>Element type; never a block type, and Unknown only in <c>default</c>, which no model takes.</summary>
    public ElementType Type { get; }

    /// <summary>Dimensions, outermost first; empty for a scalar.</summary>
    public ReadOnlySpan<long> Shape => shape;

    /// <summary>Row-major, little-endian elements; empty for strings.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>Row-major elements of a tensor of strings; empty for numbers.</summary>
    public ReadOnlySpan<string> Strings => strings;

    /// <summary>Wraps bytes that are already in the right layout; nothing is copied.</summary>
    /// <exception cref="ArgumentException">The bytes do not fill the shape, a dimension is negative, or the type has no fixed size.</exception>
    public static Tensor Of(ElementType type, ReadOnlySpan<long> shape, ReadOnlyMemory<byte> bytes)
    {
        var elements = Elements(shape);
        var bits = type.BitsPerElement();
        if (bits == 0)
            throw new ArgumentException($"{type} has no fixed size in memory; use a plain numeric type.", nameof(type));
        var wanted = checked((elements * bits + 7) / 8);
        if (bytes.Length != wanted)
            throw new ArgumentException($"{type}[{string.Join(", ", shape.ToArray())}] needs {wanted} bytes, not {bytes.Length}.", nameof(bytes));
        return new(type, shape.ToArray(), bytes);
    }

    /// <summary>A tensor over the caller's array; nothing is copied.</summary>
    /// <typeparam name="T">A number of the BCL (float, double, Half, signed and unsigned 8 to 64 bits) or bool.</typeparam>
    /// <exception cref="ArgumentException">The array does not fill the shape, or no element type is stored as <typeparamref name="T"/>.</exception>
    public static Tensor Of<T>(T[] values, params ReadOnlySpan<long> shape)
        where T : unmanaged =>
        Of(NumberType.Of<T>(), shape, new ArrayBytes<T>(values).Memory);

    /// <summary>A tensor of strings; a runtime copies them.</summary>
    /// <exception cref="ArgumentException">There are more or fewer strings than the shape says, or one is null.</exception>
    public static Tensor Of(string[] values, params ReadOnlySpan<long> shape)
    {
        var elements = Elements(shape);
        if (elements != values.Length)
            throw new ArgumentException($"String[{string.Join(", ", shape.ToArray())}] needs {elements} strings, not {values.Length}.", nameof(values));
        if (Array.IndexOf(values, null) is >= 0 and var missing)
            throw new ArgumentException($"string {missing} is null; give an empty string where there is no text.", nameof(values));
        return new(ElementType.String, shape.ToArray(), default, values);
    }

    static long Elements(ReadOnlySpan<long> shape)
    {
        var elements = 1L;
        foreach (var dimension in shape)
        {
            if (dimension < 0)
                throw new ArgumentException($"dimension {dimension} of [{string.Join(", ", shape.ToArray())}] is negative; give the real size.", nameof(shape));
            elements = checked(elements * dimension);
        }
        return elements;
    }

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

    /// <summary>An output as numbers of the BCL, in the runtime's memory: valid until <see cref="Dispose()"/>.</summary>
    /// <exception cref="InvalidOperationException">The output has another type.</exception>
    public ReadOnlySpan<T> Values<T>(int output)
        where T : unmanaged => TypeOf(output) == NumberType.Of<T>()
        ? MemoryMarshal.Cast<byte, T>(BytesOf(output))
        : throw new InvalidOperationException($"output {output} is {TypeOf(output)}, not {NumberType.Of<T>()}; read it as that, or with BytesOf.");

    /// <summary>An output of 32-bit floats.</summary>
    /// <exception cref="InvalidOperationException">The output has another type.</exception>
    public ReadOnlySpan<float> Floats(int output) => Values<float>(output);

    /// <summary>A copy of an output of strings.</summary>
    /// <exception cref="InvalidOperationException">The output has another type.</exception>
    public virtual string[] StringsOf(int output) =>
        throw new InvalidOperationException($"output {output} is {TypeOf(output)}, not String; read it with BytesOf.");

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives the memory back.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>Which element type is stored as a number of the BCL.</summary>
static class NumberType
{
    public static ElementType Of<T>()
        where T : unmanaged =>
        typeof(T) == typeof(float) ? ElementType.Float32
        : typeof(T) == typeof(double) ? ElementType.Float64
        : typeof(T) == typeof(Half) ? ElementType.Float16
        : typeof(T) == typeof(sbyte) ? ElementType.Int8
        : typeof(T) == typeof(short) ? ElementType.Int16
        : typeof(T) == typeof(int) ? ElementType.Int32
        : typeof(T) == typeof(long) ? ElementType.Int64
        : typeof(T) == typeof(byte) ? ElementType.UInt8
        : typeof(T) == typeof(ushort) ? ElementType.UInt16
        : typeof(T) == typeof(uint) ? ElementType.UInt32
        : typeof(T) == typeof(ulong) ? ElementType.UInt64
        : typeof(T) == typeof(bool) ? ElementType.Bool
        : throw new ArgumentException($"no element type is stored as {typeof(T).Name}; give the bytes and their type.");
}
