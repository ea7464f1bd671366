using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Tensors;

/// <summary>How the codes of one group of a block follow from the old ones: old code × <paramref name="Ratio"/> + <paramref name="Addend"/>, in 65,536ths of the new step.</summary>
/// <remarks>Where codes stand for values at uneven distances, the value takes the place of the old code.</remarks>
/// <param name="Ratio">Old step in new steps.</param>
/// <param name="Addend">What the minimum moved by, in new steps, and what the zero of codes adds.</param>
/// <param name="PerStep">65,536 over the new step; what a product of factors is multiplied by.</param>
/// <param name="HalfOctaves">Twice the binary logarithm of the new step, to the half octave below, plus 30.</param>
readonly record struct GroupRelation(int Ratio, int Addend, float PerStep, int HalfOctaves)
{
    public const int One = 1 << 16;

    /// <summary>Times a code of 8 bits this stays inside 32 bits.</summary>
    public const int MostRatio = 1 << 22;

    public const float MostAddend = 1 << 29;

    /// <summary>Fills <see cref="FrameScratch.Relations"/> and <see cref="FrameScratch.NewSteps"/> for some elements of a frame whose heads are in the scratch.</summary>
    /// <param name="tensor">A tensor of blocks.</param>
    /// <param name="scratch">The worker's memory.</param>
    /// <param name="first">The first element in the frame; like the count a multiple of a block.</param>
    /// <param name="count">Elements.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OfEach(TensorRecord tensor, FrameScratch scratch, int first, int count)
    {
        var lattice = tensor.Lattice;
        var head = lattice.Head;
        if (lattice.Kind is LatticeKind.Q8_0 or LatticeKind.Q4_0)
        {
            OfSteps(tensor.HasOld, scratch, first / lattice.UnitElements, count / lattice.UnitElements);
            return;
        }
        Span<float> oldSteps = stackalloc float[BlockHead.MostGroups], oldMinima = stackalloc float[BlockHead.MostGroups], newMinima = stackalloc float[BlockHead.MostGroups];
        oldSteps.Clear();
        oldMinima.Clear();
        var at = first / lattice.UnitElements * head.Fields;
        for (var index = 0; index < count / head.GroupElements; index += head.Groups, at += head.Fields)
        {
            var newSteps = scratch.NewSteps.AsSpan(index, head.Groups);
            ReadOnlySpan<ushort> past = scratch.OldHeads.AsSpan(at, head.Fields), made = scratch.NewHeads.AsSpan(at, head.Fields);
            head.Steps(made, newSteps, newMinima);
            if (tensor.HasOld)
                head.Steps(past, oldSteps, oldMinima);
            var into = scratch.Relations.AsSpan(index, head.Groups);
            for (var group = 0; group < into.Length; group++)
                into[group] = tensor.HasOld && IsKept(head, past, made, group)
                    ? Kept(newSteps[group], newMinima[group])
                    : OfGroup(tensor.HasOld, lattice.Zero, head.HasMinima, oldSteps[group], oldMinima[group], newSteps[group], newMinima[group]);
        }
    }

    /// <summary>Whether a group's step and minimum are made of the same numbers as before, whatever these mean.</summary>
    static bool IsKept(in BlockHead head, ReadOnlySpan<ushort> past, ReadOnlySpan<ushort> made, int group) =>
        past[..head.Halves].SequenceEqual(made[..head.Halves])
        && (head.ScaleBits == 0 || past[head.Halves + group] == made[head.Halves + group])
        && (head.ScaleBits == 0 || !head.HasMinima || past[head.Halves + head.Groups + group] == made[head.Halves + head.Groups + group]);

    /// <summary>The relations of blocks that have a step and nothing else, Q8_0 and Q4_0: eight at once.</summary>
    /// <param name="hasOld">Whether there are old blocks.</param>
    /// <param name="scratch">The worker's memory; what is behind the last block in it may be overwritten.</param>
    /// <param name="first">The first block in the frame.</param>
    /// <param name="count">Blocks.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void OfSteps(bool hasOld, FrameScratch scratch, int first, int count)
    {
        Span<int> ratios = stackalloc int[8], octaves = stackalloc int[8];
        Span<float> perStep = stackalloc float[8];
        var ones = Vector256.Create((float)One);
        for (var block = 0; block < count; block += 8)
        {
            var oldBits = hasOld ? Widen(scratch.OldHeads.AsSpan(first + block)) : Vector256<uint>.Zero;
            var newBits = Widen(scratch.NewHeads.AsSpan(first + block));
            var (from, to) = (Steps(oldBits), Steps(newBits));
            to.CopyTo(scratch.NewSteps.AsSpan(block));
            // Steps that are no numbers, and blocks of step 0, have no relation.
            var isUsable = Vector256.LessThan(oldBits & NotFinite, NotFinite) & Vector256.LessThan(newBits & NotFinite, NotFinite) & ~Vector256.Equals(to, Vector256<float>.Zero).AsUInt32();
            var ratio = Vector256.Min(Vector256.Max(from / to * ones, Vector256.Create((float)-MostRatio)), Vector256.Create((float)MostRatio));
            (Vector256.ConvertToInt32(ratio & isUsable.AsSingle())).CopyTo(ratios);
            ((ones / to) & isUsable.AsSingle()).CopyTo(perStep);
            ((newBits & Vector256.Create(0x7FFFu)) >> 9).AsInt32().CopyTo(octaves);
            var relations = scratch.Relations.AsSpan(block, Math.Min(8, count - block));
            for (var i = 0; i < relations.Length; i++)
                relations[i] = new(ratios[i], 0, perStep[i], octaves[i]);
        }
    }

    static Vector256<uint> NotFinite => Vector256.Create(0x7C00u);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<uint> Widen(ReadOnlySpan<ushort> halves)
    {
        var (low, high) = Vector128.Widen(Vector128.Create(halves));
        return Vector256.Create(low, high);
    }

    /// <summary>Binary16 numbers as binary32 ones, infinities and NaN too.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Steps(Vector256<uint> bits)
    {
        var isFinite = Vector256.LessThan(bits & NotFinite, NotFinite);
        var special = (bits & Vector256.Create(0x8000u)) << 16 | (bits & Vector256.Create(0x7FFFu)) << 13 | Vector256.Create(0x7F800000u);
        return Vector256.ConditionalSelect(isFinite.AsSingle(), FloatPrediction.Values(LatticeKind.Float16, bits), special.AsSingle());
    }

    static GroupRelation Kept(float step, float minimum) => new(One, 0, PerStepOf(step, float.IsFinite(step) && float.IsFinite(minimum)), OctavesOf(step));

    static GroupRelation OfGroup(bool hasOld, int zero, bool hasMinima, float from, float fromMinimum, float to, float toMinimum)
    {
        var perStep = PerStepOf(to, float.IsFinite(from) && float.IsFinite(to) && float.IsFinite(fromMinimum) && float.IsFinite(toMinimum));
        if (!hasOld || perStep == 0)
            return new(0, 0, perStep, OctavesOf(to));
        var ratio = InSteps(from / to);
        var moved = hasMinima ? zero * ratio - (zero << 16) + (int)Math.Clamp((toMinimum - fromMinimum) * perStep, -MostAddend, MostAddend) : 0;
        return new(ratio, moved, perStep, OctavesOf(to));
    }

    static float PerStepOf(float step, bool isUsable) => isUsable && step != 0 ? Math.Min(One / step, float.MaxValue) : 0;

    /// <summary>One number for all NaN: their bits are the processor's choice.</summary>
    static int OctavesOf(float step) => (float.IsNaN(step) ? 511 : (int)((BitConverter.SingleToUInt32Bits(step) & 0x7FFFFFFF) >> 22)) - 224;

    /// <summary>A ratio of steps with 16 fractional bits.</summary>
    public static int InSteps(float ratio) => (int)Math.Clamp(ratio * One, -MostRatio, MostRatio);
}
