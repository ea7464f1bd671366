using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Cli.Quickstart;

/// <summary>The few matrix operations that training needs. Matrices are row-major.</summary>
/// <remarks>
/// Every sum runs over its terms in order, each product rounded before it is added, whatever the processor's vectors: the same weights
/// come out on every machine that rounds as IEEE 754 says. The methods are optimised before their first call: all of quickstart's training
/// takes about as long as the runtime would take to find out that they are worth it.
/// </remarks>
public static class FaultClassifierKernels
{
    const int RowsAtOnce = 4;
    const int ColumnsAtOnce = 16; // two vectors of eight

    /// <summary>c = a × b, overwritten.</summary>
    /// <param name="a">rows × inner.</param>
    /// <param name="b">inner × columns.</param>
    /// <param name="c">rows × columns.</param>
    /// <param name="inner">Columns of a and rows of b, above 0; the other sizes follow from it.</param>
    /// <exception cref="ArgumentException">The lengths do not fit each other.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int inner)
    {
        var (rows, columns) = (a.Length / inner, b.Length / inner);
        if (a.Length != rows * inner || b.Length != columns * inner || c.Length != rows * columns)
            throw new ArgumentException($"{a.Length} and {b.Length} values with {inner} in common do not multiply to {c.Length}.", nameof(c));

        for (var row = 0; row < rows;)
        {
            var height = rows - row >= RowsAtOnce ? RowsAtOnce : 1;
            var left = a.Slice(row * inner, height * inner);
            var result = c.Slice(row * columns, height * columns);
            var column = 0;
            for (; column + ColumnsAtOnce <= columns; column += ColumnsAtOnce)
            {
                if (height == RowsAtOnce)
                    FourRows(left, b, result, inner, columns, column);
                else
                    OneRow(left, b, result, inner, columns, column);
            }
            for (; column < columns; column++)
                Rest(left, b, result, inner, columns, column);
            row += height;
        }
    }

    /// <summary>The transpose: value (r, c) of from becomes value (c, r) of to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose(ReadOnlySpan<float> from, Span<float> to, int columns)
    {
        var rows = from.Length / columns;
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < columns; column++)
                to[column * rows + row] = from[row * columns + column];
        }
    }

    /// <summary>y += row for each row of y.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddToRows(Span<float> y, ReadOnlySpan<float> row)
    {
        for (; !y.IsEmpty; y = y[row.Length..])
        {
            for (var i = 0; i < row.Length; i++)
                y[i] += row[i];
        }
    }

    // Bounds are checked by Multiply, once for all.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void FourRows(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int inner, int columns, int column)
    {
        ref var left = ref MemoryMarshal.GetReference(a);
        ref var right = ref MemoryMarshal.GetReference(b);
        ref var result = ref MemoryMarshal.GetReference(c);
        Vector256<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        for (var k = 0; k < inner; k++)
        {
            var at = (nuint)(k * columns + column);
            var b0 = Vector256.LoadUnsafe(ref right, at);
            var b1 = Vector256.LoadUnsafe(ref right, at + 8);
            var a0 = Vector256.Create(Unsafe.Add(ref left, k));
            var a1 = Vector256.Create(Unsafe.Add(ref left, k + inner));
            var a2 = Vector256.Create(Unsafe.Add(ref left, k + 2 * inner));
            var a3 = Vector256.Create(Unsafe.Add(ref left, k + 3 * inner));
            c00 += a0 * b0;
            c01 += a0 * b1;
            c10 += a1 * b0;
            c11 += a1 * b1;
            c20 += a2 * b0;
            c21 += a2 * b1;
            c30 += a3 * b0;
            c31 += a3 * b1;
        }
        Store(ref result, column, c00, c01);
        Store(ref result, columns + column, c10, c11);
        Store(ref result, 2 * columns + column, c20, c21);
        Store(ref result, 3 * columns + column, c30, c31);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void OneRow(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int inner, int columns, int column)
    {
        ref var right = ref MemoryMarshal.GetReference(b);
        Vector256<float> c0 = default, c1 = default;
        for (var k = 0; k < inner; k++)
        {
            var at = (nuint)(k * columns + column);
            var left = Vector256.Create(a[k]);
            c0 += left * Vector256.LoadUnsafe(ref right, at);
            c1 += left * Vector256.LoadUnsafe(ref right, at + 8);
        }
        Store(ref MemoryMarshal.GetReference(c), column, c0, c1);
    }

    static void Rest(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c, int inner, int columns, int column)
    {
        for (var row = 0; row * inner < a.Length; row++)
        {
            var sum = 0f;
            for (var k = 0; k < inner; k++)
                sum += a[row * inner + k] * b[k * columns + column];
            c[row * columns + column] = sum;
        }
    }

    static void Store(ref float result, int at, Vector256<float> low, Vector256<float> high)
    {
        low.StoreUnsafe(ref result, (nuint)at);
        high.StoreUnsafe(ref result, (nuint)at + 8);
    }
}
