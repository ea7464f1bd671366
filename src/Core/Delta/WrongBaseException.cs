namespace Coppice.Delta;

/// <summary>An old file is not the one that the patch was made from. Nothing was written.</summary>
/// <param name="index">Which of the old files, from 0, in the order they were given.</param>
/// <param name="problem">What was found, what is wanted, and what to do.</param>
public sealed class WrongBaseException(int index, string problem)
    : Exception($"old file {index + 1}: {problem}")
{
    /// <summary>Which of the old files, from 0, in the order they were given.</summary>
    public int Index { get; } = index;
}
