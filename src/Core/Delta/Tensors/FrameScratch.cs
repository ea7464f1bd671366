namespace Coppice.Delta.Tensors;

/// <summary>The memory that one frame needs while it is coded or decoded, about 2 MB; one for each worker.</summary>
sealed class FrameScratch
{
    const int Elements = TensorRecord.FrameElements;
    const int MostRows = Elements;

    /// <summary>Old elements: bits of floats, or codes less their zero as 32-bit integers.</summary>
    public uint[] Old { get; } = new uint[Elements];

    /// <summary>Predicted elements in the same form; the highest bit says that differences count the other way round.</summary>
    public uint[] Predicted { get; } = new uint[Elements];

    /// <summary>New elements.</summary>
    public uint[] New { get; } = new uint[Elements];

    /// <summary>The context of each element in its model.</summary>
    public byte[] Contexts { get; } = new byte[Elements + 32];

    public byte[] Symbols { get; } = new byte[Elements + 32];

    /// <summary>Indices of the symbols that raw bits follow.</summary>
    public ushort[] Large { get; } = new ushort[Elements + 32];

    /// <summary>Products of the low-rank factors of one row.</summary>
    public int[] Products { get; } = new int[Elements];

    /// <summary>Per row of the frame: expected size of a difference, half octaves.</summary>
    public int[] RowScales { get; } = new int[MostRows];

    /// <summary>Per row: new step in old steps, 16 fractional bits.</summary>
    public int[] Ratios { get; } = new int[MostRows];

    /// <summary>Factor A of the frame's rows, row after row.</summary>
    public short[] Left { get; } = new short[2048 * TensorRecord.MostRank];

    /// <summary>Steps of the blocks of a block type, as half-precision bits.</summary>
    public ushort[] OldSteps { get; } = new ushort[Elements / 32];

    public ushort[] NewSteps { get; } = new ushort[Elements / 32];

    /// <summary>Bytes of the old elements as they lie in the old file.</summary>
    public byte[] OldBytes { get; } = new byte[Elements * 4];

    /// <summary>Bytes of the new elements as they lie in the new file.</summary>
    public byte[] NewBytes { get; } = new byte[Elements * 4];
}
