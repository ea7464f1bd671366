namespace Coppice.Delta.Tensors;

/// <summary>What a block says of its codes: binary16 numbers, and perhaps a scale and a minimum for each group of codes.</summary>
/// <remarks>
/// value = step × (code + zero) - minimum, where there are minima; step × code otherwise. Without scales the step and the negative minimum are
/// the block's binary16 numbers; with them the step is the first number times the group's scale, the minimum the second one times the group's minimum.
/// A head is kept as so many 16-bit fields: the binary16 numbers, the groups' scales, the groups' minima.
/// </remarks>
/// <param name="Groups">Groups of codes with a step of their own.</param>
/// <param name="GroupElements">Codes of a group.</param>
/// <param name="Halves">Binary16 numbers: 1, or 2 where there are minima.</param>
/// <param name="ScaleBits">Bits of a group's scale and minimum; 0 when a group has none.</param>
/// <param name="IsSigned">Whether scales have a sign.</param>
readonly record struct BlockHead(int Groups, int GroupElements, int Halves, int ScaleBits, bool IsSigned)
{
    /// <summary>The fewest codes of a group.</summary>
    public const int LeastGroup = 16;

    /// <summary>The most groups of a block.</summary>
    public const int MostGroups = 16;

    /// <summary>The kind with most fields, Q2_K, has 34 for 256 elements.</summary>
    public const int LeastElementsPerField = 7;

    /// <summary>16-bit fields of a head.</summary>
    public int Fields => ScaleBits == 0 ? Halves : Halves + Groups * Halves;

    public bool HasMinima => Halves == 2;

    /// <summary>Whether the step is no binary16 number but the power of two with this exponent plus 128, in a byte.</summary>
    public bool IsExponent { get; init; }

    public int LowestScale => IsSigned ? -1 << (ScaleBits - 1) : 0;

    public int HighestScale => IsSigned ? (1 << (ScaleBits - 1)) - 1 : (1 << ScaleBits) - 1;

    public static BlockHead Of(LatticeKind kind) => kind switch
    {
        LatticeKind.Q8_0 or LatticeKind.Q4_0 or LatticeKind.Q5_0 or LatticeKind.IQ4_NL => new(1, 32, 1, 0, false),
        LatticeKind.Q4_1 or LatticeKind.Q5_1 => new(1, 32, 2, 0, false),
        LatticeKind.Q2_K => new(16, 16, 2, 4, false),
        LatticeKind.Q3_K => new(16, 16, 1, 6, true),
        LatticeKind.Q4_K or LatticeKind.Q5_K => new(8, 32, 2, 6, false),
        LatticeKind.Q6_K => new(16, 16, 1, 8, true),
        LatticeKind.IQ4_XS => new(8, 32, 1, 6, true),
        LatticeKind.MXFP4 => new(1, 32, 1, 0, false) { IsExponent = true },
        LatticeKind.TQ2_0 => new(1, 256, 1, 0, false),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "no kind of blocks"),
    };

    /// <summary>Steps and minima of one block's groups. Products of a binary16 number and at most 8 bits are exact in binary32.</summary>
    /// <param name="fields">The head.</param>
    /// <param name="steps">One for each group, overwritten.</param>
    /// <param name="minima">Likewise; zeros where there are none.</param>
    public void Steps(ReadOnlySpan<ushort> fields, Span<float> steps, Span<float> minima)
    {
        var step = IsExponent ? PowerOfTwo(fields[0]) : (float)BitConverter.UInt16BitsToHalf(fields[0]);
        var minimum = HasMinima ? (float)BitConverter.UInt16BitsToHalf(fields[1]) : 0;
        if (ScaleBits == 0)
        {
            steps[0] = step;
            minima[0] = HasMinima ? -minimum : 0;
            return;
        }
        var scales = fields.Slice(Halves, Groups);
        for (var group = 0; group < scales.Length; group++)
            steps[group] = step * (short)scales[group];
        minima = minima[..Groups];
        if (!HasMinima)
        {
            minima.Clear();
            return;
        }
        var minimums = fields.Slice(Halves + Groups, Groups);
        for (var group = 0; group < minima.Length; group++)
            minima[group] = minimum * minimums[group];
    }

    /// <summary>Two to the power of an exponent less 128; the two lowest are subnormal.</summary>
    static float PowerOfTwo(int exponent) => BitConverter.Int32BitsToSingle(exponent < 2 ? 0x00200000 << exponent : exponent - 1 << 23);
}
