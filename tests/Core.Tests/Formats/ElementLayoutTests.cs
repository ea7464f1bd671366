using Coppice.Formats;

namespace Coppice.Core.Tests.Formats;

public sealed class ElementLayoutTests
{
    /// <summary>ggml_blck_size and ggml_type_size as the native library of ggml 0.5.0 answers them.</summary>
    public static TheoryData<ElementType, int, int> Ggml => new()
    {
        { ElementType.Float32, 1, 4 }, { ElementType.Float16, 1, 2 }, { ElementType.BFloat16, 1, 2 }, { ElementType.Float64, 1, 8 },
        { ElementType.Int8, 1, 1 }, { ElementType.Int16, 1, 2 }, { ElementType.Int32, 1, 4 }, { ElementType.Int64, 1, 8 },
        { ElementType.Q4_0, 32, 18 }, { ElementType.Q4_1, 32, 20 }, { ElementType.Q5_0, 32, 22 }, { ElementType.Q5_1, 32, 24 },
        { ElementType.Q8_0, 32, 34 }, { ElementType.Q8_1, 32, 36 }, { ElementType.Q2_K, 256, 84 }, { ElementType.Q3_K, 256, 110 },
        { ElementType.Q4_K, 256, 144 }, { ElementType.Q5_K, 256, 176 }, { ElementType.Q6_K, 256, 210 }, { ElementType.Q8_K, 256, 292 },
        { ElementType.IQ2_XXS, 256, 66 }, { ElementType.IQ2_XS, 256, 74 }, { ElementType.IQ3_XXS, 256, 98 }, { ElementType.IQ1_S, 256, 50 },
        { ElementType.IQ4_NL, 32, 18 }, { ElementType.IQ3_S, 256, 110 }, { ElementType.IQ2_S, 256, 82 }, { ElementType.IQ4_XS, 256, 136 },
        { ElementType.IQ1_M, 256, 56 }, { ElementType.TQ1_0, 256, 54 }, { ElementType.TQ2_0, 256, 66 }, { ElementType.MXFP4, 32, 17 },
        { ElementType.NVFP4, 64, 36 }, { ElementType.Q1_0, 128, 18 }, { ElementType.Q2_0, 64, 18 },
    };

    [Theory, MemberData(nameof(Ggml))]
    public void Blocks_have_the_sizes_of_ggml(ElementType type, int elements, int bytes)
    {
        Assert.Equal(new BlockLayout(elements, bytes), type.Block());
        Assert.True(type.TryLength([3, elements * 2], out var length));
        Assert.Equal(6L * bytes, length);
    }

    [Fact]
    public void Every_type_but_strings_and_unknown_ones_has_a_block()
    {
        foreach (var type in Enum.GetValues<ElementType>())
            Assert.Equal(type is ElementType.Unknown or ElementType.String, type.Block().Elements == 0);
    }

    [Fact]
    public void Nibbles_fill_their_last_byte()
    {
        Assert.True(ElementType.Int4.TryLength([3, 3], out var length));
        Assert.Equal(5, length);
    }

    [Fact]
    public void A_row_that_does_not_fill_blocks_has_no_length() => Assert.False(ElementType.Q4_0.TryLength([32, 33], out _));

    [Fact]
    public void A_scalar_is_one_element()
    {
        Assert.True(ElementType.Float64.TryLength([], out var length));
        Assert.Equal(8, length);
    }

    [Theory]
    [InlineData(1L << 62, 2L)]
    [InlineData(long.MaxValue, long.MaxValue)]
    [InlineData(-1L, 4L)]
    public void Shapes_beyond_63_bits_or_below_zero_are_refused(long rows, long columns) =>
        Assert.False(ElementType.Int8.TryLength([rows, columns], out _));

    [Fact]
    public void Bytes_beyond_63_bits_are_refused() => Assert.False(ElementType.Float64.TryLength([1L << 61], out _));
}
