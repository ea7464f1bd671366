namespace Coppice.Delta.Bytes;

/// <summary>One step of a frame: bytes taken from elsewhere, then bytes that are coded.</summary>
/// <param name="Source">The old file, or the number of old files for the new file itself.</param>
/// <param name="From">Where in that source the copy begins. The coded bytes are compared with what follows the copy there.</param>
/// <param name="Copy">How many bytes are taken, 0 or more.</param>
/// <param name="Literals">How many bytes are coded, 0 or more.</param>
/// <param name="Aligned">Whether the coded bytes are compared with the source.</param>
readonly record struct Command(int Source, long From, int Copy, int Literals, bool Aligned);

/// <summary>The last few relations between a source and the new file: offset there minus offset here.</summary>
struct Relations
{
    public const int Count = 4;

    (int Source, long Shift) _0, _1, _2, _3;

    public readonly (int Source, long Shift) this[int index] => index switch { 0 => _0, 1 => _1, 2 => _2, _ => _3 };

    public readonly int Find(int source, long shift)
    {
        for (var i = 0; i < Count; i++)
            if (this[i] == (source, shift))
                return i;
        return Count;
    }

    /// <summary>Puts a relation first; <paramref name="index"/> is where it was, or <see cref="Count"/> when it is new.</summary>
    public void Use(int index, int source, long shift)
    {
        if (index >= 3)
            _3 = _2;
        if (index >= 2)
            _2 = _1;
        if (index >= 1)
            _1 = _0;
        _0 = (source, shift);
    }

    /// <summary>At the start of a frame every relation is: the first old file, at the same offset.</summary>
    public static Relations Start => default;
}
