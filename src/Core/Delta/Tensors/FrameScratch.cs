namespace Coppice.Delta.Tensors;

/// <summary>The memory that one frame needs while it is coded or decoded; one for each worker.</summary>
/// <param name="elements">
/// How many elements are worked on at once: a whole frame while coding, about 2 MB; a window of it while decoding, so that
/// every step of the way finds its numbers in the processor's nearest caches.
/// </param>
sealed class FrameScratch(int elements = TensorRecord.FrameElements)
{
    /// <summary>Elements that a decoder works on at once; a multiple of every vector and block.</summary>
    public const int Window = 2048;

    const int MostElements = TensorRecord.FrameElements;
    const int MostRows = MostElements;

    byte[]? oldBytes;
    byte[]? newBytes;
    uint[]? turned;

    /// <summary>Elements that are worked on at once.</summary>
    public int Elements => elements;

    /// <summary>Old elements: bits of floats, or codes less their zero as 32-bit integers.</summary>
    public uint[] Old { get; } = new uint[elements];

    /// <summary>Predicted elements in the same form; the highest bit says that differences count the other way round.</summary>
    public uint[] Predicted { get; } = new uint[elements];

    /// <summary>New elements.</summary>
    public uint[] New { get; } = new uint[elements];

    /// <summary>The context of each element in its model.</summary>
    public byte[] Contexts { get; } = new byte[elements + 32];

    public byte[] Symbols { get; } = new byte[elements + 32];

    /// <summary>Indices of the symbols that raw bits follow; or, where most have them, the numbers of all.</summary>
    public ushort[] Large { get; } = new ushort[elements + 32];

    /// <summary>Products of the low-rank factors of one row.</summary>
    public int[] Products { get; } = new int[elements];

    /// <summary>Per row of the frame: expected size of a difference, half octaves.</summary>
    public int[] RowScales { get; } = new int[MostRows];

    /// <summary>Per row of the frame: new step in old steps, 16 fractional bits.</summary>
    public int[] Ratios { get; } = new int[MostRows];

    /// <summary>Factor A of the frame's rows, row after row.</summary>
    public short[] Left { get; } = new short[2048 * TensorRecord.MostRank];

    /// <summary>Heads of the frame's old blocks, one after the other.</summary>
    public ushort[] OldHeads { get; } = new ushort[MostElements / BlockHead.LeastElementsPerField];

    public ushort[] NewHeads { get; } = new ushort[MostElements / BlockHead.LeastElementsPerField];

    /// <summary>How codes follow from old ones, for each group of the elements that are worked on.</summary>
    public GroupRelation[] Relations { get; } = new GroupRelation[elements / BlockHead.LeastGroup];

    /// <summary>Steps of these groups.</summary>
    public float[] NewSteps { get; } = new float[elements / BlockHead.LeastGroup];

    /// <summary>States of the symbols' decoder.</summary>
    public uint[] States { get; } = new uint[Entropy.RansEncoder.Lanes];

    /// <summary>Bytes of the frame's old elements as they lie in the old file.</summary>
    public byte[] OldBytes => oldBytes ??= new byte[MostElements * 4];

    /// <summary>Bytes of the frame's new elements as they lie in the new file.</summary>
    public byte[] NewBytes => newBytes ??= new byte[MostElements * 4];

    /// <summary>Old elements of a whole frame that stood in another order.</summary>
    public uint[] Turned => turned ??= new uint[MostElements];
}
