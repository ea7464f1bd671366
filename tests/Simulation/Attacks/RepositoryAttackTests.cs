using Coppice.Agent;
using Coppice.Agent.Link;
using Coppice.Agent.Tests;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Simulation.Attacks;

/// <summary>The rows of SECURITY.md's attack table that go against the repository and its keys. Each attacker has what the row says, and all of it.</summary>
public sealed class RepositoryAttackTests : IDisposable
{
    const string Bearing = "plant/bearing";
    const string Evil = "6.6.6";

    readonly Fleet fleet = new();

    public void Dispose() => fleet.Dispose();

    static string EvilPath => Fleet.PathOf(Bearing, Evil);

    static byte[] EvilManifest => Fleet.Manifest(Bearing, Evil);

    // Network, mirror, CDN: they hold every byte and no key.

    [Fact]
    public async Task A_mirror_that_goes_back_to_an_older_state_is_refused()
    {
        var old = fleet.CopyOf();
        fleet.Release(Bearing, "1.1.0");
        fleet.Plan(Bearing, "1.1.0");
        await FollowAsync(fleet.Device());

        await RefusedAsync(fleet.Device(repository: old.Folder), Distrust.Rollback);
    }

    [Fact]
    public async Task A_mirror_that_holds_updates_back_is_found_out_when_its_timestamp_expires()
    {
        var frozen = fleet.CopyOf();
        var device = fleet.Device(repository: frozen.Folder);
        await FollowAsync(device);
        fleet.Time.Advance(TimeSpan.FromHours(23));
        await FollowAsync(device);

        fleet.Time.Advance(TimeSpan.FromHours(2));
        await RefusedAsync(device, Distrust.Expired);
    }

    [Theory]
    [InlineData("releases")]
    [InlineData("snapshot")]
    public async Task A_mirror_that_mixes_old_and_new_metadata_is_refused(string role)
    {
        var old = fleet.CopyOf();
        fleet.Release(Bearing, "1.1.0");
        var mixed = fleet.CopyOf();
        var (was, now) = role == "snapshot"
            ? (old.Timestamp.Snapshot.Version, mixed.Timestamp.Snapshot.Version)
            : (old.Snapshot.Of(role)!.Version, mixed.Snapshot.Of(role)!.Version);
        Assert.NotEqual(was, now);
        mixed.Write($"metadata/{now}.{role}.json", old.Read($"metadata/{was}.{role}.json"));

        await RefusedAsync(fleet.Device(repository: mixed.Folder), [Distrust.WrongLength, Distrust.WrongHash, Distrust.TooLong], Fleet.PathOf(Bearing, "1.0.0")); // signatures have no fixed length
    }

    [Fact]
    public async Task A_mirror_that_sends_more_than_was_signed_is_cut_off()
    {
        var endless = fleet.CopyOf();
        endless.Write("metadata/timestamp.json", new byte[1 << 20]);
        await RefusedAsync(fleet.Device(repository: endless.Folder), Distrust.TooLong);

        endless = fleet.CopyOf();
        var plan = MetadataFile.ReadTargets(endless.Role("rollouts").Bytes).Signed.Files.Values.Single();
        endless.Write("targets/" + plan.StoredPath(true), new byte[1 << 20]);
        await RefusedAsync(fleet.Device("other", endless.Folder), Distrust.TooLong);
    }

    [Fact]
    public async Task A_mirror_that_gives_another_manifest_is_refused()
    {
        fleet.Release(Bearing, "1.1.0");
        var mirror = fleet.CopyOf();
        var target = mirror.Role("releases").Signed.Files[Fleet.PathOf(Bearing, "1.1.0")];
        mirror.Write("targets/" + target.StoredPath(true), Fleet.Manifest(Bearing, "1.0.0"));

        var device = fleet.Device(repository: mirror.Folder);
        await device.RefreshAsync(default);
        var refused = await Assert.ThrowsAsync<LinkException>(() => device.FindAsync(Fleet.PathOf(Bearing, "1.1.0"), ReleaseManifest.MaxBytes, default));
        Assert.Equal(Distrust.WrongHash, Assert.IsType<UntrustedMetadataException>(refused.InnerException).Reason);
    }

    [Fact]
    public async Task A_mirror_that_signs_with_keys_of_its_own_is_refused()
    {
        using var own = SigningKey.Create();
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, own, [own], ("releases", draft => draft.Put(mirror.Put(EvilPath, EvilManifest))));
        await RefusedAsync(fleet.Device(repository: mirror.Folder), Distrust.TooFewSignatures);
    }

    // The online key, and write access to the tree: a stolen server.

    [Fact]
    public async Task A_stolen_online_key_cannot_add_a_release()
    {
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.Online], ("releases", draft => draft.Put(mirror.Put(EvilPath, EvilManifest))));
        await RefusedAsync(fleet.Device(repository: mirror.Folder), Distrust.TooFewSignatures, EvilPath);
    }

    [Fact]
    public async Task A_stolen_online_key_cannot_vouch_for_a_release_in_its_own_role()
    {
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.Online], ("rollouts", draft => draft.Put(mirror.Put(EvilPath, EvilManifest))));
        await NotFoundAsync(mirror, EvilPath);
    }

    [Fact]
    public async Task A_stolen_online_key_cannot_delegate_releases_to_itself()
    {
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.Online], ("rollouts", draft => draft.Put(mirror.Put(EvilPath, EvilManifest))
            .Delegate("friend", ["releases/*/*/*", "rollouts/*/*/*"], true, 1, fleet.Online.Public)));
        await NotFoundAsync(mirror, EvilPath);
    }

    [Theory]
    [InlineData("releases/**")]
    [InlineData("releases/*/*/*")]
    public async Task A_rollouts_role_that_was_given_releases_by_mistake_still_cannot_vouch_for_one(string pattern)
    {
        // The mistake is one of the offline keys' holders; the server refuses to publish it (TeamRoleTests), and devices do too.
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.RootKeys[0], fleet.RootKeys[1]], ("targets", draft => draft
            .Delegate("rollouts", [RepositoryLayout.RolloutsPattern, pattern], true, 1, fleet.Online.Public)
            .Delegate("releases", ["releases/none/none/*"], true, 2, [.. fleet.ReleaseKeys.Select(key => key.Public)])));
        mirror.Publish(fleet.Now, fleet.Online, [fleet.Online], ("rollouts", draft => draft.Put(mirror.Put(EvilPath, EvilManifest))));

        var device = fleet.Device(repository: mirror.Folder);
        await device.RefreshAsync(default);
        if (pattern.EndsWith("**", StringComparison.Ordinal))
            Assert.Null(await device.FindAsync(EvilPath, ReleaseManifest.MaxBytes, default)); // a star passes no slash
        else
            await RefusedAsync(device, Distrust.WrongRole, EvilPath);
    }

    [Fact]
    public async Task A_release_key_that_is_an_online_key_too_signs_no_release_that_a_device_takes()
    {
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.RootKeys[0], fleet.RootKeys[1]], ("targets", draft => draft
            .Delegate("releases", [RepositoryLayout.ReleasesPattern], true, 1, fleet.Online.Public)));
        mirror.Publish(fleet.Now, fleet.Online, [fleet.Online], ("releases", draft => draft.Put(mirror.Put(EvilPath, EvilManifest))));
        await RefusedAsync(fleet.Device(repository: mirror.Folder), Distrust.WrongRole, EvilPath);
    }

    [Fact]
    public async Task A_plan_that_names_a_manifest_nobody_signed_moves_no_device()
    {
        using var fleet = new Fleet(TimeProvider.System); // a whole agent goes by the clock of its machine
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.Online], ("rollouts", draft => draft
            .Put(mirror.Put(RepositoryLayout.PlanTarget(Bearing), Fleet.PlanOf(Bearing, Evil, EvilManifest, serial: 2)))
            .Put(mirror.Put(EvilPath, EvilManifest))));

        // The plan is trusted: the online key may make plans. What it names is not.
        var device = fleet.Device(repository: mirror.Folder);
        Assert.Equal(Evil, (await FollowAsync(device)).Rollouts[0].Release.ToString());
        Assert.Null(await device.FindAsync(EvilPath, ReleaseManifest.MaxBytes, default));
        Assert.Contains("no signed manifest of it", await TroubleAsync(fleet, mirror), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plan_that_means_another_manifest_than_the_signed_one_moves_no_device()
    {
        using var fleet = new Fleet(TimeProvider.System);
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.Online], ("rollouts", draft => draft
            .Put(mirror.Put(RepositoryLayout.PlanTarget(Bearing), Fleet.PlanOf(Bearing, "1.0.0", EvilManifest, serial: 2)))));
        Assert.Contains("is not the one that the plan means", await TroubleAsync(fleet, mirror), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stolen_online_key_is_worth_nothing_once_it_is_replaced()
    {
        var device = fleet.Device();
        await FollowAsync(device);
        using var fresh = SigningKey.Create("online 2");
        var keys = new[] { "snapshot", "timestamp", "rollouts" }.ToDictionary(role => role, _ => fresh.Public, StringComparer.Ordinal);
        var tree = new Server.Trust.RepositoryTree(new Server.Trust.TreeFolder(fleet.Repository), fresh);
        tree.Apply(Fleet.Signed(KeyCeremony.RotateOnline(fleet.Tree.CurrentOffline(), keys, fleet.Now), fleet.RootKeys[1], fleet.RootKeys[2]), [], fleet.Now);
        fleet.Time.Advance(TimeSpan.FromHours(12.5));
        Assert.True(tree.RefreshExpiry(fleet.Now));
        await FollowAsync(device);

        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.Online], ("rollouts", draft => draft.Put(mirror.Put(RepositoryLayout.PlanTarget(Bearing), Fleet.PlanOf(Bearing, "1.0.0", EvilManifest, 9)))));
        await RefusedAsync(fleet.Device(repository: mirror.Folder), Distrust.TooFewSignatures);
    }

    // One of three release keys, with the online key on top.

    [Fact]
    public async Task One_stolen_release_key_of_three_signs_no_release_even_with_the_online_key()
    {
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.ReleaseKeys[0]], ("releases", draft => draft.Put(mirror.Put(EvilPath, EvilManifest))));
        await RefusedAsync(fleet.Device(repository: mirror.Folder), Distrust.TooFewSignatures, EvilPath);

        // The server, asked politely, refuses as well.
        var request = KeyCeremony.Release(fleet.Tree.CurrentOffline(), EvilPath, EvilManifest, fleet.Now).Sign(fleet.ReleaseKeys[0], out _);
        Assert.Equal(Distrust.TooFewSignatures, Assert.Throws<UntrustedMetadataException>(() => fleet.Tree.Apply(request.Metadata, [EvilManifest], fleet.Now)).Reason);
    }

    [Fact]
    public async Task A_stolen_release_key_that_was_replaced_counts_no_more_and_releases_go_on()
    {
        using var next = SigningKey.Create("release dora");
        fleet.Apply(
            KeyCeremony.Change("Replace Ann's stolen key.", fleet.Tree.CurrentOffline(), [new RoleChange("releases") { Add = [next.Public], Remove = ["release ann"] }], [], fleet.Now),
            fleet.RootKeys[0], fleet.RootKeys[1], fleet.ReleaseKeys[1], fleet.ReleaseKeys[2]);
        fleet.Release(Bearing, "1.1.0");
        var device = fleet.Device();
        await FollowAsync(device);
        Assert.NotNull(await device.FindAsync(Fleet.PathOf(Bearing, "1.1.0"), ReleaseManifest.MaxBytes, default));

        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.ReleaseKeys[0], fleet.ReleaseKeys[1]], ("releases", draft => draft.Put(mirror.Put(EvilPath, EvilManifest))));
        await RefusedAsync(fleet.Device(repository: mirror.Folder), Distrust.TooFewSignatures, EvilPath);
    }

    [Fact]
    public async Task A_stolen_team_key_signs_its_own_models_and_no_others()
    {
        var mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.TeamKey], (Fleet.Team, draft => draft.Put(mirror.Put(EvilPath, EvilManifest))));
        await NotFoundAsync(mirror, EvilPath);

        fleet.Release("vision/ocr", "1.0.0");
        var device = fleet.Device("other");
        await FollowAsync(device);
        Assert.NotNull(await device.FindAsync(Fleet.PathOf("vision/ocr", "1.0.0"), ReleaseManifest.MaxBytes, default));
    }

    // One of three root keys.

    [Fact]
    public async Task One_stolen_root_key_of_three_changes_nothing()
    {
        using var own = SigningKey.Create();
        var mirror = fleet.CopyOf();
        var root = MetadataFile.ReadRoot(mirror.Read("metadata/1.root.json")).Signed;
        mirror.Write("metadata/2.root.json", new RootDraft(root).SetRole("root", 1, own.Public).SetRole("targets", 1, own.Public).Sign(fleet.Now.AddDays(9), fleet.RootKeys[0], own));
        await RefusedAsync(fleet.Device(repository: mirror.Folder), Distrust.TooFewSignatures);

        mirror = fleet.CopyOf();
        mirror.Publish(fleet.Now, fleet.Online, [fleet.RootKeys[0]], ("targets", draft => draft.Delegate("releases", [RepositoryLayout.ReleasesPattern], true, 1, own.Public)));
        await RefusedAsync(fleet.Device("other", mirror.Folder), Distrust.TooFewSignatures);
    }

    [Fact]
    public async Task A_stolen_root_key_is_taken_out_by_the_two_others_and_counts_no_more()
    {
        using var next = SigningKey.Create("root dora");
        RoleChange Out(string role) => new(role) { Add = [next.Public], Remove = ["root alice"] };
        fleet.Apply(KeyCeremony.Change("Alice's key was stolen.", fleet.Tree.CurrentOffline(), [Out("root"), Out("targets")], [], fleet.Now), fleet.RootKeys[1], fleet.RootKeys[2]);
        await FollowAsync(fleet.Device());

        var mirror = fleet.CopyOf();
        var root = MetadataFile.ReadRoot(mirror.Read("metadata/2.root.json")).Signed;
        mirror.Write("metadata/3.root.json", new RootDraft(root).Sign(fleet.Now.AddDays(9), fleet.RootKeys[0], fleet.RootKeys[1]));
        await RefusedAsync(fleet.Device(repository: mirror.Folder), Distrust.TooFewSignatures);
    }

    // A backup of the server's data folder: the tree as it was, the database, the online key.

    [Fact]
    public async Task A_stolen_backup_holds_no_key_that_signs_releases_and_its_old_state_is_refused()
    {
        var backup = fleet.CopyOf();
        fleet.Release(Bearing, "1.1.0");
        fleet.Plan(Bearing, "1.1.0");
        await FollowAsync(fleet.Device());

        // As it is: a rollback.
        await RefusedAsync(fleet.Device(repository: backup.Folder), Distrust.Rollback);
        // With its online key put to use, versions pushed past the present ones: choosing among signed releases is all there is to win.
        for (var i = 0; i < 5; i++)
            backup.Publish(fleet.Now, fleet.Online, [fleet.Online], ("rollouts", draft => draft.Put(backup.Put(RepositoryLayout.PlanTarget(Bearing), Fleet.PlanOf(Bearing, Evil, EvilManifest, serial: 9)))));
        await RefusedAsync(fleet.Device(repository: backup.Folder), Distrust.Rollback); // its snapshot names older releases than the device has seen
        await NotFoundAsync(backup, EvilPath);
    }

    // What a whole agent says of a repository.
    static async Task<string> TroubleAsync(Fleet fleet, Mirror mirror)
    {
        var trouble = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var agent = await CoppiceAgent.OpenAsync(new()
        {
            Data = Path.Combine(fleet.Folder, "agent"),
            Models = [Bearing],
            Repository = mirror.Folder,
            Root = fleet.Root.ToString(),
            Runtimes = [new TextRuntime()],
            Policy = new() { Poll = TimeSpan.FromMilliseconds(50), Retry = TimeSpan.FromMilliseconds(20) },
            OnEvent = happened =>
            {
                if (happened.Kind == AgentEventKind.Trouble)
                    trouble.TrySetResult(happened.Text);
            },
        });
        return await trouble.Task.WaitAsync(TimeSpan.FromSeconds(60));
    }

    static async Task<RolloutPlan> FollowAsync(TufRepository device)
    {
        await device.RefreshAsync(default);
        var bytes = await device.FindAsync(RepositoryLayout.PlanTarget(Bearing), RolloutPlan.MaxBytes, default);
        Assert.True(DocumentJson.TryRead(bytes!.Value.Span, out RolloutPlan? plan, out _));
        return plan;
    }

    // Wherever on its way to a plan, or to one target, the device refuses; and goes on with what it trusted.
    static Task RefusedAsync(TufRepository device, Distrust reason, string? path = null) => RefusedAsync(device, [reason], path);

    static async Task RefusedAsync(TufRepository device, Distrust[] reasons, string? path)
    {
        var refused = await Assert.ThrowsAsync<LinkException>(async () =>
        {
            await device.RefreshAsync(default);
            await device.FindAsync(path ?? RepositoryLayout.PlanTarget(Bearing), ReleaseManifest.MaxBytes, default);
            await device.FindAsync(Fleet.PathOf(Bearing, "1.0.0"), ReleaseManifest.MaxBytes, default);
        });
        Assert.Contains(Assert.IsType<UntrustedMetadataException>(refused.InnerException).Reason, reasons);
    }

    async Task NotFoundAsync(Mirror mirror, string path)
    {
        var device = fleet.Device(Path.GetRandomFileName(), mirror.Folder);
        await device.RefreshAsync(default);
        Assert.Null(await device.FindAsync(path, ReleaseManifest.MaxBytes, default));
    }
}
