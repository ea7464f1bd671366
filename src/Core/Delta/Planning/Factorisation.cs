using System.Numerics;
using System.Runtime.InteropServices;

namespace Coppice.Delta.Planning;

/// <summary>The leading components of a matrix: matrix ≈ left × right, found by subspace iteration.</summary>
/// <remarks>Six passes over the matrix. The result need not be the same on every processor: factors are sent, not recomputed.</remarks>
sealed class Factorisation
{
    const int Width = 40; // 32 components and 8 spare ones, a multiple of every vector length
    const int Iterations = 2;

    Factorisation(int rank, float[] left, float[] right, double[] singular, double energy) =>
        (Rank, Left, Right, Singular, Energy) = (rank, left, right, singular, energy);

    /// <summary>Components found, at most 32.</summary>
    public int Rank { get; }

    /// <summary>Rows × rank, each column scaled by the root of its singular value.</summary>
    public float[] Left { get; }

    /// <summary>Columns × rank, scaled likewise.</summary>
    public float[] Right { get; }

    /// <summary>Singular values, largest first.</summary>
    public double[] Singular { get; }

    /// <summary>Sum of the squares of all entries of the matrix.</summary>
    public double Energy { get; }

    /// <param name="matrix">Finite numbers, row after row.</param>
    /// <param name="rows">At least 32.</param>
    /// <param name="columns">At least 32.</param>
    /// <param name="rank">Components wanted, at most 32.</param>
    public static Factorisation Of(ReadOnlySpan<float> matrix, int rows, int columns, int rank)
    {
        var q = new float[rows * Width];
        var z = new float[columns * Width];
        var seed = 0x9E3779B97F4A7C15UL;
        for (var i = 0; i < z.Length; i++)
        {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            z[i] = (int)(seed >> 40) / (float)(1 << 23) - 1;
        }
        MultiplyRows(matrix, columns, z, q);
        Orthonormalise(q);
        for (var i = 0; i < Iterations; i++)
        {
            MultiplyColumns(matrix, columns, q, z);
            MultiplyRows(matrix, columns, z, q);
            Orthonormalise(q);
        }
        MultiplyColumns(matrix, columns, q, z);

        var (values, vectors) = Eigen.Of(Gram(z), Width);
        var (left, right) = (new float[rows * rank], new float[columns * rank]);
        var singular = new double[rank];
        for (var k = 0; k < rank; k++)
            singular[k] = Math.Sqrt(Math.Max(0, values[k]));
        Rotate(q, vectors, left, rank, k => Math.Sqrt(singular[k]));
        Rotate(z, vectors, right, rank, k => singular[k] > 1e-30 ? 1 / Math.Sqrt(singular[k]) : 0);

        var energy = 0.0;
        foreach (var value in matrix)
            energy += (double)value * value;
        return new(rank, left, right, singular, energy);
    }

    /// <summary>result[r] = sum over c of matrix[r, c] · factor[c].</summary>
    static void MultiplyRows(ReadOnlySpan<float> matrix, int columns, float[] factor, float[] result)
    {
        var vectors = Width / Vector<float>.Count;
        var from = MemoryMarshal.Cast<float, Vector<float>>(factor);
        var to = MemoryMarshal.Cast<float, Vector<float>>(result.AsSpan());
        if (Vector<float>.Count == 8)
        {
            MultiplyRows8(matrix, columns, from, to);
            return;
        }
        to.Clear();
        for (var row = 0; row < result.Length / Width; row++)
        {
            var sums = to.Slice(row * vectors, vectors);
            for (var column = 0; column < columns; column++)
            {
                var value = new Vector<float>(matrix[row * columns + column]);
                var line = from.Slice(column * vectors, vectors);
                for (var i = 0; i < sums.Length; i++)
                    sums[i] += value * line[i];
            }
        }
    }

    /// <summary>The same with the five sums of a row in registers.</summary>
    static void MultiplyRows8(ReadOnlySpan<float> matrix, int columns, ReadOnlySpan<Vector<float>> from, Span<Vector<float>> to)
    {
        for (var row = 0; row < to.Length / 5; row++)
        {
            var (s0, s1, s2, s3, s4) = (Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero);
            var line = matrix.Slice(row * columns, columns);
            for (var column = 0; column < line.Length; column++)
            {
                var value = new Vector<float>(line[column]);
                var factor = from.Slice(column * 5, 5);
                s0 = Vector.FusedMultiplyAdd(value, factor[0], s0);
                s1 = Vector.FusedMultiplyAdd(value, factor[1], s1);
                s2 = Vector.FusedMultiplyAdd(value, factor[2], s2);
                s3 = Vector.FusedMultiplyAdd(value, factor[3], s3);
                s4 = Vector.FusedMultiplyAdd(value, factor[4], s4);
            }
            var sums = to.Slice(row * 5, 5);
            (sums[0], sums[1], sums[2], sums[3], sums[4]) = (s0, s1, s2, s3, s4);
        }
    }

    /// <summary>result[c] = sum over r of matrix[r, c] · factor[r].</summary>
    static void MultiplyColumns(ReadOnlySpan<float> matrix, int columns, float[] factor, float[] result)
    {
        var vectors = Width / Vector<float>.Count;
        var from = MemoryMarshal.Cast<float, Vector<float>>(factor);
        var to = MemoryMarshal.Cast<float, Vector<float>>(result.AsSpan());
        to.Clear();
        for (var row = 0; row < factor.Length / Width; row++)
        {
            var line = matrix.Slice(row * columns, columns);
            var factors = from.Slice(row * vectors, vectors);
            if (vectors == 5)
            {
                var (f0, f1, f2, f3, f4) = (factors[0], factors[1], factors[2], factors[3], factors[4]);
                for (var column = 0; column < line.Length; column++)
                {
                    var value = new Vector<float>(line[column]);
                    var sums = to.Slice(column * 5, 5);
                    sums[0] = Vector.FusedMultiplyAdd(value, f0, sums[0]);
                    sums[1] = Vector.FusedMultiplyAdd(value, f1, sums[1]);
                    sums[2] = Vector.FusedMultiplyAdd(value, f2, sums[2]);
                    sums[3] = Vector.FusedMultiplyAdd(value, f3, sums[3]);
                    sums[4] = Vector.FusedMultiplyAdd(value, f4, sums[4]);
                }
                continue;
            }
            for (var column = 0; column < line.Length; column++)
            {
                var value = new Vector<float>(line[column]);
                for (var i = 0; i < vectors; i++)
                    to[column * vectors + i] += value * factors[i];
            }
        }
    }

    /// <summary>Inner products of the columns of a tall matrix.</summary>
    static double[] Gram(float[] tall)
    {
        var gram = new double[Width * Width];
        var block = new float[Width * Width];
        for (var start = 0; start < tall.Length; start += 256 * Width)
        {
            Array.Clear(block); // short sums stay exact enough in single precision
            for (var at = start; at < Math.Min(tall.Length, start + 256 * Width); at += Width)
                for (var i = 0; i < Width; i++)
                {
                    var value = new Vector<float>(tall[at + i]);
                    for (var j = 0; j < Width; j += Vector<float>.Count)
                        (new Vector<float>(block, i * Width + j) + value * new Vector<float>(tall, at + j)).CopyTo(block, i * Width + j);
                }
            for (var i = 0; i < gram.Length; i++)
                gram[i] += block[i];
        }
        return gram;
    }

    /// <summary>Makes the columns orthonormal by a Cholesky decomposition of their inner products; columns that depend on others become zero.</summary>
    static void Orthonormalise(float[] tall)
    {
        var inverse = InverseCholesky(Gram(tall));
        Span<float> old = stackalloc float[Width];
        for (var at = 0; at < tall.Length; at += Width)
        {
            tall.AsSpan(at, Width).CopyTo(old);
            var sums = tall.AsSpan(at, Width);
            sums.Clear();
            for (var i = 0; i < Width; i++)
            {
                var value = new Vector<float>(old[i]);
                for (var j = 0; j < Width; j += Vector<float>.Count)
                    (new Vector<float>(tall, at + j) + value * new Vector<float>(inverse, i * Width + j)).CopyTo(tall, at + j);
            }
        }
    }

    /// <summary>Inverse of the upper Cholesky factor, row after row.</summary>
    static float[] InverseCholesky(double[] gram)
    {
        var upper = new double[Width * Width];
        for (var i = 0; i < Width; i++)
        {
            var pivot = gram[i * Width + i];
            for (var k = 0; k < i; k++)
                pivot -= upper[k * Width + i] * upper[k * Width + i];
            if (pivot <= gram[i * Width + i] * 1e-10 || pivot <= 1e-300)
                continue; // depends on the columns before it
            var root = Math.Sqrt(pivot);
            upper[i * Width + i] = root;
            for (var j = i + 1; j < Width; j++)
            {
                var sum = gram[i * Width + j];
                for (var k = 0; k < i; k++)
                    sum -= upper[k * Width + i] * upper[k * Width + j];
                upper[i * Width + j] = sum / root;
            }
        }
        var inverse = new float[Width * Width];
        Span<double> column = stackalloc double[Width];
        for (var j = 0; j < Width; j++)
        {
            column.Clear();
            if (upper[j * Width + j] == 0)
                continue;
            for (var i = j; i >= 0; i--)
            {
                if (upper[i * Width + i] == 0)
                    continue;
                var sum = i == j ? 1.0 : 0.0;
                for (var k = i + 1; k <= j; k++)
                    sum -= upper[i * Width + k] * column[k];
                column[i] = sum / upper[i * Width + i];
            }
            for (var i = 0; i <= j; i++)
                inverse[i * Width + j] = (float)column[i];
        }
        return inverse;
    }

    static void Rotate(float[] tall, double[] vectors, float[] result, int rank, Func<int, double> scale)
    {
        var rotation = new float[Width * rank];
        for (var k = 0; k < rank; k++)
            for (var i = 0; i < Width; i++)
                rotation[i * rank + k] = (float)(vectors[i * Width + k] * scale(k));
        for (int at = 0, to = 0; at < tall.Length; at += Width, to += rank)
            for (var i = 0; i < Width; i++)
            {
                var value = tall[at + i];
                for (var k = 0; k < rank; k++)
                    result[to + k] += value * rotation[i * rank + k];
            }
    }
}
