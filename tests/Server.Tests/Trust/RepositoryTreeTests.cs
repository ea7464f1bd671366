using Coppice.Server.Trust;
using Coppice.Trust;
using static Coppice.Server.Tests.Trust.TreeFixture;

namespace Coppice.Server.Tests.Trust;

public sealed class RepositoryTreeTests : IDisposable
{
    const string Plan = "rollouts/plant/bearing/plan.json";

    readonly TreeFixture _repository = new();

    public void Dispose() => _repository.Dispose();

    RepositoryTree Tree => _repository.Tree;

    [Fact]
    public void A_new_repository_is_a_static_tree_that_a_device_with_its_root_trusts()
    {
        var device = _repository.Updated(Now);

        Assert.True(device.Trusted.Root.Signed.ConsistentSnapshot);
        Assert.Null(device.Target(ReleasePath("1.0.0")));
        Assert.Equal(
            ["1.releases.json", "1.rollouts.json", "1.root.json", "1.snapshot.json", "1.targets.json", "timestamp.json"],
            _repository.Files.List("metadata").Order(StringComparer.Ordinal));
        Assert.Throws<RepositoryConflictException>(() => Tree.Initialise(_repository.Keys, Now));
    }

    [Fact]
    public void A_release_that_its_publisher_signed_reaches_a_device()
    {
        var device = _repository.Updated(Now);
        _repository.Release("1.0.0", Now);

        Assert.Null(device.Target(ReleasePath("1.0.0")));
        Assert.Null(Tree.ReadTarget(ReleasePath("2.0.0")));
        device.Update(Now);
        Assert.Equal(Manifest("1.0.0"), device.Target(ReleasePath("1.0.0")));
        Assert.Equal(Manifest("1.0.0"), Tree.ReadTarget(ReleasePath("1.0.0"))!.Value.ToArray());
        var file = new TargetInfo(ReleasePath("1.0.0"), Manifest("1.0.0")).Hashes.Sha256 + ".1.0.0.json";
        Assert.Equal([file], _repository.Files.List("targets/releases/plant/bearing"));
    }

    [Fact]
    public void Several_releases_in_one_publish_are_one_snapshot()
    {
        var metadata = _repository.Prepare(Now, "1.0.0", "1.1.0", "2.0.0");
        Tree.AddReleases([Manifest("2.0.0"), Manifest("1.0.0"), Manifest("1.1.0")], metadata, Now);

        var device = _repository.Updated(Now);
        Assert.Equal(2, device.Trusted.Snapshot!.Signed.Version);
        Assert.Equal(Manifest("1.1.0"), device.Target(ReleasePath("1.1.0")));
    }

    [Fact]
    public void A_restored_tree_goes_past_lost_versions_once_and_takes_the_one_jump_of_offline_roles_that_its_snapshot_asks_for()
    {
        _repository.Release("1.0.0", Now);
        var device = _repository.Updated(Now);
        var leastNext = new Dictionary<string, long> { ["releases"] = 1_002, ["targets"] = 1_001 };
        Assert.True(Tree.GoPast(5_000, leastNext, Now));
        Assert.False(Tree.GoPast(5_000, leastNext, Now));
        Assert.Equal((5_000, 5_000, 5_000), (_repository.Updated(Now).Trusted.Timestamp!.Signed.Version, Tree.Status(Now).Roles.Single(role => role.Role == "snapshot").Version, Tree.Status(Now).Roles.Single(role => role.Role == "rollouts").Version));
        device.Update(Now);
        Assert.Equal(1_002, Tree.LeastNext["releases"]);
        Assert.Contains("'targets' or 'releases' was signed", Assert.Single(Tree.Status(Now).Warnings), StringComparison.Ordinal);

        byte[] Next(string version, long least) => ReleaseSigning.Prepare(Tree.CurrentRole("releases"), [new(ReleasePath(version), Manifest(version))], Now, null, least, _repository.Keys.Releases[0]);
        Assert.Throws<RepositoryConflictException>(() => Tree.AddRelease(Manifest("1.1.0"), Next("1.1.0", 1_003), Now)); // no further than that
        Assert.Equal(1_002, Tree.AddRelease(Manifest("1.1.0"), Next("1.1.0", 1_002), Now));
        Assert.Throws<RepositoryConflictException>(() => Tree.AddRelease(Manifest("1.2.0"), Next("1.2.0", 2_000), Now)); // and no second time
        Assert.Equal(1_003, Tree.AddRelease(Manifest("1.2.0"), Next("1.2.0", Tree.LeastNext["releases"]), Now));
        device.Update(Now);
        Assert.Equal(Manifest("1.2.0"), device.Target(ReleasePath("1.2.0")));
    }

    [Fact]
    public void Publishing_the_same_again_changes_nothing()
    {
        var metadata = _repository.Prepare(Now, "1.0.0");
        Assert.Equal(2, Tree.AddRelease(Manifest("1.0.0"), metadata, Now));
        Assert.Equal(2, Tree.AddRelease(Manifest("1.0.0"), metadata, Now));
        Assert.Equal(2, _repository.Updated(Now).Trusted.Snapshot!.Signed.Version);
    }

    [Fact]
    public void Of_two_publishers_who_started_from_the_same_version_the_second_is_told_to_start_again()
    {
        var first = _repository.Prepare(Now, "1.0.0");
        var second = _repository.Prepare(Now, "2.0.0");
        Tree.AddRelease(Manifest("1.0.0"), first, Now);

        var problem = Assert.Throws<RepositoryConflictException>(() => Tree.AddRelease(Manifest("2.0.0"), second, Now));
        Assert.Contains("version 2 does not follow 2", problem.Message, StringComparison.Ordinal);
        _repository.Release("2.0.0", Now);
        Assert.Equal(3, _repository.Updated(Now).Trusted.NamedInSnapshot("releases").Version);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_published_release_is_neither_dropped_nor_changed_even_by_its_publisher(bool drop)
    {
        _repository.Release("1.0.0", Now);
        var draft = new TargetsDraft(MetadataFile.ReadTargets(Tree.CurrentReleases(), "releases").Signed);
        if (drop)
            draft.Remove(ReleasePath("1.0.0"));
        else
            draft.Put(new TargetInfo(ReleasePath("1.0.0"), "evil"u8));

        Assert.Throws<RepositoryConflictException>(
            () => Tree.AddRelease("evil"u8.ToArray(), draft.Sign(Now.AddDays(9), _repository.Keys.Releases[0]), Now));
        Assert.Equal(Manifest("1.0.0"), _repository.Updated(Now).Target(ReleasePath("1.0.0")));
    }

    [Fact]
    public void Releases_lie_where_releases_lie_and_delegate_to_nobody()
    {
        var current = MetadataFile.ReadTargets(Tree.CurrentReleases(), "releases").Signed;
        foreach (var path in (string[])["rollouts/plant/bearing/plan.json", "releases/plant/1.0.0.json", "releases/../bearing/1.json", "releases/a b/c/1.json"])
        {
            var outside = new TargetsDraft(current).Put(new TargetInfo(path, "{}"u8)).Sign(Now.AddDays(9), _repository.Keys.Releases[0]);
            Assert.Throws<RepositoryConflictException>(() => Tree.AddRelease("{}"u8.ToArray(), outside, Now));
        }
        var delegating = new TargetsDraft(current).Delegate("friend", ["releases/*/*/*"], false, 1, _repository.Keys.Online.Public)
            .Sign(Now.AddDays(9), _repository.Keys.Releases[0]);
        Assert.Throws<RepositoryConflictException>(() => Tree.AddReleases([], delegating, Now));
    }

    [Fact]
    public void The_manifests_sent_are_those_that_were_signed()
    {
        var metadata = _repository.Prepare(Now, "1.0.0");
        Assert.Throws<ArgumentException>(() => Tree.AddRelease(Manifest("1.0.1"), metadata, Now));
        Assert.Throws<ArgumentException>(() => Tree.AddReleases([], metadata, Now));
        Assert.Throws<ArgumentException>(() => Tree.AddReleases([Manifest("1.0.0"), Manifest("3.0.0")], metadata, Now));
    }

    [Fact]
    public void A_stolen_online_key_cannot_add_a_release()
    {
        var online = _repository.Keys.Online;
        var current = MetadataFile.ReadTargets(Tree.CurrentReleases(), "releases").Signed;
        var evil = new TargetInfo(ReleasePath("6.6.6"), "evil"u8);
        var forged = MetadataFile.ReadTargets(new TargetsDraft(current).Put(evil).Sign(Now.AddDays(9), online), "releases");

        // Through the server: refused.
        var problem = Assert.Throws<UntrustedMetadataException>(() => Tree.AddRelease("evil"u8.ToArray(), forged.Bytes, Now));
        Assert.Equal(Distrust.TooFewSignatures, problem.Reason);

        // Past the server, with the online key in hand and write access to the tree: devices refuse.
        var device = _repository.Updated(Now);
        var rollouts = MetadataFile.ReadTargets(
            new TargetsDraft(device.Trusted.TryGetTargets("rollouts", "targets", out var old) ? old.Signed : null).Put(evil).Sign(Now.AddDays(9), online),
            "rollouts");
        var snapshot = MetadataFile.ReadSnapshot(
            new SnapshotDraft(device.Trusted.Snapshot!.Signed).Put(forged).Put(rollouts).Sign(Now.AddDays(9), online));
        var timestamp = new TimestampDraft(device.Trusted.Timestamp!.Signed).Put(snapshot).Sign(Now.AddDays(9), online);
        Write("metadata/2.releases.json", forged.Bytes);
        Write("metadata/2.rollouts.json", rollouts.Bytes);
        Write("metadata/2.snapshot.json", snapshot.Bytes);
        Write("metadata/timestamp.json", timestamp);
        Assert.Equal("releases", Assert.Throws<UntrustedMetadataException>(() => device.Update(Now)).Role);

        // Naming it in rollouts, whose key they have, does not help: that role is not asked about releases.
        var honest = MetadataFile.ReadSnapshot(new SnapshotDraft(device.Trusted.Snapshot!.Signed).Put(rollouts).Sign(Now.AddDays(9), online));
        Write("metadata/2.snapshot.json", honest.Bytes);
        Write("metadata/timestamp.json", new TimestampDraft(device.Trusted.Timestamp!.Signed).Put(honest).Sign(Now.AddDays(9), online));
        var second = _repository.Updated(Now);
        Assert.Null(second.Target(ReleasePath("6.6.6")));
    }

    [Fact]
    public void A_plan_is_replaced_and_one_that_says_the_same_is_not_published_again()
    {
        Tree.SetPlan(Plan, "one"u8.ToArray(), Now);
        Tree.SetPlan(Plan, "one"u8.ToArray(), Now);
        var device = _repository.Updated(Now);
        Assert.Equal("one"u8.ToArray(), device.Target(Plan));
        Assert.Equal(2, device.Trusted.Snapshot!.Signed.Version);

        Tree.SetPlan(Plan, "two"u8.ToArray(), Now);
        device.Update(Now);
        Assert.Equal("two"u8.ToArray(), device.Target(Plan));

        Tree.SetPlans([new(Plan, default)], Now);
        device.Update(Now);
        Assert.Null(device.Target(Plan));
        Assert.Throws<ArgumentException>(() => Tree.SetPlan(ReleasePath("1.0.0"), "{}"u8.ToArray(), Now));
    }

    [Fact]
    public void Online_roles_are_signed_again_at_half_of_their_lifetime_and_not_before()
    {
        Assert.False(Tree.RefreshExpiry(Now.AddHours(12)));
        Assert.True(Tree.RefreshExpiry(Now.AddHours(13)));
        Assert.Equal((2, 1, 1), Versions(Now.AddHours(13)));

        Assert.True(Tree.RefreshExpiry(Now.AddDays(4)));
        Assert.Equal((3, 2, 1), Versions(Now.AddDays(4)));

        Assert.True(Tree.RefreshExpiry(Now.AddDays(16)));
        Assert.Equal((4, 3, 2), Versions(Now.AddDays(16)));
    }

    [Fact]
    public void A_server_that_was_down_for_two_months_mends_what_it_signs_by_itself()
    {
        var late = Now.AddDays(60);
        Assert.Throws<UntrustedMetadataException>(() => _repository.Updated(late));
        Assert.Equal(["rollouts", "snapshot", "timestamp"], Tree.Status(late).Warnings.Select(warning => warning.Split('\'')[1]));

        Assert.True(Tree.RefreshExpiry(late));
        _repository.Updated(late);
        Assert.Empty(Tree.Status(late).Warnings);
    }

    [Fact]
    public void Status_asks_for_the_offline_keys_when_a_quarter_of_their_life_is_left()
    {
        Tree.RefreshExpiry(Now.AddDays(273));
        Assert.Empty(Tree.Status(Now.AddDays(273)).Warnings);
        var late = Now.AddDays(275);
        Tree.RefreshExpiry(late);
        var status = Tree.Status(late);

        Assert.Equal(["root", "targets", "releases", "rollouts", "snapshot", "timestamp"], status.Roles.Select(role => role.Role));
        Assert.Equal(["root", "targets", "releases"], status.Warnings.Select(warning => warning.Split('\'')[1]));
        Assert.All(status.Warnings, warning => Assert.Contains("expires in 90 days", warning, StringComparison.Ordinal));
        Assert.Equal([1, 1, 1, 1, 1, 1], status.Roles.Select(role => role.Threshold));
        Assert.Equal(["root-1", "targets", "releases-1", "online", "online", "online"], status.Roles.Select(role => role.Keys.Single().Name));
    }

    [Fact]
    public void A_quarter_of_its_life_before_the_end_a_role_that_nobody_signs_anew_is_told_of_even_an_online_one()
    {
        var late = Now.AddHours(19);
        Assert.Equal(["timestamp"], Tree.Status(late).Warnings.Select(warning => warning.Split('\'')[1]));
        Assert.Contains("5 hours", Tree.Status(late).Warnings[0], StringComparison.Ordinal);
    }

    [Fact]
    public void The_online_key_is_rotated_by_the_offline_keys()
    {
        _repository.Release("1.0.0", Now);
        Tree.SetPlan(Plan, "one"u8.ToArray(), Now);
        var device = _repository.Updated(Now);
        using var fresh = SigningKey.Create();
        var root = new RootDraft(MetadataFile.ReadRoot(Tree.CurrentRoot()).Signed)
            .SetRole("timestamp", 1, fresh.Public).SetRole("snapshot", 1, fresh.Public).Sign(Now.AddDays(365), _repository.Keys.Root[0]);
        var targets = new TargetsDraft(MetadataFile.ReadTargets(Tree.CurrentTargets()).Signed)
            .Delegate("rollouts", [RepositoryLayout.RolloutsPattern], true, 1, fresh.Public).Sign(Now.AddDays(365), _repository.Keys.Targets);

        // The server still holds the old key: it would publish what no device accepts.
        Assert.Throws<UntrustedMetadataException>(() => Tree.AddRoot(root, Now));

        var rotated = new RepositoryTree(_repository.Files, fresh);
        rotated.AddRoot(root, Now);
        device.Update(Now);
        rotated.AddTargets(targets, Now);
        device.Update(Now);
        Assert.Equal(2, device.Trusted.Root.Signed.Version);
        Assert.Equal("one"u8.ToArray(), device.Target(Plan));
        Assert.Equal(Manifest("1.0.0"), device.Target(ReleasePath("1.0.0")));
        _repository.Updated(Now);

        // And the old key is worth nothing.
        Assert.Throws<UntrustedMetadataException>(() => Tree.SetPlan(Plan, "two"u8.ToArray(), Now));
    }

    [Fact]
    public void Writers_wait_for_each_other_and_no_change_is_lost()
    {
        var other = RepositoryTree.OpenFolder(_repository.Folder, _repository.Keys.Online);
        Parallel.For(0, 16, i => (i % 2 == 0 ? Tree : other).SetPlan($"rollouts/plant/m{i}/plan.json", new byte[] { (byte)i }, Now));

        var device = _repository.Updated(Now);
        for (var i = 0; i < 16; i++)
            Assert.Equal(new byte[] { (byte)i }, device.Target($"rollouts/plant/m{i}/plan.json"));
        Assert.Equal(17, device.Trusted.Snapshot!.Signed.Version);
    }

    [Fact]
    public void Keys_survive_their_folder_and_are_not_written_over()
    {
        var folder = Path.Combine(_repository.Folder, "keys");
        _repository.Keys.Save(folder, "secret");
        using var read = RepositoryKeys.Load(folder, password: "secret");

        Assert.Equal(_repository.Keys.Root[0].KeyId, read.Root[0].KeyId);
        Assert.Equal(_repository.Keys.Releases[0].KeyId, read.Releases[0].KeyId);
        using var online = RepositoryKeys.LoadOnline(folder);
        Assert.Equal(_repository.Keys.Online.KeyId, online.KeyId);
        Assert.Throws<IOException>(() => _repository.Keys.Save(folder, "secret"));
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, "root-1.pem")));
    }

    (long, long, long) Versions(DateTimeOffset now)
    {
        var trusted = _repository.Updated(now).Trusted;
        return (trusted.Timestamp!.Signed.Version, trusted.Snapshot!.Signed.Version, trusted.NamedInSnapshot("rollouts").Version);
    }

    void Write(string path, ReadOnlyMemory<byte> bytes) => File.WriteAllBytes(Path.Combine(_repository.Folder, path), bytes.Span);
}
