namespace Coppice.Delta.Entropy;

/// <summary>Collects what <see cref="SideReader"/> reads: symbols first, bytes when the models are known.</summary>
sealed class SideWriter
{
    readonly List<SideSymbol> symbols = [];
    readonly BitWriter raw = new();

    public int Count => symbols.Count;

    public int RawBits => raw.Length * 8;

    public void Number(byte slot, byte context, uint number)
    {
        var token = Token.Of(number);
        symbols.Add(new(slot, context, token));
        if (token >= Token.Literals)
            raw.Write(number - Token.Base[token], Token.RawBits[token]);
    }

    public void Signed(byte slot, byte context, int number) => Number(slot, context, Token.ZigZag(number));

    public void CountInto(ReadOnlySpan<Histogram?> histograms)
    {
        foreach (var (slot, context, symbol) in symbols)
            histograms[slot]!.Add(context, symbol);
    }

    public (byte[] Words, byte[] Raw) Encode(ReadOnlySpan<SymbolModel?> models) =>
        (RansEncoder.Encode(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(symbols), models), raw.ToArray());
}
