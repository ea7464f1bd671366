namespace Coppice.Delta.Entropy;

/// <summary>Chooses the frequency tables of a model: contexts whose symbols are alike share one.</summary>
static class ModelBuilder
{
    /// <summary>Bits that one symbol of a table costs in the patch, about.</summary>
    const double CellBits = 9;

    /// <summary>Merges contexts as long as a shared table costs less than two, and until at most <paramref name="most"/> are left.</summary>
    public static SymbolModel Build(Histogram counts, int most = 40)
    {
        var clusters = new List<Cluster>();
        for (var context = 0; context < SymbolModel.Contexts; context++)
            if (!counts.Row(context).IsEmpty)
                clusters.Add(new(context, counts.Row(context).ToArray()));
        if (clusters.Count == 0)
            clusters.Add(new(0, [1, .. new int[SymbolModel.Symbols - 1]]));

        Merge(clusters, most);

        var map = new byte[SymbolModel.Contexts];
        var known = new bool[SymbolModel.Contexts];
        for (var table = 0; table < clusters.Count; table++)
            foreach (var context in clusters[table].Contexts)
                (map[context], known[context]) = ((byte)table, true);
        for (var context = 1; context < map.Length; context++) // contexts that do not occur take their neighbour's table: longer runs
            if (!known[context])
                map[context] = map[context - 1];
        return SymbolModel.Create(map, [.. clusters.Select(cluster => Normalise(cluster.Counts))]);
    }

    static void Merge(List<Cluster> clusters, int most)
    {
        var count = clusters.Count;
        var gains = new double[count, count];
        for (var a = 0; a < count; a++)
            for (var b = 0; b < a; b++)
                gains[a, b] = Gain(clusters[a], clusters[b]);

        var alive = Enumerable.Range(0, count).ToList();
        while (alive.Count > 1)
        {
            var best = (Gain: double.NegativeInfinity, A: 0, B: 0);
            for (var i = 0; i < alive.Count; i++)
                for (var j = 0; j < i; j++)
                    if (gains[alive[i], alive[j]] > best.Gain)
                        best = (gains[alive[i], alive[j]], alive[i], alive[j]);
            if (best.Gain < 0 && alive.Count <= most)
                break;
            clusters[best.B].Take(clusters[best.A]);
            alive.Remove(best.A);
            foreach (var other in alive)
                if (other != best.B)
                    gains[Math.Max(other, best.B), Math.Min(other, best.B)] = Gain(clusters[other], clusters[best.B]);
        }
        var kept = alive.ConvertAll(i => clusters[i]);
        clusters.Clear();
        clusters.AddRange(kept);
    }

    /// <summary>Bits saved when two clusters share a table; negative when they should not.</summary>
    static double Gain(Cluster a, Cluster b)
    {
        double bits = 0, cells = 0;
        for (var symbol = 0; symbol < SymbolModel.Symbols; symbol++)
        {
            var sum = a.Counts[symbol] + b.Counts[symbol];
            if (sum == 0)
                continue;
            bits -= sum * Math.Log2(sum);
            cells++;
        }
        var total = (double)a.Total + b.Total;
        bits += total * Math.Log2(total);
        return a.Bits + b.Bits - bits + CellBits * (a.Cells + b.Cells - cells);
    }

    /// <summary>Frequencies near the counts' shares that add up to 2048, none of an occurring symbol below 1.</summary>
    static ushort[] Normalise(int[] counts)
    {
        var total = counts.Sum(count => (long)count);
        var result = new ushort[SymbolModel.Symbols];
        var left = SymbolModel.Scale;
        for (var symbol = 0; symbol < counts.Length; symbol++)
            if (counts[symbol] != 0)
                left -= result[symbol] = (ushort)Math.Max(1, Math.Round((double)counts[symbol] * SymbolModel.Scale / total));
        for (; left != 0;)
        {
            // Give or take one where it changes the cost least.
            var (best, at) = (double.NegativeInfinity, -1);
            for (var symbol = 0; symbol < counts.Length; symbol++)
            {
                if (counts[symbol] == 0 || (left < 0 && result[symbol] == 1))
                    continue;
                var change = counts[symbol] * Math.Log2((double)(result[symbol] + Math.Sign(left)) / result[symbol]);
                if (change > best)
                    (best, at) = (change, symbol);
            }
            result[at] = (ushort)(result[at] + Math.Sign(left));
            left -= Math.Sign(left);
        }
        return result;
    }

    sealed class Cluster
    {
        public Cluster(int context, int[] counts)
        {
            Contexts = [context];
            Counts = counts;
            Measure();
        }

        public List<int> Contexts { get; }
        public int[] Counts { get; }
        public long Total { get; private set; }
        public int Cells { get; private set; }
        public double Bits { get; private set; }

        public void Take(Cluster other)
        {
            Contexts.AddRange(other.Contexts);
            for (var symbol = 0; symbol < Counts.Length; symbol++)
                Counts[symbol] += other.Counts[symbol];
            Measure();
        }

        void Measure()
        {
            (Total, Cells, Bits) = (0, 0, 0);
            foreach (var count in Counts)
            {
                if (count == 0)
                    continue;
                Total += count;
                Cells++;
                Bits -= count * Math.Log2(count);
            }
            Bits += Total * Math.Log2(Total);
        }
    }
}
