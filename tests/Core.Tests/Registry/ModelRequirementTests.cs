using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Core.Tests.Registry;

public sealed class ModelRequirementTests
{
    static ReleaseManifest Manifest(params string[] requires) => new(1, ModelName.Parse("plant/rag"), SemanticVersion.Parse("2.0.0"),
        [new("fp32", [new("model.bin", Sha256Digest.Of([1]), 1)], Coppice.Formats.ModelFormat.Opaque)])
    {
        Requires = requires.Length == 0 ? null : [.. requires.Select(text => ModelRequirement.TryParse(text, out var requirement) ? requirement! : throw new ArgumentException(text))],
    };

    [Fact]
    public void A_manifest_says_what_it_needs_and_without_needs_says_nothing_of_them()
    {
        var bytes = DocumentJson.Write(Manifest("plant/embedder >=1.2.0 <2.0.0", "plant/llm 3.0.0"));

        Assert.True(DocumentJson.TryRead(bytes, out ReleaseManifest? read, out _));
        Assert.Equal(["plant/embedder >=1.2.0 <2.0.0", "plant/llm 3.0.0"], read.Requires!.Value.Select(needs => needs.ToString()));
        Assert.DoesNotContain("requires", System.Text.Encoding.UTF8.GetString(DocumentJson.Write(Manifest())), StringComparison.Ordinal);
        Assert.False(EvidenceRules.IsRepeat(Manifest(), Manifest("plant/embedder >=1.2.0")));
        Assert.True(EvidenceRules.IsRepeat(Manifest("plant/embedder >=1.2.0"), Manifest("plant/embedder >=1.2.0")));
    }

    [Fact]
    public void Everything_wrong_with_needs_is_said()
    {
        Assert.Equal(["requires[0].model", "requires[2].model"], ManifestRules.Check(Manifest("plant/rag >=1.0.0", "plant/llm 1.0.0", "plant/llm 2.0.0")).Select(problem => problem.Where));
        Assert.Equal(["requires"], ManifestRules.Check(Manifest() with { Requires = [] }).Select(problem => problem.Where));
        Assert.Equal(["requires"], ManifestRules.Check(Manifest([.. Enumerable.Range(0, 9).Select(i => $"plant/m{i} 1.0.0")])).Select(problem => problem.Where));
    }

    [Theory]
    [InlineData("plant/embedder")]
    [InlineData("embedder >=1.0.0")]
    [InlineData("plant/embedder newest")]
    public void What_is_no_model_and_range_is_refused(string text) => Assert.False(ModelRequirement.TryParse(text, out _));
}
