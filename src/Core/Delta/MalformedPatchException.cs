namespace Coppice.Delta;

/// <summary>A patch breaks the rules of its format: it was damaged on the way, or written to do harm. Nothing of the frame at fault was written.</summary>
/// <param name="offset">Byte of the patch near which the rule is broken, from its start.</param>
/// <param name="problem">What was found, what is wanted, and what to do.</param>
public sealed class MalformedPatchException(long offset, string problem)
    : Exception($"patch, byte {offset}: {problem}")
{
    /// <summary>Byte of the patch near which the rule is broken.</summary>
    public long Offset { get; } = offset;
}
