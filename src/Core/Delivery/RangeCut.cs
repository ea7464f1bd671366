using Coppice.Formats;

namespace Coppice.Delivery;

/// <summary>Where a file is cut into ranges: at the beginning and the end of its tensors, so that a tensor gives the same ranges wherever it lies, in any file and format.</summary>
/// <param name="PieceBytes">Longest range: longer tensors, and longer runs between tensors, are cut at every so many bytes from their beginning.</param>
/// <param name="SmallestTensor">Tensors of fewer bytes are not cut out; they belong to the run around them.</param>
public sealed record RangeCut(int PieceBytes, int SmallestTensor)
{
    /// <summary>Shortest pieces.</summary>
    public const int MinPiece = 64 << 10;

    /// <summary>Longest pieces: a reader holds one in memory.</summary>
    public const int MaxPiece = 4 << 20;

    const int FirstSmallest = 4096;
    const int AimedPieces = 4096;

    /// <summary>How a file is best cut; null when it is so long that its map would be.</summary>
    /// <param name="file">Its tensors, or none.</param>
    public static RangeCut? For(TensorMap file)
    {
        var piece = (long)MinPiece;
        while (piece < MaxPiece && file.Length / piece > AimedPieces)
            piece *= 2;
        for (var smallest = FirstSmallest; smallest <= MaxPiece; smallest *= 4)
        {
            var cut = new RangeCut((int)piece, smallest);
            if (cut.Lengths(file).Take(RangeMap.MaxRanges + 1).Count() <= RangeMap.MaxRanges)
                return cut;
        }

        return null;
    }

    /// <summary>The file's tensors; none when no reader knows it, or it breaks its format's rules.</summary>
    public static TensorMap TensorsOf(IByteSource file)
    {
        try
        {
            return ModelReader.Read(file).Map;
        }
        catch (MalformedFileException) // any bytes can be cut
        {
            return new(ModelFormat.Opaque, file.Length, [], []);
        }
    }

    /// <summary>Lengths of the ranges in the file's order, each 1 to <see cref="PieceBytes"/>; together they are the file.</summary>
    public IEnumerable<int> Lengths(TensorMap file)
    {
        var at = 0L;
        foreach (var tensor in file.Tensors.Where(tensor => tensor.ExternalFile is null && tensor.Length >= SmallestTensor).OrderBy(tensor => tensor.Offset).ThenByDescending(tensor => tensor.Length))
        {
            if (tensor.Offset < at || tensor.Length > file.Length - tensor.Offset)
                continue; // a second name of the same bytes
            foreach (var length in Pieces(tensor.Offset - at))
                yield return length;
            foreach (var length in Pieces(tensor.Length))
                yield return length;
            at = tensor.Offset + tensor.Length;
        }

        foreach (var length in Pieces(file.Length - at))
            yield return length;
    }

    IEnumerable<int> Pieces(long length)
    {
        for (; length > 0; length -= PieceBytes)
            yield return (int)Math.Min(length, PieceBytes);
    }
}
