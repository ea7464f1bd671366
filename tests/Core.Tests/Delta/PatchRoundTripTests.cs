using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta;

public sealed class PatchRoundTripTests
{
    const int Rows = 96;
    const int Columns = 128;

    public static TheoryData<ElementType> Types =>
    [
        ElementType.Float32, ElementType.Float16, ElementType.BFloat16, ElementType.Float8E4M3FN, ElementType.Float8E5M2, ElementType.Float64,
        ElementType.Int8, ElementType.UInt8, ElementType.Int4, ElementType.UInt4, ElementType.Q8_0, ElementType.Q4_0,
    ];

    [Theory, MemberData(nameof(Types))]
    public void A_fine_tuned_tensor_comes_back_byte_by_byte(ElementType type)
    {
        var random = new Random(1);
        var values = SyntheticTensor.Normal(random, Rows, Columns, 0.02);
        AssertRebuilt(type, values, SyntheticTensor.Tuned(random, values, Rows, Columns, 4, 2e-3, 1e-4));
    }

    [Theory, MemberData(nameof(Types))]
    public void A_retrained_tensor_comes_back_byte_by_byte(ElementType type)
    {
        var random = new Random(2);
        AssertRebuilt(type, SyntheticTensor.Normal(random, Rows, Columns, 0.02), SyntheticTensor.Normal(random, Rows, Columns, 0.02));
    }

    [Theory, MemberData(nameof(Types))]
    public void A_tensor_of_random_bits_comes_back_byte_by_byte(ElementType type)
    {
        var random = new Random(3);
        var old = SyntheticTensor.Of("t", type, [Rows, Columns], new float[Rows * Columns]);
        var made = old with { Bytes = new byte[old.Bytes.Length] };
        random.NextBytes(old.Bytes); // infinities, NaN and subnormals among them
        random.NextBytes(made.Bytes);
        AssertRebuilt(new("{}", old), new("{}", made));
    }

    [Theory, MemberData(nameof(Types))]
    public void Noise_in_the_old_bits_does_no_harm_to_a_copy_with_few_changes(ElementType type)
    {
        var random = new Random(4);
        var old = SyntheticTensor.Of("t", type, [Rows, Columns], new float[Rows * Columns]);
        random.NextBytes(old.Bytes);
        var made = old with { Bytes = (byte[])old.Bytes.Clone() };
        for (var i = 0; i < 9; i++)
            made.Bytes[random.Next(made.Bytes.Length)] ^= 4;
        var patch = AssertRebuilt(new("{}", old), new("{}", made));
        Assert.True(patch.PatchLength < 700, $"nine changed bytes took {patch.PatchLength}");
    }

    [Theory]
    [InlineData(ElementType.BFloat16, 16)]
    [InlineData(ElementType.Float16, 15)]
    [InlineData(ElementType.Int8, 30)]
    [InlineData(ElementType.Q8_0, 40)]
    public void A_change_of_low_rank_is_found(ElementType type, double mostPercent)
    {
        var random = new Random(5);
        var values = SyntheticTensor.Normal(random, 512, 256, 0.02);
        var patch = AssertRebuilt(
            new("{}", SyntheticTensor.Of("t", type, [512, 256], values)),
            new("{}", SyntheticTensor.Of("t", type, [512, 256], SyntheticTensor.Tuned(random, values, 512, 256, 4, 4e-3, 0))));
        Assert.Contains(patch.Parts, part => part.Technique.Contains("rank", StringComparison.Ordinal));
        Assert.InRange(patch.Percent, 0, mostPercent);
    }

    [Fact]
    public void Pruned_weights_cost_almost_nothing()
    {
        var random = new Random(6);
        var values = SyntheticTensor.Normal(random, 512, 256, 0.02);
        var pruned = Array.ConvertAll(values, value => Math.Abs(value) < 0.01f ? 0 : value);
        var patch = AssertRebuilt(
            new("{}", SyntheticTensor.Of("t", ElementType.Float16, [512, 256], values)),
            new("{}", SyntheticTensor.Of("t", ElementType.Float16, [512, 256], pruned)));
        Assert.Contains(patch.Parts, part => part.Technique.Contains("pruned", StringComparison.Ordinal));
        Assert.InRange(patch.PatchLength, 0, 700);
    }

    [Fact]
    public void Scaled_weights_cost_almost_nothing()
    {
        var random = new Random(7);
        var values = SyntheticTensor.Normal(random, 512, 256, 0.02);
        var patch = AssertRebuilt(
            new("{}", SyntheticTensor.Of("t", ElementType.Float32, [512, 256], values)),
            new("{}", SyntheticTensor.Of("t", ElementType.Float32, [512, 256], Array.ConvertAll(values, value => value * 0.9f))));
        Assert.Contains(patch.Parts, part => part.Technique.Contains("times 0.9", StringComparison.Ordinal));
        Assert.InRange(patch.PatchLength, 0, 1000);
    }

    [Theory]
    [InlineData(ElementType.Float32, ElementType.BFloat16)]
    [InlineData(ElementType.Float32, ElementType.Float16)]
    [InlineData(ElementType.BFloat16, ElementType.Float32)]
    [InlineData(ElementType.Float16, ElementType.Float32)]
    public void A_cast_costs_almost_nothing(ElementType from, ElementType to)
    {
        var random = new Random(8);
        var values = SyntheticTensor.Normal(random, 512, 256, 1);
        if (to == ElementType.Float32) // what was stored is what is cast
            values = Array.ConvertAll(values, value => from == ElementType.Float16
                ? (float)(Half)value
                : BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(value) & 0xFFFF0000));
        var patch = AssertRebuilt(
            new("{}", SyntheticTensor.Of("t", from, [512, 256], values)), new("{}", SyntheticTensor.Of("t", to, [512, 256], values)));
        Assert.InRange(patch.PatchLength, 0, 1000);
    }

    [Fact]
    public void Renamed_reordered_and_transposed_tensors_are_found()
    {
        var random = new Random(9);
        var values = Enumerable.Range(0, 3).Select(_ => SyntheticTensor.Normal(random, 128, 64, 0.02)).ToArray();
        var tuned = values.Select(v => SyntheticTensor.Tuned(random, v, 128, 64, 0, 0, 1e-5)).ToArray();
        var turned = new float[128 * 64];
        for (var i = 0; i < turned.Length; i++)
            turned[i % 64 * 128 + i / 64] = tuned[2][i];
        var patch = AssertRebuilt(
            new("{}", values.Select((v, i) => SyntheticTensor.Of($"old.{i}", ElementType.Float16, [128, 64], v))),
            new(
                "{}", SyntheticTensor.Of("c", ElementType.Float16, [64, 128], turned), SyntheticTensor.Of("b", ElementType.Float16, [128, 64], tuned[1]),
                SyntheticTensor.Of("a", ElementType.Float16, [128, 64], tuned[0])));
        Assert.Contains(patch.Parts, part => part.Technique.Contains("transposed", StringComparison.Ordinal));
        Assert.InRange(patch.Percent, 0, 25);
    }

    [Fact]
    public void Rows_that_were_added_do_not_disturb_those_before()
    {
        var random = new Random(10);
        var values = SyntheticTensor.Normal(random, 400, 64, 0.02);
        var tuned = SyntheticTensor.Tuned(random, values, 400, 64, 0, 0, 1e-5);
        var patch = AssertRebuilt(
            new("{}", SyntheticTensor.Of("t", ElementType.BFloat16, [400, 64], values)),
            new("{}", SyntheticTensor.Of("t", ElementType.BFloat16, [408, 64], [.. tuned, .. SyntheticTensor.Normal(random, 8, 64, 0.02)])));
        Assert.InRange(patch.Percent, 0, 20);
    }

    [Fact]
    public void Several_old_files_all_serve()
    {
        var random = new Random(11);
        var (a, b) = (SyntheticTensor.Normal(random, 128, 64, 0.02), SyntheticTensor.Normal(random, 128, 64, 0.02));
        var first = new SyntheticFile("{}", SyntheticTensor.Of("a", ElementType.Float16, [128, 64], a));
        var second = new SyntheticFile("{}", SyntheticTensor.Of("b", ElementType.Float16, [128, 64], b));
        var made = new SyntheticFile("{}", SyntheticTensor.Of("a", ElementType.Float16, [128, 64], a), SyntheticTensor.Of("b", ElementType.Float16, [128, 64], b));
        using var patch = new MemoryStream();
        PatchEncoder.Create([first.Source, second.Source], made.Source, patch);
        Assert.InRange(patch.Length, 0, 400);
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch.ToArray(), first.Bytes, second.Bytes));
    }

    [Fact]
    public void Empty_files_and_no_old_files_are_files_too()
    {
        var file = PatchTrial.SmallPair(1).New;
        foreach (var (olds, made) in (IEnumerable<(SyntheticFile[], SyntheticFile)>)[
            ([], file), ([new("")], file), ([file], new("")), ([new("")], new("")), ([], new(""))])
        {
            using var patch = new MemoryStream();
            PatchEncoder.Create([.. olds.Select(old => old.Source)], made.Source, patch);
            Assert.Equal(made.Bytes, PatchTrial.Apply(patch.ToArray(), olds.Select(old => old.Bytes)));
        }
    }

    [Theory]
    [InlineData(PatchLevel.Fast)]
    [InlineData(PatchLevel.Max)]
    public void Every_level_gives_the_same_file(PatchLevel level)
    {
        var (old, made) = PatchTrial.SmallPair(12);
        Assert.Equal(made.Bytes, PatchTrial.Apply(PatchTrial.Make(old, made, level).Patch, old.Bytes));
    }

    [Fact]
    public void Frames_decoded_by_several_workers_give_the_same_file()
    {
        var random = new Random(13);
        var values = SyntheticTensor.Normal(random, 1500, 256, 0.02);
        var old = new SyntheticFile("{}", SyntheticTensor.Of("t", ElementType.BFloat16, [1500, 256], values));
        var made = new SyntheticFile("{}", SyntheticTensor.Of("t", ElementType.BFloat16, [1500, 256], SyntheticTensor.Tuned(random, values, 1500, 256, 0, 0, 1e-4)));
        var patch = PatchTrial.Make(old, made).Patch;
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, new PatchApplication { Workers = 3, Run = (count, body) => Parallel.For(0, count, body) }, old.Bytes));
    }

    [Theory, MemberData(nameof(Types))]
    public void The_portable_path_gives_the_same_bytes_as_vectors(ElementType type)
    {
        var random = new Random(14);
        // Columns that fill no vector, and every kind of value.
        var values = SyntheticTensor.Normal(random, 200, 160, 0.02);
        var old = new SyntheticFile("{}", SyntheticTensor.Of("t", type, [200, 160], values), SyntheticTensor.Of("u", type, [64, 32], values[..2048]));
        var made = new SyntheticFile(
            "{}", SyntheticTensor.Of("t", type, [200, 160], SyntheticTensor.Tuned(random, values, 200, 160, 4, 2e-3, 1e-5)),
            SyntheticTensor.Of("u", type, [64, 32], SyntheticTensor.Tuned(random, values[..2048], 64, 32, 0, 0, 1e-3)));
        var patch = PatchTrial.Make(old, made).Patch;
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, new PatchApplication { Vectors = true }, old.Bytes));
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, new PatchApplication { Vectors = false }, old.Bytes));
    }

    /// <summary>Rows that hardly move and rows that leave every range, infinities, NaN, steps of 0 and codes beyond their ends among them.</summary>
    [Theory, MemberData(nameof(Types))]
    public void Differences_of_every_size_are_the_same_without_vectors(ElementType type)
    {
        var random = new Random(16);
        var (rows, columns) = (150, type is ElementType.Q8_0 or ElementType.Q4_0 ? 224 : 222);
        var values = SyntheticTensor.Normal(random, rows, columns, 0.02);
        var tuned = SyntheticTensor.Tuned(random, values, rows, columns, 2, 4e-3, 0);
        for (var i = 0; i < tuned.Length; i++)
            tuned[i] = tuned[i] * (0.7f + 0.004f * (i / columns)) + (float)(Math.Pow(10, -7 + 6.0 * (i / columns) / rows) * (random.NextDouble() - 0.5));
        var (old, made) = (new SyntheticFile("{}", SyntheticTensor.Of("t", type, [rows, columns], values)), new SyntheticFile("{}", SyntheticTensor.Of("t", type, [rows, columns], tuned)));
        foreach (var file in (SyntheticFile[])[old, made])
            for (var i = 0; i < 300; i++)
                file.Bytes[random.Next(2, file.Bytes.Length)] = (byte)random.Next(256);
        var patch = PatchTrial.Make(old, made).Patch;
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, new PatchApplication { Vectors = true }, old.Bytes));
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, new PatchApplication { Vectors = false }, old.Bytes));
    }

    [Fact]
    public void A_patch_explains_itself_as_its_maker_did()
    {
        var (old, made) = PatchTrial.SmallPair(15);
        var (patch, explanation) = PatchTrial.Make(old, made);
        var (header, read) = PatchInspector.Read(new MemoryStream(patch));
        Assert.Equal(made.Bytes.Length, header.NewLength);
        Assert.Equal(patch.Length, read.PatchLength);
        Assert.Equal(patch.Length, explanation.PatchLength);
        Assert.Equal(
            explanation.Parts.Where(part => part.Elements > 0).Select(part => (part.Name, part.Technique, part.PatchBytes)),
            read.Parts.Where(part => part.Elements > 0).Select(part => (part.Name, part.Technique, part.PatchBytes)));
    }

    static void AssertRebuilt(ElementType type, float[] old, float[] made) => AssertRebuilt(
        new("{\"v\":1}", SyntheticTensor.Of("t", type, [Rows, Columns], old)), new SyntheticFile("{\"v\":2}", SyntheticTensor.Of("t", type, [Rows, Columns], made)));

    static PatchExplanation AssertRebuilt(SyntheticFile old, SyntheticFile made)
    {
        var (patch, explanation) = PatchTrial.Make(old, made);
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, old.Bytes));
        Assert.InRange(patch.Length, 0, made.Bytes.Length * 1.01 + 300);
        return explanation;
    }
}
