using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Tensors;

/// <summary>Where a prediction lies between the number it was rounded to and the next: eight classes, 0 next to the middle, 7 at the number.</summary>
static class Place
{
    /// <summary>Half of the distance between neighbours.</summary>
    public const int Half = 32768;

    static ReadOnlySpan<int> Bounds => [1024, 2560, 5120, 9216, 14336, 20480, 26624];

    /// <param name="offset">Prediction less the number it was rounded to, in 65,536ths of the distance between neighbours.</param>
    public static int Of(int offset)
    {
        var left = Half - Math.Abs(offset);
        var place = 0;
        foreach (var bound in Bounds)
            place += left > bound ? 1 : 0;
        return place;
    }

    /// <summary>Of sixteen offsets, of which <see cref="Half"/> itself may be one less.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> Of(Vector256<short> offset)
    {
        var inside = Vector256.Max(offset, Vector256.Create((short)-short.MaxValue)); // whose negative is a short too
        var size = Vector256.Max(inside, -inside);
        // A true comparison is -1 in its lane.
        return -(Vector256.LessThan(size, Vector256.Create((short)(Half - 1024))) + Vector256.LessThan(size, Vector256.Create((short)(Half - 2560)))
            + Vector256.LessThan(size, Vector256.Create((short)(Half - 5120))) + Vector256.LessThan(size, Vector256.Create((short)(Half - 9216)))
            + Vector256.LessThan(size, Vector256.Create((short)(Half - 14336))) + Vector256.LessThan(size, Vector256.Create((short)(Half - 20480)))
            + Vector256.LessThan(size, Vector256.Create((short)(Half - 26624))));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Of(Vector256<int> offset)
    {
        var left = Vector256.Create(Half) - Vector256.Abs(offset);
        // A true comparison is -1 in its lane.
        return -(Vector256.GreaterThan(left, Vector256.Create(1024)) + Vector256.GreaterThan(left, Vector256.Create(2560))
            + Vector256.GreaterThan(left, Vector256.Create(5120)) + Vector256.GreaterThan(left, Vector256.Create(9216))
            + Vector256.GreaterThan(left, Vector256.Create(14336)) + Vector256.GreaterThan(left, Vector256.Create(20480))
            + Vector256.GreaterThan(left, Vector256.Create(26624)));
    }
}
