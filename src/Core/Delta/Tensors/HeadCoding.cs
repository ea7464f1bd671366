using System.Runtime.CompilerServices;
using Coppice.Delta.Entropy;

namespace Coppice.Delta.Tensors;

/// <summary>Codes the heads of a frame's blocks in the side stream: binary16 numbers by their difference, scales and minima of groups by what the old ones are in the new units.</summary>
static class HeadCoding
{
    /// <summary>What a scale or minimum should be.</summary>
    /// <param name="Value">In the range of its field.</param>
    /// <param name="Place">Where it lay between two numbers, 0 to 3.</param>
    /// <param name="Flips">Whether it was rounded up, so that differences count the other way round.</param>
    readonly record struct Guess(int Value, int Place, bool Flips)
    {
        public int Add(int change) => Value + (Flips ? -change : change);

        public int Change(int value) => Flips ? Value - value : value - Value;
    }

    /// <param name="head">What a head consists of.</param>
    /// <param name="hasOld">Whether there are old heads.</param>
    /// <param name="old">The old heads, at least as many.</param>
    /// <param name="made">Overwritten: the new heads.</param>
    /// <param name="side">Where they are read from.</param>
    /// <param name="model">The side stream's model.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Read(BlockHead head, bool hasOld, ReadOnlySpan<ushort> old, Span<ushort> made, ref SideReader side, SymbolModel model)
    {
        var half = Lattice.Of(LatticeKind.Float16);
        for (; !made.IsEmpty; old = old[head.Fields..], made = made[head.Fields..])
        {
            for (var i = 0; i < head.Halves; i++)
            {
                var past = hasOld ? old[i] : 0U;
                made[i] = head.IsExponent
                    ? (byte)(past + side.Signed(model, ExponentContext(hasOld)))
                    : (ushort)FloatDifference.Add(half, past, side.Signed(model, HalfContext(i, past)));
            }
            if (head.ScaleBits == 0)
                continue;
            var (steps, minimums) = Ratios(head, hasOld, old, made);
            for (int group = 0, at = head.Halves; group < head.Groups; group++, at++)
            {
                var scale = Expected(head, hasOld, old[at], steps);
                made[at] = head.Wrap(scale.Add(side.Signed(model, ScaleContext(head, hasOld, old[at], scale))));
                if (!head.HasMinima)
                    continue;
                var minimum = Expected(head, hasOld, old[at + head.Groups], minimums);
                made[at + head.Groups] = head.Wrap(minimum.Add(side.Signed(model, MinimumContext(hasOld, (short)made[at] - scale.Value, minimum))));
            }
        }
    }

    /// <summary>Writes what <see cref="Read"/> reads.</summary>
    public static void Write(BlockHead head, bool hasOld, ReadOnlySpan<ushort> old, ReadOnlySpan<ushort> made, SideWriter side)
    {
        var half = Lattice.Of(LatticeKind.Float16);
        for (; !made.IsEmpty; old = old[head.Fields..], made = made[head.Fields..])
        {
            for (var i = 0; i < head.Halves; i++)
            {
                var past = hasOld ? old[i] : 0U;
                if (head.IsExponent)
                    side.Signed(SideModels.Slot, ExponentContext(hasOld), (sbyte)(made[i] - past));
                else
                    side.Signed(SideModels.Slot, HalfContext(i, past), FloatDifference.Of(half, past, made[i]));
            }
            if (head.ScaleBits == 0)
                continue;
            var (steps, minimums) = Ratios(head, hasOld, old, made);
            for (int group = 0, at = head.Halves; group < head.Groups; group++, at++)
            {
                var scale = Expected(head, hasOld, old[at], steps);
                side.Signed(SideModels.Slot, ScaleContext(head, hasOld, old[at], scale), scale.Change((short)made[at]));
                if (!head.HasMinima)
                    continue;
                var minimum = Expected(head, hasOld, old[at + head.Groups], minimums);
                side.Signed(
                    SideModels.Slot, MinimumContext(hasOld, (short)made[at] - scale.Value, minimum), minimum.Change((short)made[at + head.Groups]));
            }
        }
    }

    static byte HalfContext(int index, uint old) => (byte)((index == 0 ? SideModels.BlockStep : SideModels.BlockMinimum) + (int)(old >> 10 & 31));

    static byte ExponentContext(bool hasOld) => hasOld ? SideModels.BlockExponent : SideModels.FirstBlockExponent;

    static byte ScaleContext(BlockHead head, bool hasOld, ushort old, Guess guess)
    {
        if (!hasOld)
            return SideModels.FirstGroupScale;
        var size = Math.Min(Math.Abs((int)(short)old) >> (head.ScaleBits - (head.IsSigned ? 4 : 3)), 7);
        return (byte)(SideModels.GroupScale + (head.IsSigned ? 32 : 0) + 4 * size + guess.Place);
    }

    /// <param name="hasOld">Whether there are old heads.</param>
    /// <param name="change">What the group's scale is more than it should be.</param>
    /// <param name="guess">What the minimum should be.</param>
    static byte MinimumContext(bool hasOld, int change, Guess guess) => hasOld
        ? (byte)(SideModels.GroupMinimum + 4 * (Math.Clamp(guess.Flips ? -change : change, -3, 3) + 3) + guess.Place)
        : SideModels.FirstGroupMinimum;

    static Guess Expected(BlockHead head, bool hasOld, ushort old, int ratio)
    {
        if (!hasOld)
            return new((head.LowestScale + head.HighestScale + 1) / 2, 0, false);
        var fixedPoint = (short)old * ratio;
        var value = Math.Clamp((fixedPoint + GroupRelation.One / 2) >> 16, head.LowestScale, head.HighestScale);
        var offset = Math.Clamp(fixedPoint - (value << 16), -Place.Half, Place.Half);
        return new(value, Place.Of(offset) >> 1, offset < 0);
    }

    /// <summary>Old over new of the block's binary16 numbers, 16 fractional bits: what scales and minima of groups are multiplied by.</summary>
    static (int Steps, int Minimums) Ratios(BlockHead head, bool hasOld, ReadOnlySpan<ushort> old, ReadOnlySpan<ushort> made) =>
        hasOld ? (Ratio(old[0], made[0]), head.HasMinima ? Ratio(old[1], made[1]) : 0) : default;

    static int Ratio(ushort old, ushort made)
    {
        if (old == made)
            return GroupRelation.One;
        var (from, to) = ((float)BitConverter.UInt16BitsToHalf(old), (float)BitConverter.UInt16BitsToHalf(made));
        return float.IsFinite(from) && float.IsFinite(to) && to != 0 ? GroupRelation.InSteps(from / to) : 0;
    }
}
