namespace Coppice.Delta.Tensors;

/// <summary>Memory for what one tensor's record carries, used again for the next one's.</summary>
sealed class TensorMemory
{
    int[] columnScales = [];
    short[] right = [];

    public int[] ColumnScalesFor(int count) => columnScales.Length >= count ? columnScales : columnScales = new int[count];

    public short[] RightFor(int count) => right.Length >= count ? right : right = new short[count];
}
