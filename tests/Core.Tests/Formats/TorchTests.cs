using Coppice.Formats;
using static Coppice.Core.Tests.Formats.SmallModels;

namespace Coppice.Core.Tests.Formats;

public sealed class TorchTests
{
    static byte[] Archive(PickleWriter pickle, params float[] storage) => new ZipWriter().Add("net/data.pkl", pickle.End()).Add("net/data/0", Floats(storage)).End();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_archive_names_the_tensors_of_its_state_dict(bool zip64)
    {
        var bytes = Torch(zip64);
        var model = SmallModels.Read(bytes);

        Assert.Equal(ModelFormat.Torch, model.Format);
        Assert.Equal(["layer.weight Float32 [2, 3]", "steps Int64 []"], model.Tensors.Select(tensor => $"{tensor.Name} {tensor.Type} [{string.Join(", ", tensor.Shape)}]"));
        Assert.Equal(Floats(1, 2, 3, 4, 5, 6), bytes[(int)model.Tensors[0].Offset..(int)(model.Tensors[0].Offset + 24)]);
    }

    [Fact]
    public void A_legacy_file_names_them_too()
    {
        var bytes = TorchLegacy();
        var model = SmallModels.Read(bytes);

        Assert.Equal([$"layer.weight Float32 [2, 3] {bytes.Length - 40}+24 ", $"steps Int64 [] {bytes.Length - 8}+8 "], model.Tensors.Select(MapChecks.Line));
    }

    [Fact]
    public void A_transposed_view_has_the_shape_that_lies_in_memory() =>
        Assert.Equal([2, 3], Assert.Single(SmallModels.Read(Archive(new PickleWriter().Tensor("FloatStorage", "0", 6, 0, [3, 2], [1, 3]), 1, 2, 3, 4, 5, 6)).Tensors).Shape.ToArray());

    [Fact]
    public void An_expanded_view_is_the_run_that_it_reads() =>
        Assert.Equal([2], Assert.Single(SmallModels.Read(Archive(new PickleWriter().Tensor("FloatStorage", "0", 6, 0, [2, 100], [1, 0]), 1, 2, 3, 4, 5, 6)).Tensors).Shape.ToArray());

    [Fact]
    public void A_view_inside_another_tensor_is_noted_not_mapped()
    {
        var pickle = new PickleWriter().Op('}').Op('(')
            .Text("whole").Tensor("FloatStorage", "0", 6, 0, [6], [1])
            .Text("tied").Tensor("FloatStorage", "0", 6, 0, [6], [1])
            .Text("part").Tensor("FloatStorage", "0", 6, 2, [2], [1]).Op('u');
        var model = SmallModels.Read(Archive(pickle, 1, 2, 3, 4, 5, 6));

        Assert.Equal(["tied", "whole"], model.Tensors.Select(tensor => tensor.Name));
        Assert.Contains("'part'", Assert.Single(model.Notes), StringComparison.Ordinal);
        Assert.Equal(6, model.Parameters);
    }

    [Fact]
    public void Code_in_a_pickle_is_a_name_and_never_runs()
    {
        var pickle = new PickleWriter().Op('(').Global("os", "system").Op('(').Text("exit 1").Op('t').Op('R').Tensor("FloatStorage", "0", 1, 0, [1], [1]).Op('t');

        Assert.Equal("1", Assert.Single(SmallModels.Read(Archive(pickle, 1)).Tensors).Name);
    }

    [Fact]
    public void A_value_that_holds_itself_ends()
    {
        var pickle = new PickleWriter().Op(']').Op((byte)'q', 0).Op((byte)'h', 0).Op('a').Tensor("FloatStorage", "0", 1, 0, [1], [1]).Op('a');

        Assert.Equal("1", Assert.Single(SmallModels.Read(Archive(pickle, 1)).Tensors).Name);
    }

    [Fact]
    public void Lists_that_double_at_every_level_end()
    {
        var pickle = new PickleWriter().Op(']');
        for (byte i = 0; i < 60; i++)
            pickle.Op((byte)'q', i).Op((byte)'0', (byte)'(', (byte)'h', i, (byte)'h', i, (byte)'l');

        Assert.Empty(SmallModels.Read(Archive(pickle, 1)).Tensors);
    }

    [Fact]
    public void Values_nested_without_end_are_refused()
    {
        var pickle = new PickleWriter().Op(']');
        for (var i = 0; i < 5000; i++)
            pickle.Op(0x85);

        Assert.Contains("deep in one another", Assert.Throws<MalformedFileException>(() => SmallModels.Read(Archive(pickle, 1))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(7, 0)]
    [InlineData(6, 1)]
    public void A_view_past_its_storage_is_refused(int elements, int first) => Assert.Throws<MalformedFileException>(() => SmallModels.Read(
        Archive(new PickleWriter().Tensor("FloatStorage", "0", 7, first, [elements], [1]), 1, 2, 3, 4, 5, 6)));

    [Fact]
    public void A_storage_that_is_not_in_the_archive_is_refused() => Assert.Throws<MalformedFileException>(() => SmallModels.Read(
        Archive(new PickleWriter().Tensor("FloatStorage", "9", 1, 0, [1], [1]), 1)));

    [Fact]
    public void A_pickle_that_pops_what_it_has_not_pushed_is_refused() => Assert.Throws<MalformedFileException>(() => SmallModels.Read(Archive(new PickleWriter().Op('R'), 1)));

    [Fact]
    public void A_legacy_file_cut_short_is_refused() => Assert.Throws<MalformedFileException>(() => SmallModels.Read(TorchLegacy()[..^1]));
}
