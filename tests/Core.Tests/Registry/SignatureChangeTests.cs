using Coppice.Formats;
using Coppice.Inference;
using Coppice.Registry;

namespace Coppice.Core.Tests.Registry;

public sealed class SignatureChangeTests
{
    static TensorSpec Spec(string name, params long[] shape) => new(name, ElementType.Float32, [.. shape]);

    static string[] Breaks(TensorSpec[] inputsBefore, TensorSpec[] outputsBefore, TensorSpec[] inputsAfter, TensorSpec[] outputsAfter) =>
        [.. SignatureChange.Breaks(new([.. inputsBefore], [.. outputsBefore]), new([.. inputsAfter], [.. outputsAfter]))];

    [Fact]
    public void What_takes_more_and_gives_more_exactly_breaks_nobody() =>
        Assert.Empty(Breaks([Spec("x", 1, 4)], [Spec("y", -1, 2)], [Spec("x", -1, 4)], [Spec("y", 1, 2), Spec("z", 1)]));

    [Fact]
    public void Each_break_is_named()
    {
        Assert.Equal(["input x: Float32[-1, 4] is now x: Float32[1, 4]"], Breaks([Spec("x", -1, 4)], [], [Spec("x", 1, 4)], []));
        Assert.Equal(["input x: Float32[4] is gone", "input v: Float32[4] is new: no caller gives it"], Breaks([Spec("x", 4)], [], [Spec("v", 4)], []));
        Assert.Equal(["output y: Float32[2] is now y: Float32[3]"], Breaks([], [Spec("y", 2)], [], [Spec("y", 3)]));
        Assert.Equal(["output y: Float32[2] is now y: Float32[2, 1]"], Breaks([], [Spec("y", 2)], [], [Spec("y", 2, 1)]));
        Assert.Equal(["the outputs are in another order"], Breaks([], [Spec("y"), Spec("z")], [], [Spec("z"), Spec("y")]));
        Assert.Equal(["output y: Float32[2] is now y: Int8[2]"], Breaks([], [Spec("y", 2)], [], [Spec("y", 2) with { Type = ElementType.Int8 }]));
    }
}
