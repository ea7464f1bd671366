using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Tests;
using Coppice.Trust;
using Json.Schema;

namespace Coppice.Cli.Tests.Verification;

public sealed class SupplyChainTests(Workshop workshop) : IClassFixture<Workshop>
{
    string Repository => workshop.PathOf("repository");

    static string Lines(JsonElement report, string part) => string.Join('\n', report.GetProperty(part).EnumerateArray().Select(line => line.GetString()));

    ReleaseManifest Manifest()
    {
        var file = Directory.GetFiles(Path.Combine(Repository, "targets", "releases", "plant", "bearing")).Single();
        Assert.True(DocumentJson.TryRead(File.ReadAllBytes(file), out ReleaseManifest? manifest, out var problems), string.Join("; ", problems));
        return manifest;
    }

    byte[] Blob(ReleaseFile file) => File.ReadAllBytes(Path.Combine(Repository, RepositoryLayout.BlobFile(file.Digest)));

    [Fact]
    public async Task A_published_release_is_proved_from_the_named_root_to_its_last_byte_and_what_is_not_is_said()
    {
        var (exit, report) = await workshop.VerifyAsync("--repository", Repository, "--root", workshop.Root);

        Assert.Equal(0, exit);
        Assert.True(report.GetProperty("holds").GetBoolean());
        var (proved, notProved) = (Lines(report, "proved"), Lines(report, "notProved"));
        Assert.Contains("signed for the role 'releases' by key ", proved, StringComparison.Ordinal);
        Assert.Contains("All 4 files of the release", proved, StringComparison.Ordinal);
        Assert.Contains("The provenance statement is about exactly the release's files", proved, StringComparison.Ordinal);
        Assert.Contains("The bill of materials lists exactly", proved, StringComparison.Ordinal);
        Assert.Contains("'quantise' by quantiser 1.2", notProved, StringComparison.Ordinal);
        Assert.Contains("Who made review.dsse.json", notProved, StringComparison.Ordinal);
        Assert.Contains("That the model is good", notProved, StringComparison.Ordinal);
        Assert.DoesNotContain("no root was named", notProved, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_named_root_it_says_that_the_repository_may_be_anybodys()
    {
        var (exit, report) = await workshop.VerifyAsync("--repository", Repository);

        Assert.Equal(0, exit);
        Assert.Contains($"--root {workshop.Root}", Lines(report, "notProved"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_attestation_counts_when_its_makers_key_is_given()
    {
        var (_, report) = await workshop.VerifyAsync("--repository", Repository, "--root", workshop.Root, "--attestor-key", workshop.ReviewKey);

        Assert.Contains("review.dsse.json, of type https://example.com/review/v1, is about files of the release and was signed by key", Lines(report, "proved"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_root_an_altered_file_and_a_missing_one_each_fail()
    {
        var (wrongRoot, report) = await workshop.VerifyAsync("--repository", Repository, "--root", Sha256Digest.Of([1]).ToString());
        Assert.Equal(1, wrongRoot);
        Assert.Contains("another repository than the one you trust", Lines(report, "failed"), StringComparison.Ordinal);

        foreach (var file in Manifest().Files)
        {
            var copy = workshop.Copy();
            var blob = Path.Combine(copy, RepositoryLayout.BlobFile(file.Digest));
            var bytes = await File.ReadAllBytesAsync(blob);
            bytes[bytes.Length / 2] ^= 1;
            await File.WriteAllBytesAsync(blob, bytes);
            var (altered, said) = await workshop.VerifyAsync("--repository", copy, "--root", workshop.Root);
            Assert.Equal(1, altered);
            Assert.Contains($"{file.Name} is not the file that was signed", Lines(said, "failed"), StringComparison.Ordinal);
        }

        var without = workshop.Copy();
        File.Delete(Path.Combine(without, RepositoryLayout.BlobFile(Manifest().Evidence!.Bom!.Digest)));
        var (missing, told) = await workshop.VerifyAsync("--repository", without, "--root", workshop.Root);
        Assert.Equal(1, missing);
        Assert.Contains("bom.cdx.json", Lines(told, "failed"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_same_holds_of_a_bundle_without_any_network()
    {
        var bundle = workshop.PathOf("verify.cpb");
        var (made, _, errors) = await workshop.RunAsync("bundle", "create", "--model", "plant/bearing@1.0.0", "--repository", Repository, "--root", workshop.Root, "-o", bundle);
        Assert.True(made == 0, errors);

        var (exit, report) = await workshop.VerifyAsync("--bundle", bundle, "--root", workshop.Root);
        Assert.True(exit == 0, Lines(report, "failed"));
        Assert.Contains("All 4 files of the release", Lines(report, "proved"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Publishing_the_very_same_again_is_harmless_and_something_else_is_refused()
    {
        var before = await File.ReadAllBytesAsync(Path.Combine(Repository, "metadata", "timestamp.json"));

        var (again, output, _) = await workshop.RunAsync(workshop.Release);
        var (other, _, refusal) = await workshop.RunAsync([.. workshop.Release.Select(argument => argument == "the first" ? "another" : argument)]);

        Assert.Equal(0, again);
        Assert.Contains("published already with the same content; there is nothing to do", output, StringComparison.Ordinal);
        Assert.Equal(1, other);
        Assert.Contains("give it a new version", refusal, StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(Path.Combine(Repository, "metadata", "timestamp.json")));
    }

    [Theory]
    [InlineData("--rewrites")]
    [InlineData("--attestation")]
    public async Task What_does_not_belong_to_the_files_is_not_published(string option)
    {
        await File.WriteAllTextAsync(workshop.PathOf("other.bin"), "another model");
        var file = option == "--rewrites" ? workshop.PathOf("rewrites.json") : workshop.PathOf("review.dsse.json");

        var (exit, _, errors) = await workshop.RunAsync("publish", "plant/other", "1.0.0", workshop.PathOf("other.bin"), "--repo", Repository, "--keys", workshop.PathOf("keys"), "--source", Workshop.Source.ToString(), option, file);

        Assert.Equal(1, exit);
        Assert.Contains(option == "--rewrites" ? "no file of the release" : "says nothing of any file", errors, StringComparison.Ordinal);
    }

    [Fact]
    public void The_bill_of_materials_is_CycloneDX_1_6_by_its_official_schema()
    {
        var schemas = Path.Combine(RepositoryRoot.Path, "node_modules/@cyclonedx/cyclonedx-library/res/schema");
        foreach (var name in new[] { "spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json" })
            SchemaRegistry.Global.Register(new Uri($"http://cyclonedx.org/schema/{name}"), JsonSchema.FromFile(Path.Combine(schemas, name)));
        var schema = JsonSchema.FromFile(Path.Combine(schemas, "bom-1.6.SNAPSHOT.schema.json"));
        var options = new EvaluationOptions { OutputFormat = OutputFormat.List, RequireFormatValidation = true };
        var bill = JsonNode.Parse(Blob(Manifest().Evidence!.Bom!))!;

        var result = schema.Evaluate(bill, options);
        Assert.True(result.IsValid, string.Join('\n', result.Details.Where(detail => detail.HasErrors).Select(detail => $"{detail.InstanceLocation}: {string.Join(", ", detail.Errors!.Values)}")));

        // The schema sees what is wrong, so that its silence means something.
        bill["components"]![0]!["type"] = "toaster";
        Assert.False(schema.Evaluate(bill, options).IsValid);
    }

    [Fact]
    public void The_bill_says_task_licence_data_and_files()
    {
        var bill = JsonDocument.Parse(Blob(Manifest().Evidence!.Bom!)).RootElement;
        var about = bill.GetProperty("metadata").GetProperty("component");
        var components = bill.GetProperty("components").EnumerateArray().ToList();

        Assert.Equal(("plant", "bearing", "1.0.0"), (about.GetProperty("group").GetString(), about.GetProperty("name").GetString(), about.GetProperty("version").GetString()));
        Assert.Equal("Apache-2.0", about.GetProperty("licenses")[0].GetProperty("expression").GetString());
        Assert.Equal("fault-classification", components[0].GetProperty("modelCard").GetProperty("modelParameters").GetProperty("task").GetString());
        Assert.Equal($"data:{Workshop.Dataset}", components[0].GetProperty("modelCard").GetProperty("modelParameters").GetProperty("datasets")[0].GetProperty("ref").GetString());
        Assert.Contains(components, component => component.GetProperty("type").GetString() == "file" && component.GetProperty("name").GetString() == "model.bin");
    }
}
