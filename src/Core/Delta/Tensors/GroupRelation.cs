using System.Runtime.CompilerServices;

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
        var isPlain = lattice.Kind is LatticeKind.Q8_0 or LatticeKind.Q4_0;
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
            if (isPlain)
                into[0] = OfSteps(tensor.HasOld, oldSteps[0], newSteps[0], made[0]);
            else
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

    /// <summary>The relation of blocks that have a step and nothing else, Q8_0 and Q4_0.</summary>
    static GroupRelation OfSteps(bool hasOld, float from, float to, ushort step)
    {
        var octaves = (step & 0x7FFF) >> 9;
        if (!float.IsFinite(from) || !float.IsFinite(to) || to == 0)
            return new(0, 0, 0, octaves);
        return new(hasOld ? InSteps(from / to) : 0, 0, One / to, octaves);
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
