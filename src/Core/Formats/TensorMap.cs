using System.Collections.Immutable;

namespace Coppice.Formats;

/// <summary>Where a model file keeps its tensors: the one view that all formats give.</summary>
/// <param name="Format">What kind of file this is; <see cref="ModelFormat.Opaque"/> when nobody knows it.</param>
/// <param name="Length">Bytes in the file.</param>
/// <param name="Tensors">In order of their offset, those in external files after the file's own. Their byte ranges lie inside
/// their file (external files are for the caller to measure, see <see cref="ModelFile.ExternalFiles"/>) and do not overlap,
/// except that two names may share one and the same range. No two have the same name.</param>
/// <param name="Metadata">Key-values of the file in its own order, values as text (lists shortened with their count).</param>
public sealed record TensorMap(
    ModelFormat Format, long Length, ImmutableArray<TensorEntry> Tensors, ImmutableArray<KeyValuePair<string, string>> Metadata);

/// <summary>One tensor: what it is, and which bytes of the file hold it.</summary>
/// <param name="Name">The name in the file; never empty, made from the position where the file gives none.</param>
/// <param name="Type">How elements are stored.</param>
/// <param name="Shape">Row-major, outermost first (GGUF's reversed dimensions are turned round). Empty for a scalar.</param>
/// <param name="Offset">First byte, from the start of the file that holds it.</param>
/// <param name="Length">Bytes; agrees with type and shape unless the type is Unknown or String.</param>
public sealed record TensorEntry(string Name, ElementType Type, ImmutableArray<long> Shape, long Offset, long Length)
{
    /// <summary>The file that holds the bytes, relative to the model file (ONNX external data); null when it is the model file itself.</summary>
    public string? ExternalFile { get; init; }

    /// <summary>What the elements are where <see cref="Type"/> is Unknown because their bytes are coded, not laid out: ONNX's lists of
    /// varints, a sparse TFLite buffer. Null everywhere else.</summary>
    public ElementType? CodedType { get; init; }

    /// <summary>How codes stand for real numbers, where the file says it beside the tensor (TFLite); null everywhere else.</summary>
    public Quantisation? Quantisation { get; init; }

    /// <summary>What the elements are, however their bytes are laid out.</summary>
    public ElementType Meaning => CodedType ?? Type;

    /// <summary>Number of elements; at most 2^63 - 1, which the readers check.</summary>
    public long Elements
    {
        get
        {
            var count = 1L;
            foreach (var dimension in Shape)
                count = checked(count * dimension);
            return count;
        }
    }
}

/// <summary>real = scale × (code - zero point).</summary>
/// <param name="Scale">Real numbers to one step of the code; of the first slice where every slice has its own.</param>
/// <param name="ZeroPoint">The code of zero; of the first slice likewise.</param>
/// <param name="Slices">How many scales there are: 1 for the whole tensor, or one for each index along <paramref name="Axis"/>.</param>
/// <param name="Axis">The dimension along which scales differ.</param>
public readonly record struct Quantisation(float Scale, long ZeroPoint, int Slices = 1, int Axis = 0);

/// <summary>The container formats that are understood.</summary>
public enum ModelFormat
{
    /// <summary>Any other bytes: shippable, with no view inside.</summary>
    Opaque,
    /// <summary>A protobuf ModelProto, with or without external data.</summary>
    Onnx,
    /// <summary>llama.cpp's GGUF, versions 2 and 3.</summary>
    Gguf,
    /// <summary>A JSON header and raw tensors.</summary>
    Safetensors,
    /// <summary>A flatbuffer of TensorFlow Lite (LiteRT).</summary>
    Tflite,
    /// <summary>A zip archive of PyTorch: <c>.pt</c>, <c>.ptl</c>, <c>.jit</c>.</summary>
    Torch,
    /// <summary>The pickle file that PyTorch wrote before 1.6.</summary>
    TorchLegacy,
    /// <summary>A zip archive whose stored entries are models themselves (MediaPipe <c>.task</c>).</summary>
    Zip,
}
