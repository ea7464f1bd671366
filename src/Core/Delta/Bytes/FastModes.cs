namespace Coppice.Delta.Bytes;

/// <summary>What chooses the table of a literal.</summary>
enum FastContext
{
    /// <summary>Nothing: one table.</summary>
    None,
    /// <summary>The place in an element of eight bytes.</summary>
    Phase,
    /// <summary>The byte before.</summary>
    Last,
    /// <summary>The aligned old byte; only for aligned literals.</summary>
    Old,
}

/// <summary>How a fast frame's literals choose their tables.</summary>
sealed class FastModes
{
    const int Limit = 60;
    readonly byte[] _maps = new byte[512]; // 256 contexts of free literals, then of aligned ones
    readonly uint[] _slots = new uint[3 * 8];

    public FastContext Free { get; set; }

    public FastContext Aligned { get; set; }

    /// <summary>Whether aligned literals are differences from the old byte.</summary>
    public bool Difference { get; set; }

    /// <summary>Tables in use, 1 to 8.</summary>
    public int Tables { get; set; } = 1;

    /// <summary>The table of a literal, below <see cref="Tables"/>.</summary>
    public int Table(bool aligned, int context) => _maps[(aligned ? 256 : 0) + context];

    public Span<byte> Map(bool aligned) => _maps.AsSpan(aligned ? 256 : 0, 256);

    /// <summary>Writes or reads the modes.</summary>
    /// <exception cref="MalformedPatchException">A map names a table that is not there.</exception>
    public void Code<TCoder>(ref TCoder coder) where TCoder : struct, IBitCoder, allows ref struct
    {
        Free = (FastContext)Raw(ref coder, (int)Free, 2);
        Aligned = (FastContext)Raw(ref coder, (int)Aligned, 2);
        Difference = Raw(ref coder, Difference ? 1 : 0, 1) != 0;
        Tables = Raw(ref coder, Tables - 1, 3) + 1;
        _slots.AsSpan().Fill(AdaptiveBits.Fresh);
        CodeMap(ref coder, Free, Map(false));
        CodeMap(ref coder, Aligned, Map(true));
    }

    /// <summary>Contexts there are in a mode.</summary>
    public static int Contexts(FastContext mode) => mode switch { FastContext.None => 1, FastContext.Phase => 8, _ => 256 };

    void CodeMap<TCoder>(ref TCoder coder, FastContext mode, Span<byte> map) where TCoder : struct, IBitCoder, allows ref struct
    {
        map[Contexts(mode)..].Clear();
        var last = 0;
        for (var i = 0; i < Contexts(mode); i++)
        {
            // Neighbouring contexts mostly share a table.
            if (AdaptiveBits.Code(ref coder, ref _slots[0], map[i] == last ? 1 : 0, Limit) == 0)
            {
                var node = 1;
                for (var bit = 2; bit >= 0; bit--)
                    node = node << 1 | AdaptiveBits.Code(ref coder, ref _slots[8 + node], (map[i] >> bit) & 1, Limit);
                last = node & 7;
            }
            if (last >= Tables)
                throw new MalformedPatchException(0, $"byte frame: table {last} is named, and there are {Tables}; fetch the patch again.");
            map[i] = (byte)last;
        }
    }

    static int Raw<TCoder>(ref TCoder coder, int value, int bits) where TCoder : struct, IBitCoder, allows ref struct
    {
        var result = 0;
        for (var i = bits - 1; i >= 0; i--)
            result = result << 1 | coder.Code((value >> i) & 1, 32768);
        return result;
    }
}
