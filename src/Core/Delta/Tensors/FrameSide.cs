using System.Runtime.CompilerServices;
using Coppice.Delta.Entropy;

namespace Coppice.Delta.Tensors;

/// <summary>What a frame carries beside its elements: heads of blocks; per row a scale, the ratio of steps and low-rank factors.</summary>
/// <remarks>
/// Exact and corrected frames carry no scales, because they have no contexts; what the prediction itself needs, they carry.
/// </remarks>
static class FrameSide
{
    /// <summary>Ratios are sent in 4,096ths.</summary>
    const int RatioBits = 12;

    public static int Rows(TensorRecord tensor, int count) => (count + tensor.Columns - 1) / tensor.Columns;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Read(
        TensorRecord tensor, int count, FrameMode mode, ref SideReader side, ReadOnlySpan<SymbolModel?> models, FrameScratch scratch)
    {
        var rows = Rows(tensor, count);
        if (mode == FrameMode.Exact)
        {
            // Nothing was sent: ratios are one, steps are the old ones, factors are zero.
            scratch.RowScales.AsSpan(0, rows).Clear();
            scratch.Ratios.AsSpan(0, rows).Fill(1 << 16);
            scratch.Left.AsSpan(0, rows * tensor.Rank).Clear();
            if (tensor.Lattice.IsBlock)
                scratch.OldHeads.AsSpan(0, BlockHeads.FieldsOf(tensor.Lattice, count)).CopyTo(scratch.NewHeads);
            return;
        }
        var model = models[SideModels.Slot]!;
        var hasRatios = tensor.Technique == Technique.Integer && tensor.HasOld && !tensor.Lattice.IsBlock;
        if (tensor.Lattice.IsBlock)
            HeadCoding.Read(tensor.Lattice.Head, tensor.HasOld, scratch.OldHeads, scratch.NewHeads.AsSpan(0, BlockHeads.FieldsOf(tensor.Lattice, count)), ref side, model);
        for (var row = 0; row < rows; row++)
        {
            scratch.RowScales[row] = mode == FrameMode.Coded ? SideModels.Clamp(side.Signed(model, SideModels.RowScale)) : 0;
            if (hasRatios)
                scratch.Ratios[row] = (int)Math.Clamp((long)side.Signed(model, SideModels.Ratio) + (1 << RatioBits), -1 << 18, 1 << 18) << (16 - RatioBits);
            if (tensor.Rank != 0)
                ReadFactors(ref side, models, tensor.ComponentScales, SideModels.FactorRowScale, scratch.Left.AsSpan(row * tensor.Rank, tensor.Rank));
        }
    }

    /// <summary>Reads the factors of one row or column and, before them, their scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ReadFactors(ref SideReader side, ReadOnlySpan<SymbolModel?> models, ReadOnlySpan<byte> components, byte scaleContext, scoped Span<short> factors)
    {
        var reader = side; // a copy stays in registers
        var scale = SideModels.Clamp(reader.Signed(models[SideModels.Slot]!, scaleContext));
        var model = models[SideModels.FactorSlot]!;
        for (var component = 0; component < factors.Length; component++)
            factors[component] = (short)reader.Signed(model, SideModels.FactorContext(components[component], scale));
        side = reader;
    }

    /// <summary>Writes what <see cref="Read"/> reads, from the scratch; ratios must be multiples of 16.</summary>
    public static void Write(TensorRecord tensor, int count, FrameMode mode, SideWriter side, FrameScratch scratch, ReadOnlySpan<short> leftScales)
    {
        if (tensor.Lattice.IsBlock)
            HeadCoding.Write(tensor.Lattice.Head, tensor.HasOld, scratch.OldHeads, scratch.NewHeads.AsSpan(0, BlockHeads.FieldsOf(tensor.Lattice, count)), side);
        for (var row = 0; row < Rows(tensor, count); row++)
        {
            if (mode == FrameMode.Coded)
                side.Signed(SideModels.Slot, SideModels.RowScale, scratch.RowScales[row]);
            if (tensor.Technique == Technique.Integer && tensor.HasOld && !tensor.Lattice.IsBlock)
                side.Signed(SideModels.Slot, SideModels.Ratio, (scratch.Ratios[row] >> (16 - RatioBits)) - (1 << RatioBits));
            if (tensor.Rank == 0)
                continue;
            side.Signed(SideModels.Slot, SideModels.FactorRowScale, leftScales[row]);
            for (var component = 0; component < tensor.Rank; component++)
                side.Signed(
                    SideModels.FactorSlot, SideModels.FactorContext(tensor.ComponentScales[component], leftScales[row]), scratch.Left[row * tensor.Rank + component]);
        }
    }

    /// <summary>Ratio of steps as it is sent: rounded to a 4,096th, 16 fractional bits.</summary>
    public static int RoundRatio(double ratio) => (int)Math.Round(Math.Clamp(ratio, -32, 32) * (1 << RatioBits)) << (16 - RatioBits);
}
