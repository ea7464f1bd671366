using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Core.Tests.Registry;

public sealed class EvidenceRulesTests
{
    static readonly Sha256Digest Source = Sha256Digest.Of([9]);

    static ReleaseManifest Manifest(byte model = 1) =>
        new(1, ModelName.Parse("plant/bearing"), SemanticVersion.Parse("1.1.0"), [new("default", [new("model.onnx", Sha256Digest.Of([model]), 1), new("w.bin", Sha256Digest.Of([2]), 1)], ModelFormat.Onnx)])
        {
            Trial = new() { Evaluation = new("evaluation.jsonl", Sha256Digest.Of([3]), 1) },
            Provenance = new("ci", DateTimeOffset.UnixEpoch, "coppice 0.1.0", Source),
        };

    static BuildProvenance Provenance => new("plant/bearing", "1.1.0", "ci", DateTimeOffset.UnixEpoch, "0.1.0") { Source = Source, Materials = [new("source", Source)] };

    static InTotoStatement About(ReleaseManifest manifest, BuildProvenance provenance) =>
        provenance.About([.. EvidenceRules.Subjects(manifest).Select(file => new StatementSubject(file.Name, file.Digest))]);

    static string Problems(ReleaseManifest manifest, InTotoStatement statement) => string.Join("; ", EvidenceRules.CheckStatement(manifest, statement, BuildProvenance.Of(statement)));

    [Fact]
    public void A_statement_about_all_files_and_nothing_else_fits() => Assert.Empty(Problems(Manifest(), About(Manifest(), Provenance)));

    [Fact]
    public void A_statement_about_another_file_does_not_fit()
    {
        var problems = Problems(Manifest(), About(Manifest(model: 7), Provenance));

        Assert.Contains("says nothing of model.onnx", problems, StringComparison.Ordinal);
        Assert.Contains("is about model.onnx", problems, StringComparison.Ordinal);
    }

    [Fact]
    public void A_statement_of_another_release_or_another_source_does_not_fit()
    {
        Assert.Contains("not plant/bearing 1.1.0", Problems(Manifest(), About(Manifest(), Provenance with { Version = "1.0.0" })), StringComparison.Ordinal);
        Assert.Contains("from nothing named", Problems(Manifest(), About(Manifest(), Provenance with { Source = null })), StringComparison.Ordinal);
    }

    [Fact]
    public void Steps_begin_with_what_is_there_and_end_in_the_release()
    {
        var (middle, model) = (Sha256Digest.Of([8]), Sha256Digest.Of([1]));
        var files = EvidenceRules.Subjects(Manifest()).Select(file => file.Digest).ToHashSet();

        Assert.Empty(EvidenceRules.CheckRewrites(Source, [new("prune", [Source], middle), new("quantise", [middle], model)], [], files));
        Assert.Contains("neither the source", Assert.Single(EvidenceRules.CheckRewrites(Source, [new("quantise", [middle], model)], [], files)).What, StringComparison.Ordinal);
        Assert.Contains("no later step uses", Assert.Single(EvidenceRules.CheckRewrites(Source, [new("prune", [Source], middle)], [], files)).What, StringComparison.Ordinal);
        Assert.Empty(EvidenceRules.CheckRewrites(null, [new("merge", [middle], model)], [middle], files));
    }

    [Fact]
    public void A_bill_of_the_release_fits_and_one_of_other_files_does_not()
    {
        var bom = new ModelBom(Manifest().Model, Manifest().Version, [.. Manifest().Variants.Select(variant => new BomVariant(variant.Name, variant.Files) { AdapterBase = Source })]) { Data = [new("evaluation set", Sha256Digest.Of([3]))] };
        Assert.True(BomJson.TryRead(BomJson.Write(bom), out var content, out var problem), problem);

        Assert.Empty(EvidenceRules.CheckBom(Manifest(), content));
        Assert.Equal(2, EvidenceRules.CheckBom(Manifest(model: 7), content).Length);
        Assert.Contains("not plant/bearing 1.1.0", EvidenceRules.CheckBom(Manifest(), content with { Version = "2.0.0" }).Single().What, StringComparison.Ordinal);
    }

    [Fact]
    public void A_repeat_differs_in_time_publisher_and_statements_only()
    {
        var published = Manifest() with { Evidence = new() { Bom = new("bom", Sha256Digest.Of([5]), 1), Statement = new("s", Sha256Digest.Of([6]), 1) } };
        var again = Manifest() with { Provenance = new("another", DateTimeOffset.UnixEpoch.AddDays(1), "coppice 0.2.0", Source) };

        Assert.True(EvidenceRules.IsRepeat(published, again));
        Assert.False(EvidenceRules.IsRepeat(published, Manifest(model: 7)));
        Assert.False(EvidenceRules.IsRepeat(published, again with { Notes = "other" }));
        Assert.False(EvidenceRules.IsRepeat(published, again with { Breaking = true }));
        Assert.False(EvidenceRules.IsRepeat(published, again with { Provenance = null }));
        Assert.False(EvidenceRules.IsRepeat(published, again with { Trial = null }));
        Assert.False(EvidenceRules.IsRepeat(published, again with { Variants = [again.Variants[0] with { Requirements = new() { Os = ["linux"] } }] }));
        Assert.False(EvidenceRules.IsRepeat(published, again with { Evidence = new() { Attestations = [new("a", Sha256Digest.Of([7]), 1)] } }));
    }

    [Theory]
    [InlineData("Apache-2.0", true)]
    [InlineData("MIT OR (GPL-2.0-only WITH Classpath-exception-2.0)", true)]
    [InlineData("LicenseRef-Ours", true)]
    [InlineData("Proprietary", false)]
    [InlineData("ask the plant", false)]
    [InlineData("MIT OR", false)]
    [InlineData("(MIT", false)]
    [InlineData("", false)]
    public void A_licence_is_an_expression_or_a_name(string text, bool isExpression) => Assert.Equal(isExpression, LicenceText.IsExpression(text));
}
