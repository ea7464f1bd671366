namespace Coppice.Runtimes.OnnxRuntime.Tests;

public sealed class DescriptionTests
{
    [Fact]
    public void A_session_tells_what_the_model_says_about_itself()
    {
        using var session = OrtSession.Load(TinyModel.Add(("task", "sum"), ("größe", "木")));

        Assert.Equal(["a: Float32[1, 4]", "b: Float32[1, 4]"], session.Inputs.Select(input => input.ToString()));
        Assert.Equal(["y: Float32[1, 4]"], session.Outputs.Select(output => output.ToString()));
        Assert.Empty(session.Overridable);
        Assert.Equal(("coppice tests", 7L, "tiny"), (session.Metadata.Producer, session.Metadata.Version, session.Metadata.Description));
        Assert.Equal(["größe=木", "task=sum"], session.Metadata.Entries.Select(entry => $"{entry.Key}={entry.Value}"));
    }

    [Fact]
    public void A_free_dimension_is_minus_one_until_an_option_fixes_it()
    {
        using var free = OrtSession.Load(TinyModel.Pass(TinyModel.Float));
        using var set = OrtSession.Load(TinyModel.Pass(TinyModel.Float), new() { FreeDimensions = new Dictionary<string, long> { ["n"] = 3 } });

        Assert.Equal("x: Float32[-1]", free.Inputs[0].ToString());
        Assert.Equal("x: Float32[3]", set.Inputs[0].ToString());
    }

    [Fact]
    public void An_input_without_a_shape_takes_any_rank()
    {
        var anyRank = new Proto().Text(1, "x").Message(2, new Proto().Message(1, new Proto().Number(1, TinyModel.Float)));
        var y = new Proto().Text(1, "y").Message(2, new Proto().Message(1, new Proto().Number(1, TinyModel.Float)));
        using var session = OrtSession.Load(TinyModel.Of(new Proto().Message(1, TinyModel.Node("Identity", ["x"], ["y"])).Message(11, anyRank).Message(12, y)));

        Assert.True(session.Inputs[0].AnyRank);
        Assert.Equal("x: Float32[...]", session.Inputs[0].ToString());
        Assert.True(session.Inputs[0].Fits([]) && session.Inputs[0].Fits([1, 2, 3]));
    }
}
