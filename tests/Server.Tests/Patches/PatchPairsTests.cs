using Coppice.Formats;
using Coppice.Registry;
using Coppice.Server.Patches;
using Coppice.Trust;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Patches;

public sealed class PatchPairsTests
{
    static ReleaseFile File(string name, string content) => new(name, Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(content)), 10_000);

    static ReleaseManifest Release(params Variant[] variants) => new(1, Bearing, V("1.0.0"), [.. variants]);

    static Variant Of(string name, params ReleaseFile[] files) => new(name, [.. files], ModelFormat.Onnx);

    [Fact]
    public void A_file_grew_out_of_the_one_of_its_name_in_its_variant()
    {
        var before = Release(Of("int8", File("model.onnx", "int8 a")), Of("fp32", File("model.onnx", "fp32 a"), File("more.onnx", "more a")));
        var wanted = Release(Of("fp32", File("more.onnx", "more b"), File("model.onnx", "fp32 b")));

        Assert.Equal(
            [new(File("more.onnx", "more a"), File("more.onnx", "more b")), new(File("model.onnx", "fp32 a"), File("model.onnx", "fp32 b"))],
            PatchPairs.Of(wanted, before));
    }

    [Fact]
    public void A_name_that_holds_the_version_is_found_by_its_place()
    {
        var before = Release(Of("fp32", File("bearing-1.onnx", "a"), File("labels.txt", "x")));
        var wanted = Release(Of("fp32", File("bearing-2.onnx", "b"), File("notes.md", "y")));

        Assert.Equal([new(File("bearing-1.onnx", "a"), File("bearing-2.onnx", "b"))], PatchPairs.Of(wanted, before));
    }

    [Fact]
    public void Another_variant_serves_where_the_release_before_has_none_of_that_name()
    {
        var before = Release(Of("fp32", File("model.onnx", "a")));

        Assert.Single(PatchPairs.Of(Release(Of("fp32-v2", File("model.onnx", "b"))), before));
        Assert.Empty(PatchPairs.Of(Release(Of("fp32-v2", File("other.onnx", "b"))), before));
    }

    [Fact]
    public void Equal_files_need_no_patch()
    {
        var release = Release(Of("fp32", File("model.onnx", "a")));
        Assert.Empty(PatchPairs.Of(release, release));
    }
}
