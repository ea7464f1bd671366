namespace Coppice.Delta.Planning;

/// <summary>Eigenvalues and eigenvectors of a small symmetric matrix, by Jacobi rotations.</summary>
static class Eigen
{
    const int MostSweeps = 30;

    /// <returns>Values, largest first; vectors as columns in the same order.</returns>
    public static (double[] Values, double[] Vectors) Of(double[] symmetric, int size)
    {
        var a = (double[])symmetric.Clone();
        var v = new double[size * size];
        for (var i = 0; i < size; i++)
            v[i * size + i] = 1;
        for (var sweep = 0; sweep < MostSweeps && OffDiagonal(a, size) > 1e-22; sweep++)
            for (var p = 0; p < size; p++)
                for (var q = p + 1; q < size; q++)
                    Rotate(a, v, size, p, q);

        var order = Enumerable.Range(0, size).OrderByDescending(i => a[i * size + i]).ToArray();
        var (values, vectors) = (new double[size], new double[size * size]);
        for (var k = 0; k < size; k++)
        {
            values[k] = a[order[k] * size + order[k]];
            for (var i = 0; i < size; i++)
                vectors[i * size + k] = v[i * size + order[k]];
        }
        return (values, vectors);
    }

    /// <summary>Squares off the diagonal, relative to those on it.</summary>
    static double OffDiagonal(double[] a, int size)
    {
        double off = 0, on = 0;
        for (var i = 0; i < size; i++)
            for (var j = 0; j < size; j++)
                if (i == j)
                    on += a[i * size + j] * a[i * size + j];
                else
                    off += a[i * size + j] * a[i * size + j];
        return on == 0 ? 0 : off / on;
    }

    static void Rotate(double[] a, double[] v, int size, int p, int q)
    {
        var apq = a[p * size + q];
        if (apq == 0)
            return;
        var theta = (a[q * size + q] - a[p * size + p]) / (2 * apq);
        var t = Math.Sign(theta) / (Math.Abs(theta) + Math.Sqrt(theta * theta + 1));
        if (theta == 0)
            t = 1;
        var c = 1 / Math.Sqrt(t * t + 1);
        var s = t * c;
        for (var k = 0; k < size; k++)
        {
            var (akp, akq) = (a[k * size + p], a[k * size + q]);
            a[k * size + p] = c * akp - s * akq;
            a[k * size + q] = s * akp + c * akq;
        }
        for (var k = 0; k < size; k++)
        {
            var (apk, aqk) = (a[p * size + k], a[q * size + k]);
            a[p * size + k] = c * apk - s * aqk;
            a[q * size + k] = s * apk + c * aqk;
            var (vkp, vkq) = (v[k * size + p], v[k * size + q]);
            v[k * size + p] = c * vkp - s * vkq;
            v[k * size + q] = s * vkp + c * vkq;
        }
    }
}
