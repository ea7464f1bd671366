using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Graph;

namespace Coppice.Core.Tests.Graph;

public sealed class OnnxRulesTests
{
    static readonly ValueInfo X = new("x", ElementType.Float32, ["batch", 2]);

    static OnnxModel Model(params OnnxNode[] nodes) => new(
        new("g", [.. nodes], [X], [X with { Name = "y" }], [OnnxTensor.Of("w", [1f, 2f], 2)]), [new("", 21)]);

    static OnnxModel Good => Model(new OnnxNode("Mul", ["x", "w"], ["h"]), new OnnxNode("Relu", ["h"], ["y"]) { Name = "act" });

    static OnnxModel With(OnnxModel model, Func<OnnxGraph, OnnxGraph> change) => model with { Graph = change(model.Graph) };

    static ImmutableArray<OnnxNode> Sort(params OnnxNode[] nodes) => NodeOrder.Sort(Model(nodes).Graph).Nodes;

    static void Finds(OnnxModel model, string where, string what)
    {
        var problem = Assert.Single(OnnxRules.Check(model));
        Assert.Equal(where, problem.Where);
        Assert.Contains(what, problem.What, StringComparison.Ordinal);
    }

    [Fact]
    public void A_good_model_has_no_problem() => Assert.Empty(OnnxRules.Check(Good));

    [Fact]
    public void An_input_that_nobody_gives_is_named() =>
        Finds(Model(new OnnxNode("Mul", ["x", "nobody"], ["y"])), "graph.node[0].input", "'nobody', which nothing gives");

    [Fact]
    public void A_left_out_optional_input_is_no_problem() =>
        Assert.Empty(OnnxRules.Check(Model(new OnnxNode("Clip", ["x", "", "w"], ["y"]))));

    [Fact]
    public void A_node_before_its_giver_is_told_to_be_sorted() => Finds(
        Model(new OnnxNode("Relu", ["h"], ["y"]) { Name = "act" }, new OnnxNode("Mul", ["x", "w"], ["h"])),
        "graph.node[0].input",
        "Relu 'act' reads 'h' before Mul (node 1) gives it");

    [Fact]
    public void A_cycle_is_reported_once_with_its_nodes_and_without_those_behind_it() => Finds(
        Model(
            new OnnxNode("Add", ["x", "c"], ["a"]) { Name = "first" },
            new OnnxNode("Relu", ["a"], ["b"]),
            new OnnxNode("Relu", ["b"], ["c"]),
            new OnnxNode("Relu", ["c"], ["y"])),
        "graph.node",
        "Add 'first', Relu (node 1), Relu (node 2) wait for each other");

    [Theory]
    [InlineData("x")]
    [InlineData("w")]
    [InlineData("h")]
    public void A_name_is_given_once(string taken) => Finds(
        Model(new OnnxNode("Mul", ["x", "w"], ["h"]), new OnnxNode("Relu", ["h"], [taken, "y"])), "graph.node[1].output", $"'{taken}' is taken");

    [Fact]
    public void A_domain_needs_an_operator_set()
    {
        Finds(Good with { OpsetImports = [new("ai.onnx.ml", 5), new("", 0)] }, "opset_import[1]", "not a version");
        Finds(Model(new OnnxNode("Gelu", ["x"], ["y"]) { Domain = "com.microsoft" }), "graph.node[0].domain", "import one");
        Finds(Good with { OpsetImports = [new("", 21), new("", 20)] }, "opset_import[1]", "twice");
    }

    [Fact]
    public void A_tensor_has_the_bytes_its_type_and_dims_say()
    {
        Finds(
            With(Good, graph => graph with { Initializers = [graph.Initializers[0] with { Dims = [3] }] }),
            "graph.initializer[0].raw_data",
            "Float32[3] takes 12 bytes, not 8");
        Finds(
            With(Good, graph => graph with { Initializers = [graph.Initializers[0] with { Dims = [long.MaxValue, long.MaxValue] }] }),
            "graph.initializer[0].raw_data",
            "not 8");
        Finds(
            With(Good, graph => graph with { Initializers = [graph.Initializers[0] with { Dims = [-1, 2] }] }),
            "graph.initializer[0].dims",
            "-1 is not a size");
        Assert.Empty(OnnxRules.Check(With(Good, graph => graph with { Initializers = [new("w", ElementType.Int4, [3], new byte[2])] })));
    }

    [Fact]
    public void An_output_comes_from_somewhere_and_only_once()
    {
        Finds(With(Good, graph => graph with { Outputs = [X with { Name = "lost" }] }), "graph.output[0]", "Nothing gives 'lost'");
        Finds(With(Good, graph => graph with { Outputs = [graph.Outputs[0], graph.Outputs[0]] }), "graph.output[1]", "an output already");
    }

    [Fact]
    public void An_initialiser_may_be_the_default_of_an_input() => Assert.Empty(OnnxRules.Check(
        With(Good, graph => graph with { Inputs = [X, new("w", ElementType.Float32, [2])] })));

    [Fact]
    public void A_subgraph_reads_outer_names_but_may_not_take_them()
    {
        static OnnxGraph Branch(string output) => new("branch", [new("Neg", ["x"], [output])], [], [X with { Name = output }], []);
        static OnnxModel Choose(string output) => Model(
            new OnnxNode("If", ["x"], ["y"]) { Attributes = [new OnnxAttribute.Subgraph("then_branch", Branch(output))] });

        Assert.Empty(OnnxRules.Check(Choose("inside")));
        Finds(Choose("w"), "graph.node[0].attribute['then_branch'].node[0].output", "'w' is taken");
    }

    [Fact]
    public void Subgraphs_beyond_the_depth_are_refused_not_walked()
    {
        var graph = Good.Graph with { Nodes = [new("Relu", ["x"], ["y"])] };
        for (var depth = 0; depth < 5000; depth++)
            graph = graph with { Nodes = [new("If", ["x"], ["y"]) { Attributes = [new OnnxAttribute.Subgraph("then_branch", graph)] }] };

        Assert.Contains(OnnxRules.Check(Good with { Graph = graph }), problem => problem.What.Contains("deep", StringComparison.Ordinal));
    }

    [Fact]
    public void Everything_wrong_is_told_at_once()
    {
        var model = new OnnxModel(
            new("", [new("", ["a"], [""]), new("Relu", ["x"], ["x"])], [X, X], [X with { Name = "z", Type = ElementType.Q4_0 }], []), [])
        {
            IrVersion = 3,
            MetadataProps = [new("k", "1"), new("k", "2")],
        };

        Assert.Equal(
            [
                "ir_version", "metadata_props['k']", "graph.name", "graph.input[1]", "graph.node[0].op_type", "graph.node[0].domain",
                "graph.node[0].input", "graph.node[1].domain", "graph.node[1].output", "graph.output[0]", "graph.output[0].type",
            ],
            OnnxRules.Check(model).Select(problem => problem.Where));
    }

    [Fact]
    public void Sorting_puts_givers_first_and_keeps_the_order_where_it_can()
    {
        OnnxNode a = new("A", ["x"], ["a"]), b = new("B", ["a", "c"], ["b"]), c = new("C", ["x"], ["c"]), d = new("D", ["x"], ["d"]);

        Assert.Equal(["A", "D", "C", "B"], Sort(b, a, d, c).Select(node => node.OpType));
        Assert.Throws<ArgumentException>(() => Sort(new("A", ["b"], ["a"]), new("B", ["a"], ["b"])));
    }

    [Fact]
    public void A_node_waits_for_what_its_subgraph_reads()
    {
        var branch = new OnnxGraph("branch", [new("Neg", ["h"], ["inside"])], [], [X with { Name = "inside" }], []);
        OnnxNode choose = new("If", ["x"], ["y"]) { Attributes = [new OnnxAttribute.Subgraph("then_branch", branch)] };

        Assert.Equal(["Relu", "If"], Sort(choose, new("Relu", ["x"], ["h"])).Select(node => node.OpType));
    }
}
