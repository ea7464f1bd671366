using Coppice.Trust;
using static Coppice.Core.Tests.Trust.TestRepository;

namespace Coppice.Core.Tests.Trust;

public sealed class ReleaseSigningTests : IDisposable
{
    const string Path = "releases/plant/bearing/1.1.0.json";

    readonly TestRepository _repository = new();

    public void Dispose() => _repository.Dispose();

    byte[] Prepare(string path, ReadOnlySpan<byte> manifest) =>
        ReleaseSigning.Prepare(_repository.Releases, path, manifest, _repository.ReleasesKey, Now);

    [Fact]
    public void A_prepared_release_is_the_next_version_keeps_what_was_there_and_is_signed()
    {
        _repository.Releases = Prepare(Path, "{1}"u8);
        _repository.Publish();
        var releases = _repository.Trusting().UpdateTargets(_repository.Releases, "releases", "targets").Signed;

        Assert.Equal((2L, Now.AddDays(365)), (releases.Version, releases.Expires));
        Assert.Equal([RepositoryLayout.ReleaseTarget("plant/bearing", "1.0.0"), Path], releases.Files.Keys.Order(StringComparer.Ordinal));
        releases.Files[Path].Verify("{1}"u8);
    }

    [Fact]
    public void A_published_release_is_not_published_again_and_never_with_other_bytes()
    {
        Assert.Contains("nothing to do", Assert.Throws<RepositoryConflictException>(() => Prepare("releases/plant/bearing/1.0.0.json", "{}"u8)).Message, StringComparison.Ordinal);
        Assert.Contains("new version", Assert.Throws<RepositoryConflictException>(() => Prepare("releases/plant/bearing/1.0.0.json", "{2}"u8)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("rollouts/plant/bearing/plan.json")]
    [InlineData("releases/bearing/1.0.0.json")]
    [InlineData("releases/plant/bearing/../1.0.0.json")]
    [InlineData("releases/plant/../1.0.0.json")]
    [InlineData("releases/plant/be aring/1.0.0.json")]
    [InlineData("releases/plant/bearing/")]
    public void A_release_lies_at_a_plain_path_of_four_parts(string path) =>
        Assert.Throws<ArgumentException>(() => Prepare(path, "{}"u8));

    [Theory]
    [InlineData("plant", "1.0.0")]
    [InlineData("plant/bearing/x", "1.0.0")]
    [InlineData("plant/..", "1.0.0")]
    [InlineData("plant/bearing", "1/0")]
    [InlineData("plant/bearing", "")]
    [InlineData("", "1.0.0")]
    public void Names_that_make_no_path_are_refused(string model, string version)
    {
        if (version.Length == 0)
            Assert.Throws<ArgumentException>(() => RepositoryLayout.ReleaseTarget(model, "/"));
        else
            Assert.Throws<ArgumentException>(() => RepositoryLayout.ReleaseTarget(model, version));
    }

    [Fact]
    public void Two_publishers_sign_one_after_the_other()
    {
        using var second = SigningKey.Create();
        _repository.Targets = new TargetsDraft(MetadataFile.ReadTargets(_repository.Targets).Signed)
            .Delegate("releases", ["releases/*/*/*"], true, 2, _repository.ReleasesKey.Public, second.Public).Sign(Later, _repository.TargetsKey);
        var once = Prepare(Path, "{1}"u8);
        var twice = MetadataSigning.AddSignature(MetadataSigning.AddSignature(once, second), second);
        var delegator = MetadataFile.ReadTargets(_repository.Targets).Signed;

        Refused(Distrust.TooFewSignatures, "releases", () => MetadataFile.ReadTargets(once, "releases").RequireSignedFor(delegator));
        var signed = MetadataFile.ReadTargets(twice, "releases");
        signed.RequireSignedFor(delegator);
        Assert.Equal(2, signed.Signatures.Length);
        Assert.True(signed.SignedForm.Span.SequenceEqual(MetadataFile.ReadTargets(once, "releases").SignedForm.Span));
    }

    [Fact]
    public void An_unsigned_draft_is_signed_later()
    {
        var unsigned = new RootDraft(MetadataFile.ReadRoot(_repository.Root).Signed).Sign(Later);
        var client = new TrustedMetadataSet(_repository.Root, Now);
        Refused(Distrust.TooFewSignatures, "root", () => client.UpdateRoot(unsigned));
        client.UpdateRoot(MetadataSigning.AddSignature(unsigned, _repository.RootKey));
        Assert.Equal(2, client.Root.Signed.Version);
    }

    [Fact]
    public void A_role_needs_as_many_keys_as_its_threshold()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new RootDraft(null).SetRole("root", 2, _repository.RootKey.Public));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RootDraft(null).SetRole("root", 0, _repository.RootKey.Public));
        Assert.Throws<ArgumentException>(() => new RootDraft(null).SetRole("releases", 1, _repository.RootKey.Public));
        Assert.Throws<ArgumentException>(() => new TargetsDraft(null).Delegate("root", ["*"], false, 1, _repository.RootKey.Public));
    }

    [Fact]
    public void What_a_target_says_beyond_its_digest_is_kept()
    {
        var file = Edit(
            new TargetsDraft(null).Put(new TargetInfo("a", "x"u8)).Sign(Later, _repository.TargetsKey),
            signed => signed["targets"]!["a"]!["custom"] = new System.Text.Json.Nodes.JsonObject { ["arch"] = "arm64" });
        var target = MetadataFile.ReadTargets(file).Signed.Files["a"];
        Assert.Equal("""{"arch":"arm64"}""", System.Text.Encoding.UTF8.GetString(target.Custom.Span));

        var copied = MetadataFile.ReadTargets(new TargetsDraft(null).Put(target).Sign(Later, _repository.TargetsKey)).Signed.Files["a"];
        Assert.True(copied.SaysTheSameAs(target));
    }
}
