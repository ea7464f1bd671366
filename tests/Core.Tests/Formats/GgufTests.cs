using Coppice.Formats;

namespace Coppice.Core.Tests.Formats;

public sealed class GgufTests
{
    static MalformedFileException Refused(byte[] bytes) => Assert.Throws<MalformedFileException>(() => SmallModels.Read(bytes));

    [Fact]
    public void Tensors_lie_after_the_aligned_header_with_turned_dimensions()
    {
        var bytes = SmallModels.Gguf();
        var model = SmallModels.Read(bytes);

        Assert.Equal(
            [$"blocks Q4_0 [2, 64] {bytes.Length - 108}+72 ", $"plain Float32 [3] {bytes.Length - 12}+12 "], model.Tensors.Select(MapChecks.Line));
        Assert.Equal("llama", model.Needs.Architecture);
        Assert.Contains(new("list", "[0, 0, 0, 0, 0, 0, 0, 0, … 20 items]"), model.Map.Metadata);
        Assert.Contains(new("texts", """["a", "b"]"""), model.Map.Metadata);
    }

    [Fact]
    public void Version_2_is_read() => Assert.Empty(SmallModels.Read(new GgufWriter { Version = 2 }.With()).Tensors);

    [Theory]
    [InlineData(1u, "is not 2 or 3")]
    [InlineData(0x0300_0000u, "big-endian")]
    public void Other_versions_are_refused_with_what_to_do(uint version, string says) =>
        Assert.Contains(says, Refused(new GgufWriter { Version = version }.With()).Message, StringComparison.Ordinal);

    [Fact]
    public void The_file_chooses_its_alignment()
    {
        var bytes = new GgufWriter { Alignment = 128 }.Pair("general.alignment", 4, BitConverter.GetBytes(128u)).Tensor("w", 0, 128, 1).With(new byte[132]);

        Assert.Equal(bytes.Length - 4, Assert.Single(SmallModels.Read(bytes).Tensors).Offset);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(24u)]
    [InlineData(uint.MaxValue)]
    public void An_alignment_that_is_no_power_of_two_is_refused(uint alignment) =>
        Refused(new GgufWriter().Pair("general.alignment", 4, BitConverter.GetBytes(alignment)).With());

    [Theory]
    [InlineData(1000UL)]
    [InlineData(1UL << 62)]
    [InlineData(ulong.MaxValue)]
    public void Counts_that_lie_are_refused(ulong count)
    {
        Refused(new GgufWriter { SayTensors = count }.With());
        Refused(new GgufWriter { SayPairs = count }.With());
        Refused(new GgufWriter().Pair("list", 9, [.. BitConverter.GetBytes(10u), .. BitConverter.GetBytes(count)]).With());
    }

    [Fact]
    public void A_tensor_past_the_end_is_refused() => Assert.Contains("fetch it again", Refused(new GgufWriter().Tensor("w", 0, 0, 9).With(new byte[32])).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(4ul)]
    [InlineData(ulong.MaxValue)]
    [InlineData((1UL << 63) - 32)]
    public void Offsets_that_are_not_aligned_or_not_there_are_refused(ulong offset) => Refused(new GgufWriter().Tensor("w", 0, offset, 1).With(new byte[64]));

    [Fact]
    public void Dimensions_whose_product_overflows_are_refused() => Refused(new GgufWriter().Tensor("w", 0, 0, 1UL << 40, 1UL << 40).With(new byte[64]));

    [Fact]
    public void Types_that_ggml_removed_are_refused() => Refused(new GgufWriter().Tensor("w", 4, 0, 32).With(new byte[64]));

    [Fact]
    public void Overlapping_tensors_are_refused() => Assert.Contains("overlaps", Refused(new GgufWriter().Tensor("a", 0, 0, 16).Tensor("b", 0, 32, 8).With(new byte[64])).Message, StringComparison.Ordinal);

    [Fact]
    public void Tensors_that_share_the_very_same_bytes_are_kept() =>
        Assert.Equal(["a", "b"], SmallModels.Read(new GgufWriter().Tensor("a", 0, 0, 16).Tensor("b", 0, 0, 16).With(new byte[64])).Tensors.Select(tensor => tensor.Name));

    [Fact]
    public void A_key_that_stands_twice_is_refused() => Refused(new GgufWriter().Pair("k", "1").Pair("k", "2").With());

    [Fact]
    public void Arrays_nested_without_end_are_refused()
    {
        byte[] value = [];
        for (var i = 0; i < 100; i++)
            value = [.. BitConverter.GetBytes(9u), .. BitConverter.GetBytes(1ul), .. value];

        Assert.Contains("deep in one another", Refused(new GgufWriter().Pair("deep", 9, [.. value, .. new byte[64]]).With()).Message, StringComparison.Ordinal);
    }
}
