using Coppice.Delta.Tensors;

namespace Coppice.Delta.Planning;

/// <summary>The elements of a tensor, or of some of its rows, in memory.</summary>
/// <param name="Lattice">Their kind.</param>
/// <param name="Words">One word for each, see <see cref="Packing"/>.</param>
/// <param name="Heads">Fields of the heads of blocks, see <see cref="BlockHead"/>; empty for other kinds.</param>
sealed record Elements(Lattice Lattice, uint[] Words, ushort[] Heads)
{
    public static Elements Unpack(Lattice lattice, ReadOnlySpan<byte> bytes)
    {
        var count = bytes.Length / lattice.UnitBytes * lattice.UnitElements;
        var elements = new Elements(lattice, new uint[count], lattice.IsBlock ? new ushort[BlockHeads.FieldsOf(lattice, count)] : []);
        Packing.Unpack(lattice, bytes, elements.Words);
        if (lattice.IsBlock)
            BlockHeads.Read(lattice, bytes, elements.Heads);
        return elements;
    }

    public Elements Transpose(int rows, int columns)
    {
        var words = new uint[Words.Length];
        for (var row = 0; row < rows; row++)
            for (var column = 0; column < columns; column++)
                words[column * rows + row] = Words[row * columns + column];
        return this with { Words = words };
    }
}

/// <summary>A tensor with a technique: what its record says, and what its frames need beside the elements.</summary>
sealed class TensorWork
{
    public required TensorRecord Record { get; init; }

    public required Elements New { get; init; }

    /// <summary>As many as the new ones and in their order; null when the technique does not look at them.</summary>
    public Elements? Old { get; init; }

    /// <summary>Per row, see <see cref="FrameScratch.Ratios"/>; empty where ratios are not sent.</summary>
    public int[] Ratios { get; init; } = [];

    /// <summary>Factor A, row after row.</summary>
    public short[] Left { get; init; } = [];

    /// <summary>Per row, half octaves by which its factors are larger than their component's.</summary>
    public short[] LeftScales { get; init; } = [];

    /// <summary>Per column, likewise.</summary>
    public short[] RightScales { get; init; } = [];

    /// <summary>Expected size of differences, per row; known after <see cref="FrameCoder"/> has measured them.</summary>
    public int[] RowScales { get; set; } = [];

    /// <summary>Copies some rows into the scratch, one after the other.</summary>
    /// <returns>Elements copied.</returns>
    public int Load(ReadOnlySpan<int> rows, FrameScratch scratch, bool keepScales = false)
    {
        var columns = Record.Columns;
        var count = 0;
        for (var i = 0; i < rows.Length; i++)
        {
            var start = rows[i] * columns;
            var length = Math.Min(columns, New.Words.Length - start);
            New.Words.AsSpan(start, length).CopyTo(scratch.New.AsSpan(count));
            if (Old is not null)
                Old.Words.AsSpan(start, length).CopyTo(scratch.Old.AsSpan(count));
            else
                scratch.Old.AsSpan(count, length).Clear();
            if (New.Lattice.IsBlock)
            {
                var (from, fields, to) = (BlockHeads.FieldsOf(New.Lattice, start), BlockHeads.FieldsOf(New.Lattice, length), BlockHeads.FieldsOf(New.Lattice, count));
                New.Heads.AsSpan(from, fields).CopyTo(scratch.NewHeads.AsSpan(to));
                Old?.Heads.AsSpan(from, fields).CopyTo(scratch.OldHeads.AsSpan(to));
            }
            if (!keepScales)
                scratch.RowScales[i] = RowScales.Length == 0 ? 0 : RowScales[rows[i]];
            scratch.Ratios[i] = Ratios.Length == 0 ? 1 << 16 : Ratios[rows[i]];
            Left.AsSpan(rows[i] * Record.Rank, Record.Rank).CopyTo(scratch.Left.AsSpan(i * Record.Rank));
            count += length;
        }
        return count;
    }
}
