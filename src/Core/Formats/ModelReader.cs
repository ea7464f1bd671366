using Coppice.Formats.Gguf;
using Coppice.Formats.Onnx;
using Coppice.Formats.Safetensors;
using Coppice.Formats.Tflite;
using Coppice.Formats.Torch;
using Coppice.Formats.Zip;

namespace Coppice.Formats;

/// <summary>Finds out from its bytes what a model file is, and reads what it says of itself. Names and extensions count for nothing.</summary>
/// <remarks>
/// Tensors are located, not loaded: what is held in memory is bounded by <see cref="ReadLimits"/>, whatever the length of the
/// file. A file that no reader knows is <see cref="ModelFormat.Opaque"/>, which is no error: it can be shipped and patched.
/// </remarks>
public static class ModelReader
{
    /// <summary>The format that the bytes begin like. The file may still turn out to be malformed.</summary>
    public static ModelFormat Detect(IByteSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        var bytes = new ByteWindow(source, "ZIP");
        var format = Detect(bytes);
        return format == ModelFormat.Zip && IsTorch(bytes) ? ModelFormat.Torch : format;
    }

    static bool IsTorch(ByteWindow bytes)
    {
        try
        {
            return ZipReader.TorchFolder(ZipDirectory.Read(bytes)) is not null;
        }
        catch (MalformedFileException) // Read tells what is wrong; here the question is only what it begins like
        {
            return false;
        }
    }

    /// <summary>Reads a model file.</summary>
    /// <exception cref="MalformedFileException">The file begins like one of the formats and breaks its rules or a limit.</exception>
    public static ModelFile Read(IByteSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return Read(source, 0, ZipReader.Depth);
    }

    /// <param name="source">A file, or an entry of an archive.</param>
    /// <param name="origin">Where it begins in the whole file.</param>
    /// <param name="depth">How many more archives may lie in one another.</param>
    internal static ModelFile Read(IByteSource source, long origin, int depth)
    {
        var format = Detect(new ByteWindow(source, "file", origin));
        return format switch
        {
            ModelFormat.Gguf => GgufReader.Read(new(source, "GGUF", origin)),
            ModelFormat.Onnx => OnnxReader.Read(new(source, "ONNX", origin)),
            ModelFormat.Tflite => TfliteReader.Read(new(source, "TFLite", origin)),
            ModelFormat.TorchLegacy => TorchLegacy.Read(new(source, "PyTorch", origin)),
            ModelFormat.Zip or ModelFormat.Torch => ZipReader.Read(new(source, "ZIP", origin), depth),
            ModelFormat.Safetensors => SafetensorsReader.Read(new(source, "safetensors", origin)),
            _ => new ModelDraft(ModelFormat.Opaque, new(source, "file", origin)).Build(),
        };
    }

    static ModelFormat Detect(ByteWindow bytes)
    {
        if (bytes.Length >= 4 && bytes.UInt32(0) == GgufReader.Magic)
            return ModelFormat.Gguf;
        if (bytes.Length >= 8 && bytes.UInt32(4) == TfliteReader.Identifier)
            return ModelFormat.Tflite;
        if (bytes.Length >= 22 && bytes.UInt32(0) == ZipDirectory.LocalSignature) // the smallest end record
            return ModelFormat.Zip;
        if (TorchLegacy.Looks(bytes))
            return ModelFormat.TorchLegacy;
        if (SafetensorsReader.Looks(bytes))
            return ModelFormat.Safetensors;
        if (OnnxReader.Looks(bytes))
            return ModelFormat.Onnx;
        return ModelFormat.Opaque;
    }
}
