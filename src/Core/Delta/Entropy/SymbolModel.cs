using System.Runtime.CompilerServices;

namespace Coppice.Delta.Entropy;

/// <summary>What symbols to expect in each of 256 contexts: a map from contexts to a few frequency tables.</summary>
/// <remarks>Frequencies of a table are whole numbers that add up to 2048; a symbol of frequency 0 cannot occur.</remarks>
sealed class SymbolModel
{
    public const int ScaleBits = 11;
    public const int Scale = 1 << ScaleBits;
    public const int Contexts = 256;
    public const int Symbols = 256;
    public const int MostTables = 64;

    readonly byte[] map = new byte[Contexts]; // [context], the table
    readonly int[] slotStarts = new int[Contexts];
    ushort[] frequencies = [];                // [table × 256 + symbol]; like the others it may be longer
    ushort[] starts = [];                     // likewise, sum of the frequencies before it
    uint[] slots = [];                        // [table × 2048 + slot]: symbol | (frequency - 1) << 8 | (slot - start) << 20
    bool hasStarts;
    bool hasSlots;

    /// <summary>The table of each context.</summary>
    public ReadOnlySpan<byte> Map => map;

    public int Tables { get; private set; }

    /// <summary>Decoding table, 2048 entries per frequency table: symbol, frequency less one (12 bits), offset in the symbol (12 bits).</summary>
    public uint[] Slots => Volatile.Read(ref hasSlots) ? slots : BuildSlots();

    /// <summary>Where the table of each context begins in <see cref="Slots"/>.</summary>
    public int[] SlotStarts => slotStarts;

    public (int Frequency, int Start) Of(int table, int symbol) => (frequencies[table * Symbols + symbol], (hasStarts ? starts : BuildStarts())[table * Symbols + symbol]);

    /// <summary>Bits that coding the counted symbols would take, without the model itself.</summary>
    public double Cost(Histogram counts)
    {
        var bits = 0.0;
        for (var context = 0; context < Contexts; context++)
        {
            var row = counts.Row(context);
            for (var symbol = 0; symbol < row.Length; symbol++)
                if (row[symbol] != 0)
                    bits += row[symbol] * (ScaleBits - Math.Log2(frequencies[map[context] * Symbols + symbol]));
        }
        return bits;
    }

    public static SymbolModel Create(ReadOnlySpan<byte> map, ushort[][] frequencies)
    {
        var model = new SymbolModel();
        map.CopyTo(model.map);
        model.Begin(frequencies.Length);
        foreach (var (table, row) in frequencies.Index())
            row.CopyTo(model.Table(table));
        return model;
    }

    /// <summary>Forgets what was built of other tables, and makes room for so many; the map is there already.</summary>
    void Begin(int tables)
    {
        (Tables, hasStarts, hasSlots) = (tables, false, false);
        if (frequencies.Length < tables * Symbols)
            frequencies = new ushort[tables * Symbols];
        Array.Clear(frequencies);
        for (var context = 0; context < Contexts; context++)
            slotStarts[context] = map[context] << ScaleBits;
    }

    Span<ushort> Table(int table) => frequencies.AsSpan(table * Symbols, Symbols);

    public void WriteTo(BitWriter bits)
    {
        bits.Write((uint)Tables, 7);
        for (var at = 0; at < Contexts;)
        {
            var run = 1;
            while (at + run < Contexts && map[at + run] == map[at])
                run++;
            bits.Write(map[at], 6);
            bits.Write((uint)run - 1, 8);
            at += run;
        }
        for (var table = 0; table < Tables; table++)
            WriteTable(bits, Table(table));
    }

    /// <summary>Reads a model; every rule is checked.</summary>
    /// <param name="bits">Where it is read from.</param>
    /// <param name="spent">A model that is no longer needed: its memory is used again.</param>
    /// <param name="problem">What is wrong.</param>
    /// <returns>Null when a rule is broken; <paramref name="problem"/> says which.</returns>
    public static SymbolModel? Read(ref BitReader bits, SymbolModel? spent, out string problem)
    {
        var model = spent ?? new();
        var count = (int)bits.Read(7);
        problem = $"a model has {count} tables; 1 to {MostTables} are allowed.";
        if (count is < 1 or > MostTables)
            return null;
        for (var at = 0; at < Contexts;)
        {
            var table = (byte)bits.Read(6);
            var run = (int)bits.Read(8) + 1;
            problem = $"a model maps {run} contexts from {at} to table {table}; it has {count} tables and {Contexts} contexts.";
            if (table >= count || run > Contexts - at)
                return null;
            model.map.AsSpan(at, run).Fill(table);
            at += run;
        }
        model.Begin(count);
        for (var table = 0; table < count; table++)
        {
            problem = $"the frequencies of table {table} do not add up to {Scale}.";
            if (!ReadTable(ref bits, model.Table(table)))
                return null;
        }
        problem = "a model ends early.";
        return bits.Overrun ? null : model;
    }

    /// <summary>Each frequency is its bit length in 4 bits and the bits below its highest; length 0 is followed by 3 bits, the number of zeros less one.</summary>
    static void WriteTable(BitWriter bits, ReadOnlySpan<ushort> table)
    {
        var left = Scale;
        for (var symbol = 0; left > 0;)
        {
            if (table[symbol] == 0)
            {
                var run = 1;
                while (run < 8 && table[symbol + run] == 0)
                    run++;
                bits.Write(0, 4);
                bits.Write((uint)run - 1, 3);
                symbol += run;
                continue;
            }
            var length = 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)table[symbol]);
            bits.Write((uint)length, 4);
            bits.Write((uint)(table[symbol] & ((1 << (length - 1)) - 1)), length - 1);
            left -= table[symbol++];
        }
    }

    static bool ReadTable(ref BitReader bits, Span<ushort> table)
    {
        var left = Scale;
        for (var symbol = 0; left > 0;)
        {
            var length = (int)bits.Read(4);
            if (length == 0)
            {
                symbol += (int)bits.Read(3) + 1;
                if (symbol >= Symbols)
                    return false;
                continue;
            }
            if (symbol >= Symbols || length > ScaleBits + 1)
                return false;
            var frequency = 1 << (length - 1) | (int)bits.Read(length - 1);
            if (frequency > left)
                return false;
            table[symbol++] = (ushort)frequency;
            left -= frequency;
        }
        return true;
    }

    /// <remarks>Workers may come at once: each builds the same.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    uint[] BuildSlots()
    {
        var built = slots.Length < Tables * Scale ? new uint[Tables * Scale] : slots;
        for (var table = 0; table < Tables; table++)
        {
            var at = table * Scale;
            var row = Table(table);
            for (var symbol = 0; symbol < row.Length; symbol++)
                for (var (offset, frequency) = (0, (int)row[symbol]); offset < frequency; offset++)
                    built[at++] = (uint)symbol | (uint)(frequency - 1) << 8 | (uint)offset << 20;
        }
        slots = built;
        Volatile.Write(ref hasSlots, true);
        return built;
    }

    ushort[] BuildStarts()
    {
        starts = new ushort[Tables * Symbols];
        for (var table = 0; table < Tables; table++)
            for (var (symbol, sum) = (0, 0); symbol < Symbols; sum += frequencies[table * Symbols + symbol++])
                starts[table * Symbols + symbol] = (ushort)sum;
        hasStarts = true;
        return starts;
    }
}
