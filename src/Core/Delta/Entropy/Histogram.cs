namespace Coppice.Delta.Entropy;

/// <summary>How often each symbol occurs in each of 256 contexts.</summary>
sealed class Histogram
{
    readonly int[]?[] rows = new int[SymbolModel.Contexts][];

    public void Add(byte context, byte symbol) => (rows[context] ??= new int[SymbolModel.Symbols])[symbol]++;

    public void Add(ReadOnlySpan<byte> contexts, ReadOnlySpan<byte> symbols)
    {
        for (var i = 0; i < symbols.Length; i++)
            Add(contexts[i], symbols[i]);
    }

    public void Add(Histogram other)
    {
        for (var context = 0; context < rows.Length; context++)
            if (other.rows[context] is { } counts)
            {
                var mine = rows[context] ??= new int[SymbolModel.Symbols];
                for (var symbol = 0; symbol < counts.Length; symbol++)
                    mine[symbol] += counts[symbol];
            }
    }

    /// <summary>Counts of one context; empty when it does not occur.</summary>
    public ReadOnlySpan<int> Row(int context) => rows[context];

    /// <summary>Bits of an ideal code whose tables are free but for <paramref name="perCell"/> bits for each symbol that occurs in a context.</summary>
    public double Entropy(double perCell)
    {
        var bits = 0.0;
        foreach (var row in rows)
        {
            if (row is null)
                continue;
            var total = 0L;
            foreach (var count in row)
            {
                if (count == 0)
                    continue;
                total += count;
                bits += perCell - count * Math.Log2(count);
            }
            bits += total == 0 ? 0 : total * Math.Log2(total);
        }
        return bits;
    }
}
