using System.Text;
using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>A tensor that ONNX Runtime can read and write in place: in the caller's memory, or in its own.</summary>
/// <remarks>Runs may share a value to read from. It may be disposed of while a run uses it; the memory goes when the run has ended.</remarks>
public sealed unsafe class OrtValue : IDisposable
{
    readonly long[] shape;

    OrtValue(OrtValueHandle handle, ElementType type, long[] shape) => (Handle, Type, this.shape) = (handle, type, shape);

    /// <summary>Element type.</summary>
    public ElementType Type { get; }

    /// <summary>Dimensions, outermost first; empty for a scalar.</summary>
    public ReadOnlySpan<long> Shape => shape;

    /// <summary>The elements in place, row-major and little-endian: valid until <see cref="Dispose"/>, so hold on to the value for as long.</summary>
    /// <exception cref="InvalidOperationException">The elements are strings; read them with <see cref="ToStrings"/>.</exception>
    /// <exception cref="InferenceException">They take 2 GiB or more, which a span cannot hold.</exception>
    public Span<byte> Bytes
    {
        get
        {
            ObjectDisposedException.ThrowIf(Handle.IsClosed, this);
            return BytesOf(Handle.DangerousGetHandle(), Type);
        }
    }

    internal OrtValueHandle Handle { get; }

    /// <summary>A tensor over the caller's memory, which stays pinned until the value is disposed of. Nothing is copied.</summary>
    /// <exception cref="ArgumentException">The bytes do not fill the shape, or the type has no fixed size.</exception>
    public static OrtValue Over(ElementType type, ReadOnlySpan<long> shape, Memory<byte> bytes) => Over(Tensor.Of(type, shape, bytes));

    /// <summary>A tensor over the memory of another, which stays pinned until the value is disposed of; strings are copied.</summary>
    /// <exception cref="ArgumentException">ONNX Runtime has no such element type.</exception>
    public static OrtValue Over(in Tensor tensor)
    {
        _ = OrtEnvironment.Handle;
        var shape = tensor.Shape.ToArray();
        var handle = new OrtValueHandle();
        if (tensor.Type == ElementType.String)
        {
            handle.Own(CreateStrings(tensor.Strings, shape));
            return new(handle, tensor.Type, shape);
        }

        var number = OrtElementTypes.NumberOf(tensor.Type);
        handle.Pin = tensor.Bytes.Pin();
        try
        {
            handle.Own(Create(handle.Pin.Pointer, tensor.Bytes.Length, shape, number, "tensor"));
        }
        catch
        {
            handle.Pin.Dispose();
            throw;
        }
        return new(handle, tensor.Type, shape);
    }

    /// <summary>A tensor in memory of ONNX Runtime, not initialised.</summary>
    /// <exception cref="ArgumentException">The type has no fixed size.</exception>
    public static OrtValue Allocate(ElementType type, params ReadOnlySpan<long> shape)
    {
        if (type.BitsPerElement() == 0)
            throw new ArgumentException($"{type} has no fixed size in memory; use a plain numeric type.", nameof(type));
        var handle = new OrtValueHandle();
        handle.Own(CreateAllocated(shape, OrtElementTypes.NumberOf(type)));
        return new(handle, type, shape.ToArray());
    }

    /// <summary>A copy of the elements of a tensor of strings.</summary>
    /// <exception cref="InvalidOperationException">The elements are numbers; read them with <see cref="Bytes"/>.</exception>
    public string[] ToStrings()
    {
        if (Type != ElementType.String)
            throw new InvalidOperationException($"the elements are {Type}, not strings; read them with {nameof(Bytes)}.");
        ObjectDisposedException.ThrowIf(Handle.IsClosed, this);
        return StringsOf(Handle.DangerousGetHandle(), Shape);
    }

    /// <inheritdoc/>
    public void Dispose() => Handle.Dispose();

    /// <summary>Takes over a value that a run has created.</summary>
    internal static OrtValue Adopt(nint created)
    {
        var handle = new OrtValueHandle();
        handle.Own(created);
        int number;
        long* dimensions;
        nuint rank;
        OrtStatus.Check(Ort.GetTensorElementTypeAndShapeDataReference(created, &number, &dimensions, &rank), OrtStep.Describe, "output");
        return new(handle, OrtElementTypes.TypeOf(number), new ReadOnlySpan<long>(dimensions, (int)rank).ToArray());
    }

    /// <summary>A native value over pinned memory; a tensor without elements may have no memory.</summary>
    internal static nint Create(void* data, int length, ReadOnlySpan<long> shape, int number, string subject)
    {
        nint value;
        byte nothing;
        fixed (long* dimensions = shape)
        {
            OrtStatus.Check(
                Ort.CreateTensorWithDataAsOrtValue(
                    OrtEnvironment.CpuMemory, data is null ? &nothing : data, (nuint)length, dimensions, (nuint)shape.Length, number, &value),
                OrtStep.Bind, subject);
        }
        return value;
    }

    /// <summary>A native value that holds a copy of the strings.</summary>
    internal static nint CreateStrings(ReadOnlySpan<string> strings, ReadOnlySpan<long> shape)
    {
        var value = CreateAllocated(shape, OrtElementTypes.NumberOf(ElementType.String));
        try
        {
            for (var i = 0; i < strings.Length; i++)
            {
                var length = Encoding.UTF8.GetByteCount(strings[i]);
                byte* buffer;
                OrtStatus.Check(Ort.GetResizedStringTensorElementBuffer(value, (nuint)i, (nuint)length, &buffer), OrtStep.Bind, "strings");
                Encoding.UTF8.GetBytes(strings[i], new Span<byte>(buffer, length));
            }
            return value;
        }
        catch
        {
            Ort.ReleaseValue(value);
            throw;
        }
    }

    /// <summary>The elements of a native value, in place.</summary>
    internal static Span<byte> BytesOf(nint value, ElementType type)
    {
        if (type == ElementType.String)
            throw new InvalidOperationException("the elements are strings; read them as such.");
        nuint length;
        void* data;
        OrtStatus.Check(Ort.GetTensorSizeInBytes(value, &length), OrtStep.Describe, "tensor");
        if (length > int.MaxValue)
            throw new InferenceException($"a tensor of {length} bytes is past the 2 GiB that can be read at once; split it inside the model.");
        OrtStatus.Check(Ort.GetTensorMutableData(value, &data), OrtStep.Describe, "tensor");
        return new(data, (int)length);
    }

    /// <summary>A copy of the strings of a native value.</summary>
    internal static string[] StringsOf(nint value, ReadOnlySpan<long> shape)
    {
        var count = 1L;
        foreach (var dimension in shape)
            count *= dimension;
        if (count == 0)
            return [];
        nuint length;
        OrtStatus.Check(Ort.GetStringTensorDataLength(value, &length), OrtStep.Describe, "strings");
        var text = new byte[length];
        var offsets = new nuint[count];
        fixed (byte* first = text)
        fixed (nuint* offset = offsets)
        {
            byte nothing;
            OrtStatus.Check(
                Ort.GetStringTensorContent(value, first is null ? &nothing : first, length, offset, (nuint)count), OrtStep.Describe, "strings");
        }

        var strings = new string[count];
        for (var i = 0; i < strings.Length; i++)
        {
            var end = i + 1 < strings.Length ? (int)offsets[i + 1] : text.Length;
            strings[i] = Encoding.UTF8.GetString(text, (int)offsets[i], end - (int)offsets[i]);
        }
        return strings;
    }

    static nint CreateAllocated(ReadOnlySpan<long> shape, int number)
    {
        nint value;
        fixed (long* dimensions = shape)
            OrtStatus.Check(Ort.CreateTensorAsOrtValue(OrtEnvironment.DefaultAllocator, dimensions, (nuint)shape.Length, number, &value), OrtStep.Bind, "tensor");
        return value;
    }
}
