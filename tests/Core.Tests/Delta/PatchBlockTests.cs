using System.Text;
using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta;

/// <summary>Tensors of GGUF's blocks with scales, minima and uneven values.</summary>
public sealed class PatchBlockTests
{
    const int Rows = 24;
    const int Columns = 256;

    public static TheoryData<ElementType> Types => [.. SyntheticBlocks.Types];

    /// <summary>Sizes of small tensors; the fewer bits a code has, the larger is the part of what a patch says once.</summary>
    [Theory]
    [InlineData(ElementType.Q4_1, 75)]
    [InlineData(ElementType.Q5_0, 75)]
    [InlineData(ElementType.Q5_1, 75)]
    [InlineData(ElementType.Q2_K, 85)]
    [InlineData(ElementType.Q3_K, 75)]
    [InlineData(ElementType.Q4_K, 75)]
    [InlineData(ElementType.Q5_K, 75)]
    [InlineData(ElementType.Q6_K, 75)]
    [InlineData(ElementType.IQ4_NL, 75)]
    [InlineData(ElementType.IQ4_XS, 75)]
    [InlineData(ElementType.MXFP4, 75)]
    public void A_fine_tuned_tensor_is_coded_by_its_codes_in_much_less_than_its_bytes_take(ElementType type, int mostPercent)
    {
        var random = new Random(1);
        var values = SyntheticTensor.Normal(random, 2 * Rows, Columns, 0.02);
        var noise = type == ElementType.Q2_K ? 4e-3 : 5e-4; // a change that moves some of so few values
        var (old, made) = Pair(type, values, SyntheticTensor.Tuned(random, values, 2 * Rows, Columns, 0, 0, noise));
        var patch = AssertRebuilt(old, made);
        var part = Assert.Single(patch.Parts, part => part.Elements > 0);
        Assert.StartsWith("difference", part.Technique, StringComparison.Ordinal);
        Assert.EndsWith(type.ToString(), part.Technique, StringComparison.Ordinal);
        using var bytes = new MemoryStream();
        PatchEncoder.Create([WithoutTensors(old)], WithoutTensors(made), bytes);
        Assert.InRange(patch.PatchLength, 0, bytes.Length * mostPercent / 100);
    }

    [Theory, MemberData(nameof(Types))]
    public void A_retrained_tensor_comes_back_byte_by_byte(ElementType type)
    {
        var random = new Random(2);
        var (old, made) = Pair(type, SyntheticTensor.Normal(random, Rows, Columns, 0.02), SyntheticTensor.Normal(random, Rows, Columns, 0.02));
        AssertRebuilt(old, made);
        using var alone = new MemoryStream();
        PatchEncoder.Create([], made.Source, alone);
        Assert.Equal(made.Bytes, PatchTrial.Apply(alone.ToArray()));
        Assert.InRange(alone.Length, 0, made.Bytes.Length * 1.01 + 300);
    }

    [Theory, MemberData(nameof(Types))]
    public void A_tensor_of_random_bits_comes_back_byte_by_byte(ElementType type)
    {
        var random = new Random(3);
        var (old, made) = Pair(type, new float[Rows * Columns], new float[Rows * Columns]);
        var (tensorsOld, tensorsNew) = (old.Source.Tensors.Tensors[0], made.Source.Tensors.Tensors[0]);
        random.NextBytes(old.Bytes.AsSpan((int)tensorsOld.Offset, (int)tensorsOld.Length)); // infinities, NaN, zero scales and second zeros among them
        random.NextBytes(made.Bytes.AsSpan((int)tensorsNew.Offset, (int)tensorsNew.Length));
        AssertRebuilt(old, made);

        // The same bits but for a few: steps that mean nothing do no harm to what stays.
        old.Bytes.AsSpan((int)tensorsOld.Offset, (int)tensorsOld.Length).CopyTo(made.Bytes.AsSpan((int)tensorsNew.Offset));
        for (var i = 0; i < 9; i++)
            made.Bytes[tensorsNew.Offset + random.Next((int)tensorsNew.Length)] ^= 4;
        Assert.InRange(AssertRebuilt(old, made).PatchLength, 0, 700);
    }

    [Theory, MemberData(nameof(Types))]
    public void The_portable_path_gives_the_same_bytes_as_vectors(ElementType type)
    {
        var random = new Random(4);
        var values = SyntheticTensor.Normal(random, 80, Columns, 0.02);
        var (old, made) = Pair(type, values, SyntheticTensor.Tuned(random, values, 80, Columns, 2, 4e-3, 1e-4));
        var patch = PatchTrial.Make(old, made).Patch;
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, new PatchApplication { Vectors = true }, old.Bytes));
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, new PatchApplication { Vectors = false }, old.Bytes));
    }

    [Theory]
    [InlineData(ElementType.Q4_K)]
    [InlineData(ElementType.Q6_K)]
    [InlineData(ElementType.IQ4_XS)]
    public void Rows_that_were_added_and_other_names_do_not_disturb(ElementType type)
    {
        var random = new Random(5);
        var values = SyntheticTensor.Normal(random, 80, Columns, 0.02);
        var tuned = SyntheticTensor.Tuned(random, values, 80, Columns, 0, 0, 3e-4);
        var old = new SyntheticFile("{}", SyntheticTensor.Of("t", type, [80, Columns], values), SyntheticTensor.Of("u", type, [64, Columns], tuned[..(64 * Columns)]));
        var made = new SyntheticFile(
            "{}", SyntheticTensor.Of("v", type, [64, Columns], values[..(64 * Columns)]),
            SyntheticTensor.Of("t", type, [84, Columns], [.. tuned, .. SyntheticTensor.Normal(random, 4, Columns, 0.02)]));
        var patch = AssertRebuilt(old, made);
        Assert.InRange(patch.Percent, 0, 25);
    }

    [Theory]
    [InlineData(ElementType.Q5_K)]
    [InlineData(ElementType.Q6_K)]
    public void A_change_of_low_rank_is_found(ElementType type)
    {
        var random = new Random(6);
        var values = SyntheticTensor.Normal(random, 512, Columns, 0.02);
        var (old, made) = Pair(type, values, SyntheticTensor.Tuned(random, values, 512, Columns, 4, 8e-3, 0));
        Assert.Contains(AssertRebuilt(old, made).Parts, part => part.Technique.Contains("rank", StringComparison.Ordinal));
    }

    [Fact]
    public void One_block_of_the_largest_step_does_not_hide_a_change_of_low_rank()
    {
        var random = new Random(6);
        var values = SyntheticTensor.Normal(random, 512, Columns, 0.02);
        var (old, made) = Pair(ElementType.MXFP4, values, SyntheticTensor.Tuned(random, values, 512, Columns, 4, 8e-3, 0));
        foreach (var file in (SyntheticFile[])[old, made])
            file.Bytes[file.Source.Tensors.Tensors[0].Offset] = 255; // values of 2^130, which binary32 does not hold
        Assert.Contains(AssertRebuilt(old, made).Parts, part => part.Technique.Contains("rank", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(ElementType.Q4_K, ElementType.Q6_K)]
    [InlineData(ElementType.Q8_0, ElementType.Q4_K)]
    [InlineData(ElementType.Q5_0, ElementType.IQ4_XS)]
    public void A_tensor_of_another_type_is_coded_alone(ElementType from, ElementType to)
    {
        var random = new Random(7);
        var values = SyntheticTensor.Normal(random, Rows, Columns, 0.02);
        var patch = AssertRebuilt(
            new("{}", SyntheticTensor.Of("t", from, [Rows, Columns], values)), new SyntheticFile("{}", SyntheticTensor.Of("t", to, [Rows, Columns], values)));
        Assert.DoesNotContain(patch.Parts, part => part.Technique.Contains("difference", StringComparison.Ordinal));
    }

    /// <summary>What happens to the bytes of blocks when they are no codes at all: text in a tensor that says it is Q4_K.</summary>
    [Fact]
    public void Bytes_that_repeat_are_coded_by_the_byte()
    {
        var text = string.Concat(Enumerable.Range(0, 400).Select(i => $"line {i % 7} of a text that is no tensor at all, "));
        var tensor = new SyntheticTensor("t", ElementType.Q4_K, [96, 256], Encoding.ASCII.GetBytes(text)[..(96 * 144)]);
        Assert.InRange(AssertRebuilt(new(""), new("{}", tensor)).PatchLength, 0, 1500);
    }

    [Fact]
    public void Frames_of_blocks_decoded_by_several_workers_give_the_same_file()
    {
        var (old, made) = PatchTrial.BlockPair(8, rows: 600);
        var patch = PatchTrial.Make(old, made, PatchLevel.Fast).Patch;
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, new PatchApplication { Workers = 3, Run = (count, body) => Parallel.For(0, count, body) }, old.Bytes));
    }

    static PatchSource WithoutTensors(SyntheticFile file) => new(file.Source.Bytes, new(ModelFormat.Safetensors, file.Bytes.Length, [], []));

    static (SyntheticFile Old, SyntheticFile New) Pair(ElementType type, float[] old, float[] made) => (
        new("{\"v\":1}", SyntheticTensor.Of("t", type, [old.Length / Columns, Columns], old)), new("{\"v\":2}", SyntheticTensor.Of("t", type, [made.Length / Columns, Columns], made)));

    static PatchExplanation AssertRebuilt(SyntheticFile old, SyntheticFile made)
    {
        var (patch, explanation) = PatchTrial.Make(old, made);
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch, old.Bytes));
        Assert.InRange(patch.Length, 0, made.Bytes.Length * 1.01 + 300);
        return explanation;
    }
}
