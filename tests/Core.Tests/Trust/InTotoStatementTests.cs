using System.Text;
using System.Text.Json;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class InTotoStatementTests
{
    static readonly Sha256Digest Source = Sha256Digest.Of([1]);
    static readonly Sha256Digest Middle = Sha256Digest.Of([2]);
    static readonly Sha256Digest Model = Sha256Digest.Of([3]);

    static readonly BuildProvenance Provenance = new("plant/bearing", "1.1.0", "ci", new(2026, 11, 22, 5, 0, 0, TimeSpan.Zero), "0.1.0")
    {
        Source = Source,
        Rewrites =
        [
            new("prune", [Source], Middle) { Tool = "pruner 2.0", Parameters = [new("sparsity", "0.5"), new("by", "magnitude")] },
            new("quantise", [Middle], Model),
        ],
        Materials = [new("source", Source)],
    };

    [Fact]
    public void A_statement_read_back_says_the_same()
    {
        var statement = InTotoStatement.Read(Provenance.About([new("model.onnx", Model)]).Write());
        var read = BuildProvenance.Of(statement)!;

        Assert.Equal(new StatementSubject("model.onnx", Model), Assert.Single(statement.Subjects));
        Assert.Equal((Provenance.Model, Provenance.Version, Provenance.By, Provenance.At, Provenance.Tool, Provenance.Source), (read.Model, read.Version, read.By, read.At, read.Tool, read.Source));
        Assert.Equal(["prune", "quantise"], read.Rewrites.Select(rewrite => rewrite.Name));
        Assert.Equal(Provenance.Rewrites[0].Parameters.AsEnumerable(), read.Rewrites[0].Parameters);
        Assert.Equal((Middle, "pruner 2.0"), (read.Rewrites[0].Output, read.Rewrites[0].Tool));
        Assert.Equal(Provenance.Materials.AsEnumerable(), read.Materials);
    }

    [Fact]
    public void A_statement_has_the_form_of_SLSA_provenance_1()
    {
        var json = JsonDocument.Parse(Provenance.About([new("model.onnx", Model)]).Write()).RootElement;

        Assert.Equal("https://in-toto.io/Statement/v1", json.GetProperty("_type").GetString());
        Assert.Equal("https://slsa.dev/provenance/v1", json.GetProperty("predicateType").GetString());
        Assert.Equal(Model.ToString(), json.GetProperty("subject")[0].GetProperty("digest").GetProperty("sha256").GetString());
        var predicate = json.GetProperty("predicate");
        Assert.Equal(["buildType", "externalParameters", "resolvedDependencies"], predicate.GetProperty("buildDefinition").EnumerateObject().Select(member => member.Name));
        Assert.Equal("urn:coppice:cli", predicate.GetProperty("runDetails").GetProperty("builder").GetProperty("id").GetString());
        Assert.Equal("2026-11-22T05:00:00Z", predicate.GetProperty("runDetails").GetProperty("metadata").GetProperty("finishedOn").GetString());
    }

    [Fact]
    public void A_statement_of_another_type_is_read_and_is_no_provenance()
    {
        var statement = InTotoStatement.Read("""{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"name":"x","digest":{"sha512":"00"}}],"predicateType":"https://example.com/review"}"""u8);

        Assert.Null(statement.Subjects[0].Digest);
        Assert.Null(BuildProvenance.Of(statement));
    }

    [Fact]
    public void An_envelope_with_another_payload_is_no_statement()
    {
        using var key = SigningKey.Create();
        var envelope = DsseEnvelope.Sign("application/json", Provenance.About([new("m", Model)]).Write(), key);

        Assert.Equal(Distrust.WrongType, Assert.Throws<UntrustedMetadataException>(() => InTotoStatement.Read(envelope)).Reason);
    }

    [Theory]
    [InlineData("""{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x"}""")]
    [InlineData("""{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x"}],"predicateType":"x"}""")]
    [InlineData("""{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"zz"}}],"predicateType":"x"}""")]
    [InlineData("""{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{}}]}""")]
    [InlineData("""[1]""")]
    public void What_is_no_statement_is_refused(string text) =>
        Assert.Equal(Distrust.Malformed, Assert.Throws<UntrustedMetadataException>(() => InTotoStatement.Read(Encoding.UTF8.GetBytes(text))).Reason);
}
