using System.Runtime.CompilerServices;
using Coppice.Delta.Entropy;

namespace Coppice.Delta.Tensors;

/// <summary>Codes the heads of a frame's blocks in the side stream: binary16 numbers by their difference, scales and minima of groups by what the old ones are in the new units.</summary>
static class HeadCoding
{
    /// <summary>What a scale or minimum should be.</summary>
    /// <param name="Value">In the range of its field.</param>
    /// <param name="Place">Where it lay between two numbers, 0 to 3.</param>
    /// <param name="Mirror">-1 where it was rounded up, so that differences count the other way round; otherwise 0.</param>
    readonly record struct Guess(int Value, int Place, int Mirror)
    {
        public int Add(int change) => Value + Turn(change);

        public int Change(int value) => Turn(value - Value);

        /// <summary>Without a branch: whether it was rounded up or down cannot be foreseen.</summary>
        public int Turn(int change) => (change ^ Mirror) - Mirror;
    }

    /// <param name="head">What a head consists of.</param>
    /// <param name="hasOld">Whether there are old heads.</param>
    /// <param name="old">The old heads, at least as many.</param>
    /// <param name="made">Overwritten: the new heads.</param>
    /// <param name="side">Where they are read from.</param>
    /// <param name="model">The side stream's model.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Read(in BlockHead head, bool hasOld, ReadOnlySpan<ushort> old, Span<ushort> made, ref SideReader side, SymbolModel model)
    {
        var reader = side; // a copy stays in registers
        var half = Lattice.Of(LatticeKind.Float16);
        var range = new Range(head);
        var (fields, groups) = (head.Fields, head.Groups);
        for (; !made.IsEmpty; old = old[fields..], made = made[fields..])
        {
            for (var i = 0; i < head.Halves; i++)
            {
                var past = hasOld ? old[i] : 0U;
                made[i] = head.IsExponent
                    ? (byte)(past + reader.Signed(model, ExponentContext(hasOld)))
                    : (ushort)FloatDifference.Add(half, past, reader.Signed(model, HalfContext(i, past)));
            }
            if (head.ScaleBits == 0)
                continue;
            var (steps, minimums) = Ratios(head, hasOld, old, made);
            var oldScales = old.Slice(head.Halves, groups);
            var newScales = made.Slice(head.Halves, groups);
            if (!head.HasMinima)
            {
                for (var group = 0; group < newScales.Length; group++)
                    newScales[group] = ReadScale(range, hasOld, oldScales[group], steps, ref reader, model, out _);
                continue;
            }
            var oldMinimums = old.Slice(head.Halves + groups, groups);
            var newMinimums = made.Slice(head.Halves + groups, groups);
            for (var group = 0; group < newScales.Length; group++)
            {
                newScales[group] = ReadScale(range, hasOld, oldScales[group], steps, ref reader, model, out var change);
                var minimum = Expected(range, hasOld, oldMinimums[group], minimums);
                newMinimums[group] = (ushort)range.Wrap(minimum.Add(reader.Signed(model, MinimumContext(hasOld, change, minimum))));
            }
        }
        side = reader;
    }

    /// <param name="range">Of scales.</param>
    /// <param name="hasOld">Whether there are old heads.</param>
    /// <param name="old">The old scale.</param>
    /// <param name="ratio">What it is multiplied by.</param>
    /// <param name="side">Where the difference is read from.</param>
    /// <param name="model">The side stream's model.</param>
    /// <param name="change">What the scale is more than it should be.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ushort ReadScale(in Range range, bool hasOld, ushort old, int ratio, ref SideReader side, SymbolModel model, out int change)
    {
        var scale = Expected(range, hasOld, old, ratio);
        var made = range.Wrap(scale.Add(side.Signed(model, ScaleContext(range, hasOld, old, scale))));
        change = made - scale.Value;
        return (ushort)made;
    }

    /// <summary>Writes what <see cref="Read"/> reads.</summary>
    public static void Write(in BlockHead head, bool hasOld, ReadOnlySpan<ushort> old, ReadOnlySpan<ushort> made, SideWriter side)
    {
        var half = Lattice.Of(LatticeKind.Float16);
        var range = new Range(head);
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
                var scale = Expected(range, hasOld, old[at], steps);
                side.Signed(SideModels.Slot, ScaleContext(range, hasOld, old[at], scale), scale.Change((short)made[at]));
                if (!head.HasMinima)
                    continue;
                var minimum = Expected(range, hasOld, old[at + head.Groups], minimums);
                side.Signed(
                    SideModels.Slot, MinimumContext(hasOld, (short)made[at] - scale.Value, minimum), minimum.Change((short)made[at + head.Groups]));
            }
        }
    }

    static byte HalfContext(int index, uint old) => (byte)((index == 0 ? SideModels.BlockStep : SideModels.BlockMinimum) + (int)(old >> 10 & 31));

    static byte ExponentContext(bool hasOld) => hasOld ? SideModels.BlockExponent : SideModels.FirstBlockExponent;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static byte ScaleContext(in Range range, bool hasOld, ushort old, Guess guess)
    {
        if (!hasOld)
            return SideModels.FirstGroupScale;
        var value = (int)(short)old;
        var size = Math.Min(((value ^ value >> 31) - (value >> 31)) >> range.SizeShift, 7);
        return (byte)(range.Context + 4 * size + guess.Place);
    }

    /// <param name="hasOld">Whether there are old heads.</param>
    /// <param name="change">What the group's scale is more than it should be.</param>
    /// <param name="guess">What the minimum should be.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static byte MinimumContext(bool hasOld, int change, Guess guess) =>
        hasOld ? (byte)(SideModels.GroupMinimum + 4 * (Math.Clamp(guess.Turn(change), -3, 3) + 3) + guess.Place) : SideModels.FirstGroupMinimum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Guess Expected(in Range range, bool hasOld, ushort old, int ratio)
    {
        if (!hasOld)
            return new(range.Middle, 0, 0);
        var fixedPoint = (short)old * ratio;
        var value = Math.Clamp((fixedPoint + GroupRelation.One / 2) >> 16, range.Lowest, range.Highest);
        var offset = fixedPoint - (value << 16);
        var mirror = offset >> 31;
        var left = Place.Half - Math.Min((offset ^ mirror) - mirror, Place.Half);
        // Half of Place.Of: every other of its bounds.
        return new(value, (2560 - left >>> 31) + (9216 - left >>> 31) + (20480 - left >>> 31), mirror);
    }

    /// <summary>What scales and minima of groups can be.</summary>
    readonly struct Range(in BlockHead head)
    {
        public readonly int Lowest = head.LowestScale;
        public readonly int Highest = head.HighestScale;
        public readonly int Middle = (head.LowestScale + head.HighestScale + 1) / 2;
        public readonly int SizeShift = Math.Max(0, head.ScaleBits - (head.IsSigned ? 4 : 3));
        public readonly int Context = SideModels.GroupScale + (head.IsSigned ? 32 : 0);

        readonly int shift = 32 - head.ScaleBits;
        readonly bool isSigned = head.IsSigned;

        /// <summary>The number that a field of these bits holds instead.</summary>
        public int Wrap(int value) => isSigned ? value << shift >> shift : value & Highest;
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
