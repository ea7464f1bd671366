namespace Coppice.Formats;

/// <summary>A file breaks the rules of its format. The file is at fault, not the program or its caller.</summary>
/// <param name="format">The format's usual name: ONNX, GGUF, safetensors, TFLite, PyTorch, ZIP.</param>
/// <param name="offset">Byte at which the rule is broken, from the start of the file.</param>
/// <param name="problem">What was found, what is wanted, and what to do.</param>
public sealed class MalformedFileException(string format, long offset, string problem)
    : Exception($"{format}, byte {offset}: {problem}")
{
    /// <summary>The format's usual name.</summary>
    public string Format { get; } = format;

    /// <summary>Byte at which the rule is broken, from the start of the file.</summary>
    public long Offset { get; } = offset;
}
