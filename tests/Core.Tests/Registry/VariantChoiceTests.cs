using Coppice.Fleet;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Core.Tests.Registry;

public sealed class VariantChoiceTests
{
    static readonly FactSet Gateway = new(new Dictionary<string, string>
    {
        ["os"] = "linux",
        ["arch"] = "arm64",
        ["app"] = "2.4.0",
        ["ram.free"] = "500000000",
        ["disk.free"] = "1000000",
        ["runtime.onnxruntime"] = "1.30.0",
        ["accelerators"] = "npu, dsp",
        ["label.site"] = "oslo",
    });

    static Variant Variant(string name, Requirements requirements, long bytes = 1000) =>
        new(name, [new("m.onnx", Sha256Digest.Of([1]), bytes)], ModelFormat.Onnx, "onnxruntime") { Requirements = requirements };

    static VariantChoice Choose(Variant[] variants, long held = 0) =>
        VariantChoice.Choose(new(1, ModelName.Parse("a/b"), SemanticVersion.Parse("1.0.0"), [.. variants]), Gateway, _ => held);

    static VersionRange Range(string text) => VersionRange.TryParse(text, out var range) ? range : throw new FormatException(text);

    [Fact]
    public void The_first_that_fits_is_taken_and_the_others_say_why_not()
    {
        var choice = Choose([Variant("cuda", new() { Accelerators = ["cuda"], Os = ["windows"] }), Variant("npu", new() { Accelerators = ["npu"] }), Variant("cpu", new())]);

        Assert.Equal("npu", choice.Chosen!.Name);
        var misfit = Assert.Single(choice.Misfits);
        Assert.Equal(["needs windows, this is linux", "needs the accelerator cuda, which is not here"], misfit.Reasons.AsEnumerable());
    }

    public static TheoryData<string, Requirements> Misfits => new()
    {
        { "needs x64 or arm, this is arm64", new() { Arch = ["x64", "arm"] } },
        { "needs onnxruntime >=1.31.0, here is 1.30.0", new() { Runtime = Range(">=1.31.0") } },
        { "needs the app at <2.0.0, this is 2.4.0", new() { App = Range("<2.0.0") } },
        { "needs 600 MB of free memory, there is 500 MB", new() { Ram = 600_000_000 } },
        { "needs 1 MB of free disk, there is 1 MB", new() { Disk = 999_001 } },
        { "is for devices where site = bergen", new() { Selector = "site = bergen" } },
    };

    [Theory, MemberData(nameof(Misfits))]
    public void Each_requirement_is_asked(string why, Requirements requirements)
    {
        var choice = Choose([Variant("only", requirements)]);

        Assert.Null(choice.Chosen);
        Assert.Equal(why, Assert.Single(choice.Misfits[0].Reasons));
    }

    [Fact]
    public void Files_that_are_here_already_need_no_disk()
    {
        Assert.Null(Choose([Variant("big", new(), bytes: 1_000_001)]).Chosen);
        Assert.NotNull(Choose([Variant("big", new(), bytes: 1_000_001)], held: 1).Chosen);
    }
}
