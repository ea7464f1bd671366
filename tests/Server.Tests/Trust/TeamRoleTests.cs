using Coppice.Server.Trust;
using Coppice.Trust;
using static Coppice.Server.Tests.Trust.TreeFixture;

namespace Coppice.Server.Tests.Trust;

/// <summary>Releases of some models are signed by a team's keys.</summary>
public sealed class TeamRoleTests : IDisposable
{
    const string Team = "team-vision";
    const string Ocr = "releases/vision/ocr/1.0.0.json";

    readonly TreeFixture _repository = new();
    readonly SigningKey _vision = SigningKey.Create("vision ann");

    public void Dispose()
    {
        _repository.Dispose();
        _vision.Dispose();
    }

    RepositoryTree Tree => _repository.Tree;

    static byte[] Manifest => "{\"model\":\"vision/ocr\"}"u8.ToArray();

    byte[] Targets(Action<TargetsDraft> change)
    {
        var draft = new TargetsDraft(MetadataFile.ReadTargets(Tree.CurrentTargets()).Signed);
        change(draft);
        return draft.Sign(Now.AddDays(365), _repository.Keys.Targets);
    }

    // Delegates vision/* to the team; its first metadata takes over these releases.
    void Delegate(params string[] patterns) => Tree.Apply(
        [
            new("targets", Targets(draft => draft.Delegate(Team, patterns.Select(pattern => $"releases/{pattern}/*"), true, 1, _vision.Public)
                .Order([Team, RepositoryLayout.ReleasesRole, RepositoryLayout.RolloutsRole]))),
            new(Team, Adopted(Team, patterns, _vision)),
        ], [], Now);

    byte[] Adopted(string role, string[] patterns, params SigningKey[] keys)
    {
        var draft = new TargetsDraft(Tree.LastOf(role)?.Signed);
        foreach (var (path, target) in Tree.PublishedReleases())
        {
            if (patterns.Any(pattern => path.StartsWith($"releases/{pattern.TrimEnd('*')}", StringComparison.Ordinal)))
                draft.Put(target);
        }
        return draft.Sign(Now.AddDays(365), keys);
    }

    byte[] Next(string role, SigningKey key, params string[] paths) => ReleaseSigning.Prepare(
        Tree.CurrentRole(role), [.. paths.Select(path => new TargetInfo(path, Manifest))], Now, null, key);

    [Fact]
    public void A_team_signs_its_models_and_nobody_else_does()
    {
        Delegate("vision/*");
        Assert.Equal(Team, Tree.RoleFor(Ocr));
        Assert.Equal(RepositoryLayout.ReleasesRole, Tree.RoleFor(ReleasePath("1.0.0")));

        var stranger = Assert.Throws<RepositoryConflictException>(() => Tree.AddRelease(Manifest, Next("releases", _repository.Keys.Releases[0], Ocr), Now));
        Assert.Contains("delegated to 'team-vision'", stranger.Message, StringComparison.Ordinal);
        Assert.Throws<RepositoryConflictException>(() => Tree.AddRelease(Manifest, Next(Team, _vision, ReleasePath("1.0.0")), Now, Team));
        Assert.Throws<UntrustedMetadataException>(() => Tree.AddRelease(Manifest, Next(Team, _repository.Keys.Releases[0], Ocr), Now, Team));

        Tree.AddRelease(Manifest, Next(Team, _vision, Ocr), Now, Team);
        Assert.Equal(Manifest, _repository.Updated(Now).Target(Ocr));
        Assert.Equal(Manifest, Tree.ReadTarget(Ocr)!.Value.ToArray());
    }

    [Fact]
    public void A_device_does_not_find_what_a_team_signs_outside_its_models()
    {
        Delegate("vision/*");
        // Past the server, with the team's key, the online key and write access to the tree.
        var evil = MetadataFile.ReadTargets(
            new TargetsDraft(Tree.CurrentRole(Team).Signed).Put(new TargetInfo(ReleasePath("6.6.6"), "evil"u8)).Sign(Now.AddDays(9), _vision), Team);
        var trusted = _repository.Updated(Now).Trusted;
        var snapshot = MetadataFile.ReadSnapshot(new SnapshotDraft(trusted.Snapshot!.Signed).Put(evil).Sign(Now.AddDays(9), _repository.Keys.Online));
        Write($"metadata/{evil.Signed.Version}.{Team}.json", evil.Bytes);
        Write($"metadata/{snapshot.Signed.Version}.snapshot.json", snapshot.Bytes);
        Write("metadata/timestamp.json", new TimestampDraft(trusted.Timestamp!.Signed).Put(snapshot).Sign(Now.AddDays(9), _repository.Keys.Online));

        Assert.Null(_repository.Updated(Now).Target(ReleasePath("6.6.6")));
    }

    [Fact]
    public void Releases_that_are_published_stay_when_their_model_goes_to_a_team_and_when_it_comes_back()
    {
        _repository.Release("1.0.0", Now);
        var device = _repository.Updated(Now);

        var lost = Assert.Throws<RepositoryConflictException>(() => Tree.Apply(
            [
                new("targets", Targets(draft => draft.Delegate(Team, ["releases/plant/bearing/*"], true, 1, _vision.Public).Order([Team, "releases", "rollouts"]))),
                new(Team, new TargetsDraft(null).Sign(Now.AddDays(9), _vision)),
            ], [], Now));
        Assert.Contains("drops", lost.Message, StringComparison.Ordinal);

        Delegate("plant/bearing");
        device.Update(Now);
        Assert.Equal(TreeFixture.Manifest("1.0.0"), device.Target(ReleasePath("1.0.0")));

        // The team goes; what it signed, the release keys sign for again. Its name stays in the snapshot, as TUF asks.
        Tree.Apply([new("targets", Targets(draft => draft.Undelegate(Team)))], [], Now);
        device.Update(Now);
        Assert.Equal(TreeFixture.Manifest("1.0.0"), device.Target(ReleasePath("1.0.0")));
        Assert.NotNull(device.Trusted.Snapshot!.Signed.Of(Team));

        Delegate("plant/bearing"); // and comes back with its next version
        Assert.Equal(2, Tree.CurrentRole(Team).Signed.Version);
        device.Update(Now);
    }

    [Fact]
    public void A_team_whose_keys_change_gives_its_metadata_signed_anew_in_the_same_step()
    {
        Delegate("vision/*");
        using var next = SigningKey.Create();
        var targets = Targets(draft => draft.Delegate(Team, ["releases/vision/*/*"], true, 1, next.Public));

        Assert.Throws<UntrustedMetadataException>(() => Tree.AddTargets(targets, Now));
        Tree.Apply([new("targets", targets), new(Team, new TargetsDraft(Tree.CurrentRole(Team).Signed).Sign(Now.AddDays(365), next))], [], Now);
        Assert.False(Tree.Apply([new("targets", targets)], [], Now)); // twice is harmless
        _repository.Updated(Now);
    }

    [Fact]
    public void Two_of_three_release_keys_publish_and_one_does_not()
    {
        using var second = SigningKey.Create();
        using var third = SigningKey.Create();
        var first = _repository.Keys.Releases[0];
        Tree.Apply(
            [
                new("targets", Targets(draft => draft.Delegate("releases", [RepositoryLayout.ReleasesPattern], true, 2, first.Public, second.Public, third.Public))),
                new("releases", new TargetsDraft(Tree.CurrentRole("releases").Signed).Sign(Now.AddDays(365), first, third)),
            ], [], Now);

        var metadata = _repository.Prepare(Now, "1.0.0");
        Assert.Equal(Distrust.TooFewSignatures, Assert.Throws<UntrustedMetadataException>(() => _repository.Tree.AddRelease(TreeFixture.Manifest("1.0.0"), metadata, Now)).Reason);
        Tree.AddRelease(TreeFixture.Manifest("1.0.0"), MetadataSigning.AddSignature(metadata, second), Now);
        Assert.Equal(TreeFixture.Manifest("1.0.0"), _repository.Updated(Now).Target(ReleasePath("1.0.0")));
    }

    [Fact]
    public void Targets_that_give_a_role_a_power_it_must_not_have_are_not_published()
    {
        var online = _repository.Keys.Online.Public;
        Refused("also an online key", draft => draft.Delegate("releases", [RepositoryLayout.ReleasesPattern], true, 1, online));
        Refused("'rollouts' may speak of other paths", draft => draft.Delegate("rollouts", ["rollouts/*/*/*", "releases/*/*/*"], true, 1, online));
        Refused("does not terminate", draft => draft.Delegate("releases", [RepositoryLayout.ReleasesPattern], false, 1, _vision.Public));
        Refused("no role of this repository", draft => draft.Delegate("friends", ["releases/vision/*/*"], true, 1, _vision.Public));
        Refused("no model and no prefix", draft => draft.Delegate(Team, ["releases/*/*/*"], true, 1, _vision.Public));
        Refused("name 1 file(s)", draft => draft.Put(new TargetInfo(Ocr, Manifest)));

        void Refused(string why, Action<TargetsDraft> change) =>
            Assert.Contains(why, Assert.Throws<RepositoryConflictException>(() => Tree.AddTargets(Targets(change), Now)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_online_role_may_have_a_key_of_its_own_and_a_new_key_is_picked_up_from_its_folder()
    {
        var folder = Directory.CreateTempSubdirectory("coppice-online-").FullName;
        using SigningKey snapshot = SigningKey.Create(), timestamp = SigningKey.Create(), rollouts = SigningKey.Create();
        File.WriteAllBytes(Path.Combine(folder, "old.pem"), _repository.Keys.Online.Export());
        using var keys = OnlineKeys.InFolder(folder);
        var tree = new RepositoryTree(_repository.Files, keys);
        var root = new RootDraft(MetadataFile.ReadRoot(Tree.CurrentRoot()).Signed)
            .SetRole("timestamp", 1, timestamp.Public).SetRole("snapshot", 1, snapshot.Public).Sign(Now.AddDays(365), _repository.Keys.Root[0]);
        var targets = Targets(draft => draft.Delegate("rollouts", [RepositoryLayout.RolloutsPattern], true, 1, rollouts.Public));

        var missing = Assert.Throws<UntrustedMetadataException>(() => tree.Apply([new("root", root), new("targets", targets)], [], Now));
        Assert.Contains(folder, missing.Message, StringComparison.Ordinal);
        foreach (var (name, key) in new[] { ("snapshot", snapshot), ("timestamp", timestamp), ("rollouts", rollouts) })
            File.WriteAllBytes(Path.Combine(folder, name + ".pem"), key.Export());
        tree.Apply([new("root", root), new("targets", targets)], [], Now);
        tree.SetPlan("rollouts/plant/bearing/plan.json", "one"u8.ToArray(), Now);

        Assert.Equal("one"u8.ToArray(), _repository.Updated(Now).Target("rollouts/plant/bearing/plan.json"));
        Assert.Throws<UntrustedMetadataException>(() => Tree.SetPlan("rollouts/plant/bearing/plan.json", "two"u8.ToArray(), Now)); // with the old key alone
        Directory.Delete(folder, recursive: true);
    }

    void Write(string path, ReadOnlyMemory<byte> bytes) => File.WriteAllBytes(Path.Combine(_repository.Folder, path), bytes.Span);
}
