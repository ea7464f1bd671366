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
        if (vectors && Vector256.IsHardwareAccelerated && BitConverter.IsLittleEndian && products.Length >= 16)
        {
            // The last load ends at the last product's column of the last pair of components, which is inside B.
            ArgumentOutOfRangeException.ThrowIfGreaterThan((first + products.Length) * 2 + (left.Length / 2 - 1) * 2 * columns, right.Length);
            var pairs = MemoryMarshal.Cast<short, int>(left);
            ref var from = ref Unsafe.As<short, int>(ref Unsafe.Add(ref MemoryMarshal.GetReference(right), 2 * first));
            ref var to = ref MemoryMarshal.GetReference(products);
            for (; done + 64 <= products.Length; done += 64)
                Multiply64(pairs, ref Unsafe.Add(ref from, done), (nuint)columns, ref Unsafe.Add(ref to, done));
            for (; done + 16 <= products.Length; done += 16)
                Multiply16(pairs, ref Unsafe.Add(ref from, done), (nuint)columns, ref Unsafe.Add(ref to, done));
        }
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

    /// <summary>Sixty-four columns, whose sums stay in registers: every pair of components is looked at once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Multiply64(ReadOnlySpan<int> pairs, ref int right, nuint columns, ref int products)
    {
        var (s0, s1, s2, s3) = (Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero);
        var (s4, s5, s6, s7) = (Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero, Vector256<int>.Zero);
        nuint at = 0;
        foreach (var pair in pairs)
        {
            var a = Vector256.Create(pair);
            s0 += PairProduct(a, Vector256.LoadUnsafe(ref right, at));
            s1 += PairProduct(a, Vector256.LoadUnsafe(ref right, at + 8));
            s2 += PairProduct(a, Vector256.LoadUnsafe(ref right, at + 16));
            s3 += PairProduct(a, Vector256.LoadUnsafe(ref right, at + 24));
            s4 += PairProduct(a, Vector256.LoadUnsafe(ref right, at + 32));
            s5 += PairProduct(a, Vector256.LoadUnsafe(ref right, at + 40));
            s6 += PairProduct(a, Vector256.LoadUnsafe(ref right, at + 48));
            s7 += PairProduct(a, Vector256.LoadUnsafe(ref right, at + 56));
            at += columns;
        }
        s0.StoreUnsafe(ref products);
        s1.StoreUnsafe(ref products, 8);
        s2.StoreUnsafe(ref products, 16);
        s3.StoreUnsafe(ref products, 24);
        s4.StoreUnsafe(ref products, 32);
        s5.StoreUnsafe(ref products, 40);
        s6.StoreUnsafe(ref products, 48);
        s7.StoreUnsafe(ref products, 56);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Multiply16(ReadOnlySpan<int> pairs, ref int right, nuint columns, ref int products)
    {
        var (low, high) = (Vector256<int>.Zero, Vector256<int>.Zero);
        nuint at = 0;
        foreach (var pair in pairs)
        {
            var a = Vector256.Create(pair);
            low += PairProduct(a, Vector256.LoadUnsafe(ref right, at));
            high += PairProduct(a, Vector256.LoadUnsafe(ref right, at + 8));
            at += columns;
        }
        low.StoreUnsafe(ref products);
        high.StoreUnsafe(ref products, 8);
    }

    /// <summary>In each lane, the sum of the products of the two halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<int> PairProduct(Vector256<int> a, Vector256<int> b) => Avx2.IsSupported
        ? Avx2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16())
        : (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
}
