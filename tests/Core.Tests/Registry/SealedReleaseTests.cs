using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Core.Tests.Registry;

public sealed class SealedReleaseTests
{
    static readonly ReleaseFile Plain = new("model.onnx", Sha256Digest.Of("model"u8), 5);

    static readonly ReleaseFile Closed = Plain with { Sealed = Form(Plain) };

    static SealedFile Form(ReleaseFile file) =>
        new(Sha256Digest.Of("sealed"u8), SealHeader.SealedLength(file.Length, SealHeader.DefaultSegment), SealHeader.DefaultSegment, Sha256Digest.Of("key"u8));

    static ReleaseManifest Release(params ReleaseFile[] files) =>
        new(ReleaseManifest.CurrentSchema, ModelName.Parse("plant/bearing"), SemanticVersion.Parse("1.0.0"), [new("default", [.. files], ModelFormat.Onnx)]);

    [Fact]
    public void A_manifest_keeps_how_its_files_are_sealed()
    {
        var bytes = DocumentJson.Write(Release(Closed));
        Assert.True(DocumentJson.TryRead(bytes, out ReleaseManifest? read, out var problems), string.Join(" ", problems));
        var file = read.Files.Single();
        Assert.Equal(Closed, file);
        Assert.Equal((Closed.Sealed!.Digest, Closed.Sealed.Length), (file.Stored.Digest, file.Stored.Length));
        Assert.True(read.IsSealed);
        Assert.Equal((Plain.Digest, Plain.Length), (Plain.Stored.Digest, Plain.Stored.Length));
        Assert.DoesNotContain("sealed", System.Text.Encoding.UTF8.GetString(DocumentJson.Write(Release(Plain))), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_release_is_sealed_as_a_whole_or_not_at_all()
    {
        var beside = new ReleaseFile("labels.txt", Sha256Digest.Of("labels"u8), 6);
        Assert.Contains("not sealed", Problem(Release(Closed, beside)), StringComparison.Ordinal);
        Assert.Contains("not sealed", Problem(Release(Closed) with { Trial = new() { Evaluation = beside } }), StringComparison.Ordinal);
        Assert.Empty(ManifestRules.Check(Release(Closed, beside with { Sealed = Form(beside) })));
    }

    [Fact]
    public void A_sealed_form_that_cannot_be_the_files_is_refused()
    {
        foreach (var form in new[]
        {
            Closed.Sealed! with { Length = Closed.Sealed!.Length + 1 }, Closed.Sealed! with { Segment = 1000 }, Closed.Sealed! with { Segment = 0 }, Closed.Sealed! with { Segment = int.MinValue },
            Closed.Sealed! with { Length = long.MaxValue }, Closed.Sealed! with { Length = -1 }, Closed.Sealed! with { Digest = default }, Closed.Sealed! with { Key = default }, Closed.Sealed! with { Digest = Plain.Digest },
        })
            Assert.NotEmpty(Problem(Release(Plain with { Sealed = form })));
        Assert.Contains("two ways", Problem(Release(Closed, Closed with { Name = "again.onnx", Sealed = Closed.Sealed! with { Key = Sha256Digest.Of("another"u8) } })), StringComparison.Ordinal);
    }

    static string Problem(ReleaseManifest manifest) => Assert.Single(ManifestRules.Check(manifest)).What;
}
