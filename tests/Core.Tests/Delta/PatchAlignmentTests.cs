using Coppice.Formats;

namespace Coppice.Core.Tests.Delta;

/// <summary>What another tool or another layout makes of the same weights: each patch is held against that of the same change where names and shapes stayed.</summary>
public sealed class PatchAlignmentTests
{
    const int Width = 128;

    readonly Random random = new(11);

    [Theory]
    [InlineData(ElementType.BFloat16)]
    [InlineData(ElementType.Float32)]
    [InlineData(ElementType.Int8)]
    [InlineData(ElementType.Q8_0)]
    public void Tensors_that_were_fused_into_one_are_found_in_it(ElementType type)
    {
        var (q, k, v) = (new Tuned(random, 256), new Tuned(random, 64), new Tuned(random, 64)); // as grouped queries have them
        AssertAsGood(
            [q.Old("q", type), k.Old("k", type), v.Old("v", type)], [q.New("q", type), k.New("k", type), v.New("v", type)],
            [q.Old("q", type), k.Old("k", type), v.Old("v", type)], [Rows("qkv", q.New("", type), k.New("", type), v.New("", type))]);
    }

    [Theory]
    [InlineData(ElementType.Float16)]
    [InlineData(ElementType.UInt8)]
    [InlineData(ElementType.Q4_0)]
    public void A_tensor_that_was_split_is_found_by_its_parts(ElementType type)
    {
        var (q, k, v) = (new Tuned(random, 256), new Tuned(random, 64), new Tuned(random, 64));
        AssertAsGood(
            [q.Old("q", type), k.Old("k", type), v.Old("v", type)], [q.New("q", type), k.New("k", type), v.New("v", type)],
            [Rows("qkv", q.Old("", type), k.Old("", type), v.Old("", type))], [q.New("q", type), k.New("k", type), v.New("v", type)]);
    }

    [Fact]
    public void Experts_that_were_stacked_are_found_in_whatever_order()
    {
        Tuned[] experts = [.. Enumerable.Range(0, 4).Select(_ => new Tuned(random, 96))];
        SyntheticTensor[] old = [.. experts.Select((expert, i) => expert.Old($"experts.{i}", ElementType.BFloat16))];
        SyntheticTensor[] made = [.. experts.Select((expert, i) => expert.New($"experts.{i}", ElementType.BFloat16))];
        AssertAsGood(old, made, old, [Rows("ffn_exps", made[2], made[0], made[3], made[1]) with { Shape = [4, 96, Width] }]);
    }

    [Fact]
    public void Layers_that_were_renumbered_are_not_taken_for_those_that_had_their_names()
    {
        Tuned[] layers = [.. Enumerable.Range(0, 4).Select(_ => new Tuned(random, 96))];
        SyntheticTensor[] old = [.. layers.Select((layer, i) => layer.Old($"layers.{i}.weight", ElementType.BFloat16))];
        AssertAsGood(
            old, [layers[0].New("layers.0.weight", ElementType.BFloat16), layers[2].New("layers.2.weight", ElementType.BFloat16), layers[3].New("layers.3.weight", ElementType.BFloat16)],
            old, [layers[0].New("layers.0.weight", ElementType.BFloat16), layers[2].New("layers.1.weight", ElementType.BFloat16), layers[3].New("layers.2.weight", ElementType.BFloat16)]);
    }

    [Fact]
    public void Another_tools_export_in_another_type_under_other_names_costs_what_a_cast_costs()
    {
        Tuned[] layers = [.. Enumerable.Range(0, 3).Select(_ => new Tuned(random, 96))];
        SyntheticTensor[] old = [.. layers.Select((layer, i) => layer.Old($"model.layers.{i}.mlp.weight", ElementType.Float32))];
        var patch = AssertRebuilt(old, [.. layers.Select((layer, i) => layer.Old($"blk.{2 - i}.ffn", ElementType.BFloat16))]);
        Assert.InRange(patch, 0, 600);
    }

    [Fact]
    public void What_is_alike_to_nothing_is_coded_by_itself()
    {
        var (a, b) = (new Tuned(random, 256), new Tuned(random, 192));
        AssertRebuilt([a.Old("a", ElementType.Float16)], [b.Old("b", ElementType.Float16)]);
        AssertRebuilt([a.Old("a", ElementType.Float16)], [Rows("a", b.Old("", ElementType.Float16), a.New("", ElementType.Float16))]); // nothing before what is known
        AssertRebuilt([a.Old("a", ElementType.Float16)], [Rows("c", a.New("", ElementType.Float16), b.Old("", ElementType.Float16))]);
    }

    static void AssertAsGood(SyntheticTensor[] plainOld, SyntheticTensor[] plainNew, SyntheticTensor[] old, SyntheticTensor[] made)
    {
        var (plain, patch) = (AssertRebuilt(plainOld, plainNew), AssertRebuilt(old, made));
        Assert.True(patch <= plain * 1.02 + 200, $"{patch} bytes, but {plain} where every tensor has its old name and shape");
    }

    static int AssertRebuilt(SyntheticTensor[] old, SyntheticTensor[] made)
    {
        var (before, after) = (new SyntheticFile("""{"is":"old"}""", old), new SyntheticFile("""{"is":"new"}""", made));
        var (patch, _) = PatchTrial.Make(before, after);
        Assert.Equal(after.Bytes, PatchTrial.Apply(patch, before.Bytes));
        return patch.Length;
    }

    /// <summary>One tensor of the others' rows.</summary>
    static SyntheticTensor Rows(string name, params SyntheticTensor[] tensors) =>
        new(name, tensors[0].Type, [tensors.Sum(tensor => tensor.Shape[0]), Width], [.. tensors.SelectMany(tensor => tensor.Bytes)]);

    sealed class Tuned
    {
        readonly int rows;
        readonly float[] old;
        readonly float[] tuned;

        public Tuned(Random random, int rows)
        {
            this.rows = rows;
            old = SyntheticTensor.Normal(random, rows, Width, 0.02);
            tuned = SyntheticTensor.Tuned(random, old, rows, Width, 0, 0, 2e-4);
        }

        public SyntheticTensor Old(string name, ElementType type) => SyntheticTensor.Of(name, type, [rows, Width], old);

        public SyntheticTensor New(string name, ElementType type) => SyntheticTensor.Of(name, type, [rows, Width], tuned);
    }
}
