namespace Coppice.Formats.Comparison;

/// <summary>What is counted when two tensors are compared.</summary>
public enum ChangeUnit
{
    /// <summary>Real numbers: floats, or blocks with their scales.</summary>
    Values,
    /// <summary>Whole numbers as they are stored, without their scales.</summary>
    Codes,
    /// <summary>Bytes, of types that are not decoded.</summary>
    Bytes,
}

/// <summary>How far a tensor moved.</summary>
/// <param name="Unit">What the counts are of.</param>
/// <param name="Compared">Elements or bytes that were compared; at least 1.</param>
/// <param name="Changed">Those that are not the same.</param>
/// <param name="MaxAbsolute">Largest |new - old|; null for bytes.</param>
/// <param name="RelativeL2">‖new - old‖ / ‖old‖; null for bytes, and when all of old is zero.</param>
/// <remarks>Pairs with an infinity or NaN count as changed when their bits differ, and in neither measure.</remarks>
public sealed record ValueChange(ChangeUnit Unit, long Compared, long Changed, double? MaxAbsolute, double? RelativeL2)
{
    /// <summary>Part that changed, 0 to 1.</summary>
    public double ChangedShare => (double)Changed / Compared;
}
