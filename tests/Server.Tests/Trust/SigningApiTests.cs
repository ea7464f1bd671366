using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Server.Tests.Trust;

public sealed class SigningApiTests : IAsyncLifetime
{
    static readonly ModelName Ocr = ModelName.Parse("vision/ocr");

    readonly SigningKey vera = SigningKey.Create("vera");
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync();

    public async Task DisposeAsync()
    {
        vera.Dispose();
        await server.DisposeAsync();
    }

    Coppice.Server.Trust.RepositoryTree Tree => server.Get<Coppice.Server.Registry.Repository>().Tree;

    SigningKey Offline(string name) => SigningKey.Import(File.ReadAllBytes(Path.Combine(server.Plane.First!.OfflineKeys, name + ".pem")));

    static ApplyMetadata Files(SigningRequest request) => new([.. request.Metadata.Select(file => new RoleMetadataFile(file.Key, file.Value.ToArray()))]);

    SigningRequest Delegation(params SigningKey[] signers)
    {
        Assert.True(TeamPattern.TryParse("vision/*", out var vision));
        var request = KeyCeremony.Delegate("vision", [vision], new(1, [vera.Public]), Tree.CurrentOffline(), null, server.Time.GetUtcNow());
        return signers.Aggregate(request, (signed, key) => signed.Sign(key, out _));
    }

    [Fact]
    public async Task A_new_server_says_who_signs_what()
    {
        var repository = await server.Client.GetRepositoryAsync();

        Assert.Equal(["root", "targets", "releases", "rollouts", "snapshot", "timestamp"], repository.Roles.Select(role => role.Role));
        Assert.Equal([false, false, false, true, true, true], repository.Roles.Select(role => role.Online));
        Assert.Equal("releases-1", repository.Roles[2].Keys.Single().Name);
        Assert.Empty(repository.Warnings);
    }

    [Fact]
    public async Task Signatures_decide_what_is_put_in_force_not_the_operators_token()
    {
        using var targets = Offline("targets");
        var unsigned = await Assert.ThrowsAsync<ControlException>(() => server.Client.ApplyMetadataAsync(Files(Delegation(vera))));
        Assert.Equal("/problems/untrusted-metadata", unsigned.Type);

        var request = Files(Delegation(targets, vera));
        Assert.True((await server.Client.ApplyMetadataAsync(request)).Changed);
        var again = await server.Client.ApplyMetadataAsync(request);
        Assert.False(again.Changed);
        Assert.Equal("releases/vision/*/*", again.Repository.Roles.Single(role => role.Role == "team-vision").Paths.Single());
        Assert.Equal("signed offline: targets 2, team-vision 1", Assert.Single((await server.Client.ListEventsAsync()).Events, happened => happened.Kind == EventKind.KeysChanged).Why);
    }

    [Fact]
    public async Task Old_metadata_half_a_step_and_an_online_role_are_refused()
    {
        using SigningKey targets = Offline("targets"), root = Offline("root-1");
        var request = Delegation(targets, vera);
        var half = await Assert.ThrowsAsync<ControlException>(() => server.Client.ApplyMetadataAsync(new([new("targets", request.Metadata[0].Value.ToArray())])));
        Assert.Equal("/problems/stale-metadata", half.Type);
        Assert.Contains("team-vision", half.Detail, StringComparison.Ordinal);

        var online = await Assert.ThrowsAsync<ControlException>(() => server.Client.ApplyMetadataAsync(new([new("timestamp", request.Metadata[0].Value.ToArray())])));
        Assert.Equal("/problems/stale-metadata", online.Type);
        var twice = await Assert.ThrowsAsync<ControlException>(() => server.Client.ApplyMetadataAsync(new([])));
        Assert.Equal("/problems/validation", twice.Type);

        var renewed = KeyCeremony.Change("Renew.", Tree.CurrentOffline(), [], ["targets"], server.Time.GetUtcNow()).Sign(targets, out _);
        await server.Client.ApplyMetadataAsync(Files(renewed));
        var late = await Assert.ThrowsAsync<ControlException>(() => server.Client.ApplyMetadataAsync(Files(request)));
        Assert.Contains("version 2 does not follow 2", late.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_teams_release_is_published_with_the_teams_key_alone()
    {
        using var targets = Offline("targets");
        await server.Client.ApplyMetadataAsync(Files(Delegation(targets, vera)));
        var (manifest, blob) = RunningServer.MakeRelease("1.0.0", Ocr);
        await server.Client.PutBlobAsync(Sha256Digest.Of(blob), new MemoryStream(blob), blob.Length);

        // Signed with the release keys, as before: these have no say in vision/* any more.
        var stranger = await Assert.ThrowsAsync<ControlException>(() => server.Client.PublishAsync(Ocr, new(manifest, server.Sign(manifest, "1.0.0", Ocr))));
        Assert.Equal("/problems/untrusted-metadata", stranger.Type);

        var request = KeyCeremony.Release(Tree.CurrentOffline(), RepositoryLayout.ReleaseTarget("vision/ocr", "1.0.0"), manifest, server.Time.GetUtcNow()).Sign(vera, out _);
        var release = await server.Client.PublishAsync(Ocr, new(manifest, request.Metadata.Single().Value.ToArray()));
        Assert.Equal(Sha256Digest.Of(manifest), release.Digest);
        await server.PublishAsync("1.0.0"); // plant/bearing still is the release keys'
    }

    [Fact]
    public async Task A_team_role_near_its_end_is_told_of_by_the_API_and_by_readyz()
    {
        using var targets = Offline("targets");
        await server.Client.ApplyMetadataAsync(Files(Delegation(targets, vera)));
        server.Time.Advance(TimeSpan.FromDays(275));
        await server.JudgeAsync();

        var warnings = (await server.Client.GetRepositoryAsync()).Warnings;
        Assert.Contains(warnings, warning => warning.StartsWith("'team-vision' expires in 90 days", StringComparison.Ordinal));
        Assert.Equal(["root", "targets", "team-vision", "releases"], warnings.Select(warning => warning.Split('\'')[1]));
        Assert.Contains("'team-vision' expires in 90 days", await server.Anyone.GetStringAsync("readyz"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_running_server_takes_up_a_new_online_key_when_the_root_asks_for_it()
    {
        using SigningKey targets = Offline("targets"), root = Offline("root-1"), fresh = SigningKey.Create("online 2");
        var keys = new[] { "snapshot", "timestamp", "rollouts" }.ToDictionary(role => role, _ => fresh.Public);
        var request = KeyCeremony.RotateOnline(Tree.CurrentOffline(), keys, server.Time.GetUtcNow()).Sign(root, out _).Sign(targets, out _);

        var missing = await Assert.ThrowsAsync<ControlException>(() => server.Client.ApplyMetadataAsync(Files(request)));
        Assert.Contains("online key", missing.Detail, StringComparison.Ordinal);
        var folder = Path.Combine(server.Plane.Data, "keys", "online");
        await File.WriteAllBytesAsync(Path.Combine(folder, "online-2.pem"), fresh.Export());
        await server.Client.ApplyMetadataAsync(Files(request));
        File.Delete(Path.Combine(folder, "online.pem"));

        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");
        Assert.NotNull(await server.PlanAsDeviceAsync());
        Assert.Equal("online 2", (await server.Client.GetRepositoryAsync()).Roles.Single(role => role.Role == "rollouts").Keys.Single().Name);
    }
}
