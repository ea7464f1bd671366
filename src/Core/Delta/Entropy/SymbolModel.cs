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

    readonly ushort[][] frequencies; // [table][symbol]
    readonly ushort[][] starts;      // [table][symbol], sum of the frequencies before it
    readonly byte[] map;             // [context], the table
    int[]? slotStarts;
    uint[]? slots;                   // [table × 2048 + slot]: symbol | (frequency - 1) << 8 | (slot - start) << 20

    SymbolModel(byte[] map, ushort[][] frequencies)
    {
        this.map = map;
        this.frequencies = frequencies;
        starts = new ushort[frequencies.Length][];
        for (var table = 0; table < frequencies.Length; table++)
        {
            starts[table] = new ushort[Symbols];
            var sum = 0;
            for (var symbol = 0; symbol < Symbols; symbol++)
            {
                starts[table][symbol] = (ushort)sum;
                sum += frequencies[table][symbol];
            }
        }
    }

    /// <summary>The table of each context.</summary>
    public ReadOnlySpan<byte> Map => map;

    public int Tables => frequencies.Length;

    /// <summary>Decoding table, 2048 entries per frequency table: symbol, frequency less one (12 bits), offset in the symbol (12 bits).</summary>
    public uint[] Slots => slots ?? BuildSlots();

    /// <summary>Where the table of each context begins in <see cref="Slots"/>.</summary>
    public int[] SlotStarts => slotStarts ?? BuildSlotStarts();

    public (int Frequency, int Start) Of(int table, int symbol) => (frequencies[table][symbol], starts[table][symbol]);

    /// <summary>Bits that coding the counted symbols would take, without the model itself.</summary>
    public double Cost(Histogram counts)
    {
        var bits = 0.0;
        for (var context = 0; context < Contexts; context++)
        {
            var row = counts.Row(context);
            for (var symbol = 0; symbol < row.Length; symbol++)
                if (row[symbol] != 0)
                    bits += row[symbol] * (ScaleBits - Math.Log2(frequencies[map[context]][symbol]));
        }
        return bits;
    }

    public static SymbolModel Create(byte[] map, ushort[][] frequencies) => new(map, frequencies);

    public void WriteTo(BitWriter bits)
    {
        bits.Write((uint)frequencies.Length, 7);
        for (var at = 0; at < Contexts;)
        {
            var run = 1;
            while (at + run < Contexts && map[at + run] == map[at])
                run++;
            bits.Write(map[at], 6);
            bits.Write((uint)run - 1, 8);
            at += run;
        }
        foreach (var table in frequencies)
            WriteTable(bits, table);
    }

    /// <summary>Reads a model; every rule is checked.</summary>
    /// <returns>Null when a rule is broken; <paramref name="problem"/> says which.</returns>
    public static SymbolModel? Read(ref BitReader bits, out string problem)
    {
        var count = (int)bits.Read(7);
        var map = new byte[Contexts];
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
            map.AsSpan(at, run).Fill(table);
            at += run;
        }
        var frequencies = new ushort[count][];
        for (var table = 0; table < count; table++)
        {
            problem = $"the frequencies of table {table} do not add up to {Scale}.";
            frequencies[table] = new ushort[Symbols];
            if (!ReadTable(ref bits, frequencies[table]))
                return null;
        }
        problem = "a model ends early.";
        return bits.Overrun ? null : new(map, frequencies);
    }

    /// <summary>Each frequency is its bit length in 4 bits and the bits below its highest; length 0 is followed by 3 bits, the number of zeros less one.</summary>
    static void WriteTable(BitWriter bits, ushort[] table)
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

    static bool ReadTable(ref BitReader bits, ushort[] table)
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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    uint[] BuildSlots()
    {
        var built = new uint[frequencies.Length * Scale];
        for (var table = 0; table < frequencies.Length; table++)
        {
            var at = table * Scale;
            for (var symbol = 0; symbol < Symbols; symbol++)
                for (var (offset, frequency) = (0, (int)frequencies[table][symbol]); offset < frequency; offset++)
                    built[at++] = (uint)symbol | (uint)(frequency - 1) << 8 | (uint)offset << 20;
        }
        return slots = built;
    }

    int[] BuildSlotStarts() => slotStarts = [.. map.Select(table => table << ScaleBits)];
}
