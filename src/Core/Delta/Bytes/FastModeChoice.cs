namespace Coppice.Delta.Bytes;

/// <summary>Chooses what a fast frame's literals depend on, and joins contexts that are alike into few tables.</summary>
static class FastModeChoice
{
    // Costs here are in 1/4096 bit, as Logistic gives them.
    const long TableCost = 700 * 4096; // a table in the head, about
    const int SlowerBy = 64; // a context must save one part of so many, as it makes decoding slower

    /// <summary>Sets the modes and their maps, and gives the tables.</summary>
    public static int[][] Choose(FastModes modes, List<FastLiteral> literals)
    {
        var free = literals.Where(literal => !literal.Aligned).ToList();
        var aligned = literals.Where(literal => literal.Aligned).ToList();
        var most = free.Count == 0 || aligned.Count == 0 ? FastFrame.LiteralTables : FastFrame.LiteralTables / 2;

        var freeChoice = Best(free, false, most, FastContext.None, FastContext.Phase, FastContext.Last);
        var plain = Best(aligned, false, most, FastContext.None, FastContext.Phase, FastContext.Last, FastContext.Old);
        var difference = Best(aligned, true, most, FastContext.None, FastContext.Phase, FastContext.Last, FastContext.Old);
        var alignedChoice = difference.Cost < plain.Cost ? difference : plain;

        modes.Free = freeChoice.Mode;
        modes.Aligned = alignedChoice.Mode;
        modes.Difference = difference.Cost < plain.Cost;
        var tables = new List<int[]>();
        modes.Map(false).Clear();
        modes.Map(true).Clear();
        if (free.Count > 0)
        {
            freeChoice.Map.CopyTo(modes.Map(false));
            tables.AddRange(freeChoice.Tables);
        }
        if (aligned.Count > 0)
        {
            for (var i = 0; i < alignedChoice.Map.Length; i++)
                modes.Map(true)[i] = (byte)(alignedChoice.Map[i] + tables.Count);
            tables.AddRange(alignedChoice.Tables);
        }
        if (tables.Count == 0)
            tables.Add(new int[256]);
        modes.Tables = tables.Count;
        return [.. tables.Select(counts => FastTables.Normalise(counts))];
    }

    static (FastContext Mode, byte[] Map, int[][] Tables, long Cost) Best(List<FastLiteral> literals, bool difference, int most, params ReadOnlySpan<FastContext> candidates)
    {
        (FastContext Mode, byte[] Map, int[][] Tables, long Cost) best = (FastContext.None, new byte[1], [], long.MaxValue);
        foreach (var mode in candidates)
        {
            var counts = new int[FastModes.Contexts(mode)][];
            for (var i = 0; i < counts.Length; i++)
                counts[i] = new int[256];
            foreach (var literal in literals)
                counts[literal.Context(mode)][(byte)(difference ? literal.Value - literal.Old : literal.Value)]++;
            var (map, tables, cost) = Join(counts, Math.Min(most, counts.Length));
            if (cost < (mode == FastContext.None ? best.Cost : best.Cost - best.Cost / SlowerBy))
                best = (mode, map, tables, cost);
        }
        return best;
    }

    /// <summary>Joins contexts into at most so many tables: each goes where it is cheapest, a few rounds long.</summary>
    static (byte[] Map, int[][] Tables, long Cost) Join(int[][] counts, int most)
    {
        var best = (Map: new byte[counts.Length], Tables: new[] { Sum(counts, null, 0) }, Cost: 0L);
        best.Cost = Own(best.Tables[0]) + TableCost;
        var used = Enumerable.Range(0, counts.Length).Where(i => counts[i].AsSpan().ContainsAnyExcept(0)).ToArray(); // the others cost nothing anywhere
        for (var tables = 2; tables <= most; tables *= 2)
        {
            // Seeds: contexts with the most bytes.
            var order = Enumerable.Range(0, counts.Length).OrderByDescending(i => counts[i].Sum(count => (long)count)).ToArray();
            var centres = order.Take(tables).Select(i => counts[i]).ToArray();
            var map = new byte[counts.Length];
            for (var round = 0; round < 6; round++)
            {
                var costs = centres.Select(Costs).ToArray();
                foreach (var i in used)
                    map[i] = (byte)Enumerable.Range(0, tables).MinBy(table => Cost(counts[i], costs[table]));
                centres = [.. Enumerable.Range(0, tables).Select(table => Sum(counts, map, table))];
            }
            var cost = centres.Sum(Own) + TableCost * tables + counts.Length * 4096L;
            if (cost < best.Cost)
                best = (map, centres, cost);
        }
        return best;
    }

    static int[] Sum(int[][] counts, byte[]? map, int table)
    {
        var sum = new int[256];
        for (var i = 0; i < counts.Length; i++)
            if (map is null || map[i] == table)
                for (var symbol = 0; symbol < 256; symbol++)
                    sum[symbol] += counts[i][symbol];
        return sum;
    }

    /// <summary>What each symbol costs in a table made of these counts.</summary>
    static int[] Costs(int[] counts)
    {
        // A twentieth of a byte more each, so that what did not occur has a cost.
        var total = 20 * counts.Sum(count => (long)count) + 256;
        return Array.ConvertAll(counts, count => Logistic.Cost((int)Math.Clamp((20L * count + 1) * 65536 / total, 1, 65535)));
    }

    static long Cost(int[] counts, int[] costs)
    {
        var sum = 0L;
        for (var i = 0; i < 256; i++)
            sum += (long)counts[i] * costs[i];
        return sum;
    }

    /// <summary>What counts cost in the table that is made of them.</summary>
    static long Own(int[] counts)
    {
        var total = counts.Sum(count => (long)count);
        return total == 0 ? 0 : counts.Sum(count => (long)count * Logistic.Cost((int)Math.Clamp(count * 65536L / total, 1, 65535)));
    }
}
