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
            head.Steps(scratch.NewHeads.AsSpan(at, head.Fields), newSteps, newMinima);
            if (tensor.HasOld)
                head.Steps(scratch.OldHeads.AsSpan(at, head.Fields), oldSteps, oldMinima);
            var into = scratch.Relations.AsSpan(index, head.Groups);
            if (isPlain)
                into[0] = OfSteps(tensor.HasOld, oldSteps[0], newSteps[0], scratch.NewHeads[at]);
            else
                for (var group = 0; group < into.Length; group++)
                    into[group] = OfGroup(tensor.HasOld, lattice.Zero, head.HasMinima, oldSteps[group], oldMinima[group], newSteps[group], newMinima[group]);
        }
    }

    /// <summary>The relation of blocks that have a step and nothing else, Q8_0 and Q4_0.</summary>
    static GroupRelation OfSteps(bool hasOld, float from, float to, ushort step)
    {
        var octaves = (step & 0x7FFF) >> 9;
        if (!float.IsFinite(from) || !float.IsFinite(to) || to == 0)
            return new(0, 0, 0, octaves);
        return new(hasOld ? InSteps(from / to) : 0, 0, One / to, octaves);
    }

    static GroupRelation OfGroup(bool hasOld, int zero, bool hasMinima, float from, float fromMinimum, float to, float toMinimum)
    {
        var octaves = (int)((BitConverter.SingleToUInt32Bits(to) & 0x7FFFFFFF) >> 22) - 224;
        var usable = float.IsFinite(from) && float.IsFinite(to) && to != 0 && float.IsFinite(fromMinimum) && float.IsFinite(toMinimum);
        var perStep = usable ? Math.Min(One / to, float.MaxValue) : 0;
        if (!hasOld)
            return new(0, 0, perStep, octaves);
        if (Same(from, to) && Same(fromMinimum, toMinimum))
            return new(One, 0, perStep, octaves);
        if (!usable)
            return new(0, 0, 0, octaves);
        var ratio = InSteps(from / to);
        return new(ratio, hasMinima ? zero * ratio - (zero << 16) + (int)Math.Clamp((toMinimum - fromMinimum) * perStep, -MostAddend, MostAddend) : 0, perStep, octaves);
    }

    static bool Same(float a, float b) => BitConverter.SingleToUInt32Bits(a) == BitConverter.SingleToUInt32Bits(b);

    /// <summary>A ratio of steps with 16 fractional bits.</summary>
    public static int InSteps(float ratio) => (int)Math.Clamp(ratio * One, -MostRatio, MostRatio);
}
