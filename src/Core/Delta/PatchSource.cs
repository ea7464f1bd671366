using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>A file that a patch is made from or makes, and where its tensors are.</summary>
/// <param name="Bytes">The file.</param>
/// <param name="Tensors">Its map; a map without tensors makes the file opaque: it is then looked at by the piece.</param>
public sealed record PatchSource(IByteSource Bytes, TensorMap Tensors)
{
    /// <summary>Reads the map from the file itself; a file that breaks the rules of its format is opaque.</summary>
    public static PatchSource Of(IByteSource bytes)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        try
        {
            return new(bytes, ModelReader.Read(bytes).Map);
        }
        catch (MalformedFileException) // any bytes can be patched, those of a broken file too
        {
            return new(bytes, new(ModelFormat.Opaque, bytes.Length, [], []));
        }
    }
}
