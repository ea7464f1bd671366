using Coppice.Formats;

namespace Coppice.Delta.Tensors;

/// <summary>Reads the old elements that stand where a frame's new ones will.</summary>
static class OldElements
{
    /// <summary>Fills <see cref="FrameScratch.Old"/> and <see cref="FrameScratch.OldSteps"/>; zeros when the tensor has no old one.</summary>
    public static void Read(TensorRecord tensor, long first, int count, IByteSource old, FrameScratch scratch)
    {
        var words = scratch.Old.AsSpan(0, count);
        if (!tensor.HasOld)
        {
            words.Clear();
            return;
        }
        var lattice = tensor.OldLattice;
        if (tensor.IsTransposed)
        {
            ReadTransposed(tensor, first, count, old, scratch);
            return;
        }
        var bytes = scratch.OldBytes.AsSpan(0, (int)lattice.BytesOf(count));
        old.Read(tensor.OldOffset + lattice.BytesOf(first), bytes);
        Packing.Unpack(lattice, bytes, words, scratch.OldSteps);
    }

    /// <summary>A frame is whole rows of the new matrix, so its old elements are a run in every row of the old one.</summary>
    static void ReadTransposed(TensorRecord tensor, long first, int count, IByteSource old, FrameScratch scratch)
    {
        var lattice = tensor.OldLattice;
        var rows = count / tensor.Columns;
        var run = scratch.OldBytes.AsSpan(0, rows * lattice.UnitBytes);
        var words = scratch.Predicted.AsSpan(0, rows); // not needed yet
        for (var column = 0; column < tensor.Columns; column++)
        {
            old.Read(tensor.OldOffset + (column * tensor.Rows + first / tensor.Columns) * lattice.UnitBytes, run);
            Packing.Unpack(lattice, run, words, default);
            for (var row = 0; row < rows; row++)
                scratch.Old[row * tensor.Columns + column] = words[row];
        }
    }
}
