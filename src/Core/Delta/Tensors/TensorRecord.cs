using System.Runtime.CompilerServices;
using System.Text;
using Coppice.Delta.Entropy;

namespace Coppice.Delta.Tensors;

/// <summary>How the elements of a tensor, or of some of its rows, are predicted and coded. The values are part of the format.</summary>
enum Technique : byte
{
    /// <summary>Floats: difference of order-preserving integers to a prediction.</summary>
    FloatDifference = 1,
    /// <summary>Floats: sign, exponent and leading mantissa bits of the new value by themselves, in context of the old ones and of scales.</summary>
    FloatFields = 2,
    /// <summary>Integers and block codes: difference to a prediction in context of its place between two integers.</summary>
    Integer = 3,
    /// <summary>Bytes of records of one length: difference to the old byte or the byte itself, in context of its place in the record.</summary>
    Strided = 4,
}

[Flags]
enum TensorFlags : byte
{
    None = 0,
    /// <summary>There is an old tensor.</summary>
    Old = 1,
    /// <summary>Gain, cast or low-rank factors: the prediction is computed in binary32 and rounded.</summary>
    Arithmetic = 2,
    /// <summary>Old magnitudes below a threshold become zero first.</summary>
    Threshold = 4,
    /// <summary>Columns have scales as rows have.</summary>
    ColumnScales = 8,
    /// <summary>Element (r, c) of the old tensor stands at (c, r).</summary>
    Transposed = 16,
}

/// <summary>What a tensor record says: geometry, source, prediction and models of the frames that follow it.</summary>
sealed class TensorRecord
{
    public const int FrameElements = 1 << 16;
    public const int MostRank = 64;
    /// <summary>A matrix with factors has at least this many columns, so that a frame has at most 2,048 rows of them.</summary>
    public const int LeastRankColumns = 32;

    /// <summary>Bytes of a name in UTF-8, at most.</summary>
    public const int MostNameBytes = 255;

    /// <summary>The tensor's name, for people; may be empty.</summary>
    public string Name { get; set; } = "";

    public required Technique Technique { get; init; }
    public required Lattice Lattice { get; init; }
    public TensorFlags Flags { get; set; }

    /// <summary>Elements, row after row; a multiple of the lattice's unit. For <see cref="Technique.Strided"/>: bytes.</summary>
    public required long Elements { get; init; }

    /// <summary>Columns, 1 to 65,536; the last row may be short. For <see cref="Technique.Strided"/>: bytes of a record.</summary>
    public required int Columns { get; init; }

    /// <summary>First byte of the old tensor in the old files, counted through them one after the other.</summary>
    public long OldOffset { get; set; }

    /// <summary>The lattice of the old tensor; another one than the new tensor's when it was cast.</summary>
    public Lattice OldLattice { get; set; }

    /// <summary>Magnitude bits below which an old float becomes zero.</summary>
    public uint Threshold { get; set; }

    /// <summary>Old values are multiplied by this; 1 for most.</summary>
    public float Gain { get; set; } = 1;

    /// <summary>Components of the low-rank prediction, even, 0 to 64.</summary>
    public int Rank { get; set; }

    /// <summary>What a product of factors is multiplied by.</summary>
    public float Step { get; set; }

    /// <summary>Added to every row's and column's scale when contexts are made.</summary>
    public int ScaleBase { get; set; }

    /// <summary>The model of the elements.</summary>
    public byte Slot { get; set; }

    /// <summary>Bits of a context that tell the prediction's place between two numbers: 0 or 3.</summary>
    public int PlaceBits { get; set; }

    /// <summary>Scales of the columns, in half octaves; empty without <see cref="TensorFlags.ColumnScales"/>, and perhaps longer than there are columns.</summary>
    public int[] ColumnScales { get; set; } = [];

    /// <summary>Factor B, pairs of components interleaved: [component / 2][column][component mod 2]; perhaps longer.</summary>
    public short[] Right { get; set; } = [];

    /// <summary>Expected size of each component's factors, in half octaves.</summary>
    public byte[] ComponentScales { get; set; } = [];

    public bool HasOld => (Flags & TensorFlags.Old) != 0;
    public bool IsArithmetic => (Flags & TensorFlags.Arithmetic) != 0;
    public bool IsTransposed => (Flags & TensorFlags.Transposed) != 0;

    /// <summary>Elements of every frame but the last.</summary>
    public int ElementsPerFrame => Math.Max(1, FrameElements / Columns) * Columns;

    public long Frames => (Elements + ElementsPerFrame - 1) / ElementsPerFrame;

    public long NewBytes => Technique == Technique.Strided ? Elements : Lattice.BytesOf(Elements);

    public long OldBytes => !HasOld ? 0 : Technique == Technique.Strided ? Elements : OldLattice.BytesOf(Elements);

    public long Rows => (Elements + Columns - 1) / Columns;

    /// <summary>As an explanation shows it: technique, what helps it, kind.</summary>
    public override string ToString()
    {
        var text = Technique switch
        {
            Technique.FloatDifference or Technique.Integer when HasOld => "difference",
            Technique.FloatFields when HasOld => "fields beside old",
            Technique.FloatFields or Technique.Integer => "alone",
            _ => HasOld ? "byte differences" : "bytes by place",
        };
        text += (Flags & TensorFlags.Threshold) != 0 ? ", pruned" : "";
        text += IsTransposed ? ", transposed" : "";
        text += IsArithmetic && OldLattice.Kind != Lattice.Kind ? $", cast from {OldLattice.Kind}" : "";
        text += Gain != 1 ? $", times {Gain}" : "";
        text += Rank != 0 ? $", rank {Rank}" : "";
        return $"{text}, {(Technique == Technique.Strided ? $"records of {Columns}" : Lattice.Kind)}";
    }

    public void WriteTo(RecordWriter record, ReadOnlySpan<byte> sideWords, ReadOnlySpan<byte> sideRaw)
    {
        record.Byte((byte)Technique);
        record.Byte((byte)Lattice.Kind);
        record.Byte((byte)Flags);
        var name = Encoding.UTF8.GetBytes(Name).AsSpan();
        name = name[..Math.Min(name.Length, MostNameBytes)];
        record.Byte((byte)name.Length);
        record.Bytes(name);
        record.Byte(Slot);
        record.Byte((byte)PlaceBits);
        record.Number(Elements);
        record.Number(Columns);
        record.Signed(ScaleBase);
        if (HasOld)
        {
            record.Number(OldOffset);
            record.Byte((byte)OldLattice.Kind);
        }
        if ((Flags & TensorFlags.Threshold) != 0)
            record.UInt32(Threshold);
        if (IsArithmetic)
        {
            record.Single(Gain);
            record.Byte((byte)Rank);
            if (Rank != 0)
            {
                record.Single(Step);
                record.Bytes(ComponentScales);
            }
        }
        record.Number(sideWords.Length);
        record.Bytes(sideWords);
        record.Bytes(sideRaw);
    }

    /// <summary>Column scales and factor B, which the record carries entropy-coded.</summary>
    /// <param name="side">Where they are collected.</param>
    /// <param name="bScales">Per column, in half octaves, what the column's factors are larger than their component's expected size.</param>
    public void WriteSide(SideWriter side, ReadOnlySpan<short> bScales)
    {
        foreach (var scale in ColumnScales)
            side.Signed(SideModels.Slot, SideModels.ColumnScale, scale);
        if (Rank == 0)
            return;
        for (var column = 0; column < Columns; column++)
        {
            side.Signed(SideModels.Slot, SideModels.FactorColumnScale, bScales[column]);
            for (var component = 0; component < Rank; component++)
                side.Signed(SideModels.FactorSlot, SideModels.FactorContext(ComponentScales[component], bScales[column]), Right[RightIndex(component, column)]);
        }
    }

    public int RightIndex(int component, int column) => (component >> 1) * 2 * Columns + 2 * column + (component & 1);

    public static TensorRecord Read(RecordReader record, ReadOnlySpan<SymbolModel?> models, long oldLength, long newLeft, TensorMemory memory)
    {
        var technique = (Technique)record.Byte();
        if (technique is < Technique.FloatDifference or > Technique.Strided)
            throw record.Wrong($"{(byte)technique} is no technique; a newer version of this program may know it.");
        var lattice = ReadLattice(ref record);
        var flags = (TensorFlags)record.Byte();
        var name = Encoding.UTF8.GetString(record.Bytes(record.Byte()));
        var slot = record.Byte();
        var placeBits = record.Byte();
        var elements = record.Number(long.MaxValue / 8);
        var columns = (int)record.Number(FrameElements);
        var tensor = new TensorRecord
        {
            Name = name,
            Technique = technique,
            Lattice = lattice,
            Flags = flags,
            Elements = elements,
            Columns = columns,
            Slot = slot,
            PlaceBits = placeBits,
            ScaleBase = record.Signed(1 << 12),
        };
        if (tensor.HasOld)
        {
            tensor.OldOffset = record.Number(oldLength);
            tensor.OldLattice = ReadLattice(ref record);
        }
        if ((flags & TensorFlags.Threshold) != 0)
            tensor.Threshold = record.UInt32();
        if (tensor.IsArithmetic)
        {
            tensor.Gain = record.Single();
            tensor.Rank = record.Byte();
            if (tensor.Rank is > 0 and <= MostRank)
            {
                tensor.Step = record.Single();
                tensor.ComponentScales = record.Bytes(tensor.Rank).ToArray();
            }
        }
        if (tensor.Problem(models, oldLength, newLeft) is { } problem)
            throw record.Wrong(problem);

        var words = record.Bytes((int)record.Number(record.Left));
        var side = new SideReader(words, record.Bytes(record.Left));
        if (!tensor.ReadSide(ref side, models, memory))
            throw record.Wrong("the scales or factors of a tensor do not decode; fetch the patch again.");
        return tensor;
    }

    static Lattice ReadLattice(ref RecordReader record)
    {
        var kind = record.Byte();
        return Lattice.TryGet((LatticeKind)kind, out var lattice) ? lattice : throw record.Wrong($"{kind} is no kind of elements; a newer version of this program may know it.");
    }

    string? Problem(ReadOnlySpan<SymbolModel?> models, long oldLength, long newLeft)
    {
        if (Flags >= (TensorFlags)32)
            return $"flags {(byte)Flags} are unknown; a newer version of this program may know them.";
        if (Columns == 0 || Elements == 0)
            return "a tensor has no columns or no elements.";
        var units = Technique == Technique.Strided ? 1 : Lattice.UnitElements;
        if (Elements % units != 0 || Columns % units != 0)
            return $"{Elements} elements in {Columns} columns do not fill units of {units}.";
        if (NewBytes > newLeft)
            return $"a tensor of {NewBytes} bytes does not fit in the {newLeft} that are left of the new file.";
        if (HasOld && OldBytes > oldLength - OldOffset)
            return $"an old tensor at byte {OldOffset} with {OldBytes} bytes is not inside the old files of {oldLength}.";
        if (Slot >= models.Length || models[Slot] is null || models[SideModels.Slot] is null)
            return $"model {Slot} was not sent.";
        if (Technique is Technique.FloatDifference or Technique.FloatFields != Lattice.IsFloat && Technique != Technique.Strided)
            return $"technique {Technique} does not code {Lattice.Kind}.";
        if (Technique == Technique.FloatDifference && !HasOld)
            return "a difference needs an old tensor.";
        if (HasOld && Technique != Technique.Strided && OldLattice.Kind != Lattice.Kind
            && !(IsArithmetic && OldLattice.HasArithmetic && Technique == Technique.FloatDifference))
            return $"{OldLattice.Kind} cannot become {Lattice.Kind}.";
        if (PlaceBits is not (0 or 3))
            return $"{PlaceBits} place bits; 0 or 3 are allowed.";
        if (IsArithmetic && !(HasOld && (Lattice.HasArithmetic && Technique == Technique.FloatDifference || Technique == Technique.Integer)))
            return $"there is no arithmetic for {Technique} of {Lattice.Kind}.";
        if (!IsArithmetic && PlaceBits != 0 || PlaceBits != 0 && Lattice.Bits == 32)
            return "place bits go with arithmetic on elements of at most 16 bits.";
        if (!float.IsFinite(Gain) || !float.IsFinite(Step))
            return "gain and step are finite numbers.";
        if (Rank > MostRank || Rank % 2 != 0 || Rank != 0 && (Columns < LeastRankColumns || models[SideModels.FactorSlot] is null))
            return $"rank {Rank} with {Columns} columns; even ranks up to {MostRank} with at least {LeastRankColumns} columns are allowed.";
        if (IsTransposed && (Technique == Technique.Strided || !HasOld || OldLattice.UnitElements != 1 || Elements % Columns != 0))
            return "only whole matrices of single elements can be transposed.";
        if ((Flags & TensorFlags.Threshold) != 0 && !(Technique == Technique.FloatDifference && OldLattice.Kind == Lattice.Kind))
            return "a threshold goes with a difference of floats of one kind.";
        return null;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    bool ReadSide(ref SideReader side, ReadOnlySpan<SymbolModel?> models, TensorMemory memory)
    {
        var model = models[SideModels.Slot]!;
        if ((Flags & TensorFlags.ColumnScales) != 0)
        {
            ColumnScales = memory.ColumnScalesFor(Columns);
            for (var column = 0; column < Columns; column++)
                ColumnScales[column] = SideModels.Clamp(side.Signed(model, SideModels.ColumnScale));
        }
        if (Rank != 0)
        {
            Right = memory.RightFor(Columns * Rank);
            Span<short> factors = stackalloc short[MostRank];
            for (var column = 0; column < Columns; column++)
            {
                FrameSide.ReadFactors(ref side, models, ComponentScales, SideModels.FactorColumnScale, factors[..Rank]);
                for (var component = 0; component < Rank; component++)
                    Right[RightIndex(component, column)] = factors[component];
            }
        }
        return side.Ended;
    }
}
