namespace Coppice.Delta.Planning;

/// <summary>How a tensor of any shape is looked at as a matrix.</summary>
static class Geometry
{
    const int MostColumns = 1 << 16;
    const int LeastColumns = 8;
    const int PlainColumns = 256;

    /// <summary>Row lengths worth trying, the likeliest first; multiples of the unit.</summary>
    public static IEnumerable<int> Columns(ReadOnlySpan<long> shape, int elements, int unit)
    {
        var found = new List<int>();
        if (shape.Length > 1)
        {
            var (all, last) = (1L, shape[^1]);
            foreach (var dimension in shape[1..])
                all = Math.Min(all * dimension, long.MaxValue >> 20);
            if (shape[0] == 1 && shape.Length == 4)
                (all, last) = (last, all); // depthwise, channels last
            Add(all);
            Add(last);
            if (shape.Length == 4)
                Add(shape[2] * shape[3]);
        }
        if (found.Count == 0)
            Add(Math.Min(PlainColumns, Math.Max(unit, elements / unit * unit)));
        if (found.Count == 0)
            found.Add(unit);
        return found;

        void Add(long columns)
        {
            if (columns is >= LeastColumns and <= MostColumns && columns % unit == 0 && columns <= elements && !found.Contains((int)columns) || elements < LeastColumns && columns == elements)
                found.Add((int)columns);
        }
    }
}
