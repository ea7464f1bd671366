using Coppice.Formats;
using static Coppice.Core.Tests.Formats.SmallModels;

namespace Coppice.Core.Tests.Formats;

public sealed class SafetensorsTests
{
    static MalformedFileException Refused(string header, int data) => Assert.Throws<MalformedFileException>(() => SmallModels.Read(SafetensorsOf(header, data)));

    [Fact]
    public void Tensors_and_metadata_are_read()
    {
        var bytes = Safetensors();
        var model = SmallModels.Read(bytes);

        Assert.Equal([$"a Float32 [2, 2] {bytes.Length - 22}+16 ", $"b BFloat16 [3] {bytes.Length - 6}+6 "], model.Tensors.Select(MapChecks.Line));
        Assert.Equal([new("format", "pt")], model.Map.Metadata.ToArray());
    }

    [Theory]
    [InlineData("F64", ElementType.Float64, 8)]
    [InlineData("F16", ElementType.Float16, 2)]
    [InlineData("F8_E4M3", ElementType.Float8E4M3FN, 1)]
    [InlineData("F8_E5M2", ElementType.Float8E5M2, 1)]
    [InlineData("F8_E8M0", ElementType.Float8E8M0, 1)]
    [InlineData("I64", ElementType.Int64, 8)]
    [InlineData("U16", ElementType.UInt16, 2)]
    [InlineData("BOOL", ElementType.Bool, 1)]
    [InlineData("C64", ElementType.Complex64, 8)]
    public void Every_type_has_its_size(string dtype, ElementType type, int size)
    {
        var model = SmallModels.Read(SafetensorsOf($$$"""{"w":{"dtype":"{{{dtype}}}","shape":[3],"data_offsets":[0,{{{3 * size}}}]}}""", 3 * size));

        Assert.Equal((type, 3L * size), (model.Tensors[0].Type, model.Tensors[0].Length));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "stands twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", 12, "belong to no tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "overlaps")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "shares its bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 9, "at the end belong to no tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 3, "cut short")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "needs 8 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "no whole number")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1e99],"data_offsets":[0,4]}}""", 4, "no whole number")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}""", 4, "no size that can be stored")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, "data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "needs all three")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "stands twice")]
    [InlineData("""{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}}""", 4, "not known")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}""", 4, "the header")]
    [InlineData("""{"a":[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]}""", 0, "belongs")]
    [InlineData("""{} {}""", 0, "not valid JSON")]
    public void What_the_format_forbids_is_refused(string header, int data, string says) => Assert.Contains(says, Refused(header, data).Message, StringComparison.Ordinal);

    [Fact]
    public void White_space_may_pad_the_header() => Assert.Empty(SmallModels.Read(SafetensorsOf("{}      ", 0)).Tensors);

    [Fact]
    public void A_header_longer_than_the_file_is_refused()
    {
        var bytes = Safetensors();
        BitConverter.GetBytes(1_000_000L).CopyTo(bytes, 0);

        Assert.Throws<MalformedFileException>(() => SmallModels.Read(bytes));
    }

    [Fact]
    public void A_large_header_is_read_through_a_small_buffer()
    {
        var tensors = string.Join(',', Enumerable.Range(0, 20_000).Select(i => $$$"""  "layer.{{{i}}}.weight":{"dtype":"U8","shape":[1],"data_offsets":[{{{i}}},{{{i + 1}}}]}"""));
        var note = new string('n', 200_000); // longer than the buffer
        var model = SmallModels.Read(SafetensorsOf($$"""{"__metadata__":{"note":"{{note}}"},{{tensors}}}""", 20_000));

        Assert.Equal(20_000, model.Tensors.Length);
        Assert.EndsWith("(200000 characters)", model.Map.Metadata[0].Value, StringComparison.Ordinal);
    }
}
