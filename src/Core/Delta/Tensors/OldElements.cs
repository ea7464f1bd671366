using Coppice.Formats;

namespace Coppice.Delta.Tensors;

/// <summary>Reads the old elements that stand where a frame's new ones will.</summary>
static class OldElements
{
    /// <summary>Reads what a frame needs: its bytes, the heads of its blocks.</summary>
    public static void Read(TensorRecord tensor, long first, int count, IByteSource old, FrameScratch scratch)
    {
        if (!tensor.HasOld)
            return;
        if (tensor.IsTransposed)
        {
            ReadTransposed(tensor, first, count, old, scratch);
            return;
        }
        var lattice = tensor.OldLattice;
        var bytes = scratch.OldBytes.AsSpan(0, (int)lattice.BytesOf(count));
        old.Read(tensor.OldOffset + lattice.BytesOf(first), bytes);
        if (lattice.IsBlock)
            BlockHeads.Read(lattice, bytes, scratch.OldHeads);
    }

    /// <summary>Fills <see cref="FrameScratch.Old"/> with elements of the frame that was read; with zeros when the tensor has no old one.</summary>
    public static void Unpack(TensorRecord tensor, int start, int count, FrameScratch scratch)
    {
        var words = scratch.Old.AsSpan(0, count);
        if (!tensor.HasOld)
            words.Clear();
        else if (tensor.IsTransposed)
            scratch.Turned.AsSpan(start, count).CopyTo(words);
        else
            Packing.Unpack(tensor.OldLattice, scratch.OldBytes.AsSpan((int)tensor.OldLattice.BytesOf(start), (int)tensor.OldLattice.BytesOf(count)), words);
    }

    /// <summary>A frame is whole rows of the new matrix, so its old elements are a run in every row of the old one.</summary>
    static void ReadTransposed(TensorRecord tensor, long first, int count, IByteSource old, FrameScratch scratch)
    {
        var lattice = tensor.OldLattice;
        var rows = count / tensor.Columns;
        var run = scratch.OldBytes.AsSpan(0, rows * lattice.UnitBytes);
        var words = scratch.Old;
        for (var column = 0; column < tensor.Columns; column++)
        {
            old.Read(tensor.OldOffset + (column * tensor.Rows + first / tensor.Columns) * lattice.UnitBytes, run);
            for (var row = 0; row < rows; row += words.Length)
            {
                var part = words.AsSpan(0, Math.Min(words.Length, rows - row));
                Packing.Unpack(lattice, run.Slice(row * lattice.UnitBytes, part.Length * lattice.UnitBytes), part);
                for (var i = 0; i < part.Length; i++)
                    scratch.Turned[(row + i) * tensor.Columns + column] = part[i];
            }
        }
    }
}
