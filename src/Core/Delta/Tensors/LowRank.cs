using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Delta.Tensors;

/// <summary>The product of one row of factor A with factor B, in integers that wrap at 32 bits.</summary>
static class LowRank
{
    /// <param name="left">The row's factors, one per component; an even number.</param>
    /// <param name="right">Factor B as <see cref="TensorRecord.Right"/> holds it.</param>
    /// <param name="columns">Columns of B.</param>
    /// <param name="first">The first column that is wanted.</param>
    /// <param name="products">One sum for each column from <paramref name="first"/> on.</param>
    /// <param name="vectors">Whether vector instructions may be used; the result is the same.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(ReadOnlySpan<short> left, ReadOnlySpan<short> right, int columns, int first, Span<int> products, bool vectors)
    {
        var done = 0;
        if (vectors && Vector256.IsHardwareAccelerated && BitConverter.IsLittleEndian)
            for (; done + 16 <= products.Length; done += 16)
                Multiply16(left, right, columns, first + done, products[done..]);
        for (var i = done; i < products.Length; i++)
        {
            var sum = 0;
            for (var component = 0; component < left.Length; component += 2)
            {
                var at = component * columns + 2 * (first + i);
                sum += left[component] * right[at] + left[component + 1] * right[at + 1];
            }
            products[i] = sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Multiply16(ReadOnlySpan<short> left, ReadOnlySpan<short> right, int columns, int column, Span<int> products)
    {
        ref var b = ref Unsafe.As<short, int>(ref Unsafe.Add(ref MemoryMarshal.GetReference(right), 2 * column));
        var pairs = MemoryMarshal.Cast<short, int>(left);
        // The last load ends at column + 16 of the last pair of components, which is inside B.
        ArgumentOutOfRangeException.ThrowIfGreaterThan((column + 16) * 2 + (pairs.Length - 1) * 2 * columns, right.Length);
        var (low, high) = (Vector256<int>.Zero, Vector256<int>.Zero);
        for (var pair = 0; pair < pairs.Length; pair++)
        {
            ref var from = ref Unsafe.Add(ref b, (nint)pair * columns);
            var a = Vector256.Create(pairs[pair]);
            low += PairProduct(a, Vector256.LoadUnsafe(ref from));
            high += PairProduct(a, Vector256.LoadUnsafe(ref from, 8));
        }
        low.CopyTo(products);
        high.CopyTo(products[8..]);
    }

    /// <summary>In each lane, the sum of the products of the two halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<int> PairProduct(Vector256<int> a, Vector256<int> b) => Avx2.IsSupported
        ? Avx2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16())
        : (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
}
