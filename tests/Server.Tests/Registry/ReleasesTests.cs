using Coppice.Client;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Registry;
using Coppice.Trust;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Registry;

public class ReleasesTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<ControlException> RefusedAsync(byte[] manifest, byte[] metadata) =>
        await Assert.ThrowsAsync<ControlException>(() => server.Client.PublishAsync(Bearing, new(manifest, metadata)));

    async Task<byte[]> MakeAsync(string version)
    {
        var (manifest, blob) = MakeRelease(version);
        await server.Client.PutBlobAsync(Sha256Digest.Of(blob), new MemoryStream(blob), blob.Length);
        return manifest;
    }

    [Fact]
    public async Task A_release_is_published_listed_and_found()
    {
        await server.PublishAsync("1.0.0");
        var published = await server.PublishAsync("1.10.0");

        var model = await server.Client.GetModelAsync(Bearing);
        Assert.Equal(["1.10.0", "1.0.0"], model.Releases.Select(release => release.Version.ToString()));
        Assert.Equal(("1.10.0", 2), (model.Model.Latest!.ToString(), model.Model.Releases));
        Assert.Equal(Bearing, Assert.Single(await server.Client.ListModelsAsync()).Name);
        var detail = await server.Client.GetReleaseAsync(Bearing, V("1.10.0"));
        Assert.Equal((published.Digest, "fp32", "admin"), (detail.Release.Digest, detail.Manifest.Variants[0].Name, detail.Release.PublishedBy));
        Assert.Equal(2, (await server.Client.ListEventsAsync()).Events.Count(e => e.Kind == EventKind.ReleasePublished));
    }

    [Fact]
    public async Task The_same_bytes_again_change_nothing_and_other_bytes_under_the_version_are_refused()
    {
        var manifest = await MakeAsync("1.0.0");
        var metadata = server.Sign(manifest, "1.0.0");
        var first = await server.Client.PublishAsync(Bearing, new(manifest, metadata));

        Assert.Equal(first.PublishedAt, (await server.Client.PublishAsync(Bearing, new(manifest, metadata))).PublishedAt);
        Assert.Single((await server.Client.ListEventsAsync()).Events, e => e.Kind == EventKind.ReleasePublished);
        foreach (var version in new[] { "1.0.0", "1.0.0+other" }) // build metadata makes no other version
        {
            DocumentJson.TryRead(manifest, out ReleaseManifest? same, out _);
            var other = DocumentJson.Write(same! with { Version = V(version), Notes = "changed" });
            Assert.Equal("/problems/release-exists", (await RefusedAsync(other, metadata)).Type);
        }
    }

    [Fact]
    public async Task All_missing_blobs_are_named()
    {
        ReleaseFile[] files = [new("a.bin", Sha256Digest.Of([1]), 1), new("b.bin", Sha256Digest.Of([2]), 1)];
        var manifest = DocumentJson.Write(new ReleaseManifest(1, Bearing, V("1.0.0"), [new("fp32", [.. files], ModelFormat.Opaque)]));

        var refused = await RefusedAsync(manifest, [1]);

        Assert.Equal("/problems/missing-blobs", refused.Type);
        Assert.Equal(files.Select(file => file.Digest), refused.Problem.Missing!.Value);
    }

    [Fact]
    public async Task A_manifest_that_breaks_rules_is_told_all_of_them()
    {
        var manifest = DocumentJson.Write(new ReleaseManifest(9, Bearing, V("1.0.0"), [new("bad name", [new("../up", Sha256Digest.Of([1]), -1)], ModelFormat.Opaque)]));

        Assert.Equal(
            ["manifest.schema", "manifest.variants[0].files[0].length", "manifest.variants[0].files[0].name", "manifest.variants[0].name"],
            (await RefusedAsync(manifest, [1])).Problem.Errors!.Keys.Order());
        Assert.Equal("/problems/validation", (await RefusedAsync([1, 2, 3], [1])).Type);
    }

    [Fact]
    public async Task Metadata_made_before_another_release_came_is_stale()
    {
        var (first, second) = (await MakeAsync("1.0.0"), await MakeAsync("1.1.0"));
        var (forFirst, forSecond) = (server.Sign(first, "1.0.0"), server.Sign(second, "1.1.0"));
        await server.Client.PublishAsync(Bearing, new(first, forFirst));

        Assert.Equal("/problems/stale-metadata", (await RefusedAsync(second, forSecond)).Type);
        await server.Client.PublishAsync(Bearing, new(second, server.Sign(second, "1.1.0")));
    }

    [Fact]
    public async Task Metadata_signed_by_another_key_or_for_another_name_is_refused()
    {
        var manifest = await MakeAsync("1.0.0");
        using var stranger = SigningKey.Create();
        var forged = ReleaseSigning.Prepare(server.Get<Repository>().Tree.CurrentReleases(), RepositoryLayout.ReleaseTarget("plant/bearing", "1.0.0"), manifest, stranger, server.Time.GetUtcNow());

        Assert.Equal("/problems/untrusted-metadata", (await RefusedAsync(manifest, forged)).Type);
        Assert.Equal("/problems/untrusted-metadata", (await RefusedAsync(manifest, [1, 2])).Type);
        Assert.Equal(["releasesMetadata"], (await RefusedAsync(manifest, server.Sign(manifest, "2.0.0"))).Problem.Errors!.Keys);
        Assert.Equal(["manifest.model"], (await Assert.ThrowsAsync<ControlException>(() => server.Client.PublishAsync(ModelName.Parse("plant/other"), new(manifest, [1])))).Problem.Errors!.Keys);
        Assert.Empty(await server.Client.ListModelsAsync());
    }

    [Fact]
    public async Task A_release_that_reached_the_tree_but_not_the_tables_is_entered_at_the_next_start()
    {
        var data = NewFolder();
        await using (var first = await StartAsync(data: data))
        {
            var (manifest, blob) = MakeRelease("1.0.0");
            await first.Client.PutBlobAsync(Sha256Digest.Of(blob), new MemoryStream(blob), blob.Length);
            first.Get<Repository>().Tree.AddRelease(manifest, first.Sign(manifest, "1.0.0"), first.Time.GetUtcNow());
            Assert.Empty(await first.Client.ListModelsAsync());
        }

        await using (var second = await StartAsync(data: data))
            Assert.Equal("1.0.0", (await second.Client.ListModelsAsync())[0].Latest!.ToString());
        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task A_revoked_release_is_barred_in_the_plan_takes_its_rollout_back_and_stays_so()
    {
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");

        await server.Client.RevokeAsync(Bearing, V("1.0.0"), "leaks");
        var again = await server.Client.RevokeAsync(Bearing, V("1.0.0"), "another reason");

        Assert.Equal("leaks", again.Revoked!.Why);
        var plan = (await server.PlanAsDeviceAsync())!;
        Assert.Equal(("1.0.0", 2L, Coppice.Rollouts.RolloutState.Reverted), (Assert.Single(plan.Revoked).ToString(), plan.Serial, plan.Rollouts[0].State));
        Assert.Equal("/problems/release-revoked", (await Assert.ThrowsAsync<ControlException>(() => server.StartRolloutAsync("1.0.0"))).Type);
        Assert.Equal("/problems/revoked-for-ever", (await server.Operator.DeleteAsync("v1/models/plant/bearing/releases/1.0.0/revoke").ProblemAsync(409)).Type);
        Assert.Null((await server.Client.GetModelAsync(Bearing)).Model.Latest);
        Assert.Equal(["why"], (await Assert.ThrowsAsync<ControlException>(() => server.Client.RevokeAsync(Bearing, V("1.0.0"), ""))).Problem.Errors!.Keys);
    }

    [Fact]
    public async Task What_is_not_there_is_not_found()
    {
        await server.Operator.GetAsync("v1/models/plant/bearing").ProblemAsync(404);
        await server.Operator.GetAsync("v1/models/Plant/bearing/releases/1.0.0").ProblemAsync(404);
        await server.Operator.GetAsync("v1/models/plant/bearing/releases/one").ProblemAsync(404);
        await server.Operator.GetAsync("v1/models/plant/bearing/releases/1.0.0").ProblemAsync(404);
        await server.Operator.PostAsync("v1/models/plant/bearing/releases/1.0.0/revoke", Answers.Json("""{"why":"x"}""")).ProblemAsync(404);
    }
}
