namespace Coppice.Formats.Comparison;

/// <summary>A model file that was read, with its bytes.</summary>
/// <param name="File">What <see cref="ModelReader.Read(IByteSource)"/> gave.</param>
/// <param name="Bytes">The same bytes.</param>
/// <param name="External">Opens a file beside the model; null, or a null answer, when it is not at hand.</param>
public sealed record ModelContent(ModelFile File, IByteSource Bytes, Func<string, IByteSource?>? External = null)
{
    /// <summary>Reads a model and keeps its bytes with it.</summary>
    /// <exception cref="MalformedFileException">The file breaks its format.</exception>
    public static ModelContent Read(IByteSource bytes, Func<string, IByteSource?>? external = null) => new(ModelReader.Read(bytes), bytes, external);

    /// <summary>The bytes of a tensor; null when they are in a file that is not at hand.</summary>
    /// <exception cref="MalformedFileException">The external file is too short for the tensor.</exception>
    public IByteSource? Open(TensorEntry tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.ExternalFile is null)
            return SliceSource.Of(Bytes, tensor.Offset, tensor.Length);
        if (External?.Invoke(tensor.ExternalFile) is not { } file)
            return null;
        return ByteRange.IsInside(tensor.Offset, tensor.Length, file.Length)
            ? SliceSource.Of(file, tensor.Offset, tensor.Length)
            : throw new MalformedFileException(tensor.ExternalFile, tensor.Offset, $"tensor '{tensor.Name}' of {tensor.Length} bytes does not fit into {file.Length} bytes; it is not the file that belongs to the model.");
    }
}
