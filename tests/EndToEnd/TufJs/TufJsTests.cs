using System.Diagnostics;
using System.Text.Json;
using Coppice.Server.Trust;
using Coppice.Tests;
using Coppice.Trust;

namespace Coppice.EndToEnd.TufJs;

/// <summary>tuf-js, the npm package, reads our repositories: what we write is TUF, not only what our own client takes for it.</summary>
public sealed class TufJsTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-tufjs-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task It_downloads_a_release_and_its_plan_from_our_server()
    {
        await using var site = await Site.StartAsync();
        var model = site.PathOf("model.bin");
        await File.WriteAllTextAsync(model, "weights");
        await site.PublishAsync("plant/bearing", "1.0.0", model);
        await site.RollOutAsync("plant/bearing", "1.0.0");

        var root = await File.ReadAllBytesAsync(site.PathOf("server", "repository", "metadata", "1.root.json"));
        var lines = await RunAsync(root, new { url = $"{site.Url}repository" }, "releases/plant/bearing/1.0.0.json", "rollouts/plant/bearing/plan.json", "releases/plant/bearing/9.9.9.json");

        Assert.Equal((await site.Control.GetReleaseAsync(Registry.ModelName.Parse("plant/bearing"), Registry.SemanticVersion.Parse("1.0.0"))).Release.Digest.ToString(), lines[0].Split(' ')[1]);
        Assert.Equal(Sha256Digest.HexLength, lines[1].Split(' ')[1].Length);
        Assert.EndsWith(" none", lines[2]);
    }

    [Fact]
    public async Task It_follows_a_folder_with_thresholds_teams_a_rotated_root_and_other_online_keys()
    {
        var now = TimeProvider.System.GetUtcNow();
        var repository = Path.Combine(folder, "repository");
        SigningKey[] root = [SigningKey.Create("a"), SigningKey.Create("b"), SigningKey.Create("c")], release = [SigningKey.Create("d"), SigningKey.Create("e")];
        using SigningKey team = SigningKey.Create("team"), next = SigningKey.Create("next"), online = SigningKey.Create("online"), snapshot = SigningKey.Create("snapshot"), timestamp = SigningKey.Create("timestamp"), rollouts = SigningKey.Create("rollouts");
        static RoleOfKeys Of(int threshold, params SigningKey[] keys) => new(threshold, [.. keys.Select(key => key.Public)]);
        static IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> Signed(SigningRequest request, params SigningKey[] keys) => keys.Aggregate(request, (signed, key) => signed.Sign(key, out _)).Metadata;

        using var keys = OnlineKeys.Of(online, snapshot, timestamp, rollouts);
        var tree = RepositoryTree.OpenFolder(repository, keys);
        tree.Initialise(Signed(KeyCeremony.Create(new Dictionary<string, RoleOfKeys>
        {
            ["root"] = Of(2, root), ["targets"] = Of(2, root), ["releases"] = Of(2, release), ["snapshot"] = Of(1, online), ["timestamp"] = Of(1, online), ["rollouts"] = Of(1, online),
        }, now), root[0], root[1], release[0], release[1]), now);
        var first = tree.CurrentRoot().ToArray();
        Assert.True(TeamPattern.TryParse("vision/*", out var vision));
        tree.Apply(Signed(KeyCeremony.Delegate("vision", [vision], Of(1, team), tree.CurrentOffline(), null, now), root[0], root[2], team), [], now);
        foreach (var (path, signers) in new[] { ("releases/plant/bearing/1.0.0.json", release), ("releases/vision/ocr/2.0.0-rc.1+build.7.json", [team]) })
        {
            var manifest = System.Text.Encoding.UTF8.GetBytes(path);
            tree.Apply(Signed(KeyCeremony.Release(tree.CurrentOffline(), path, manifest, now), signers), [manifest], now);
        }
        tree.Apply(Signed(KeyCeremony.Change("Rotate.", tree.CurrentOffline(),
            [new("root") { Add = [next.Public], Remove = ["c"] }, new("targets") { Add = [next.Public], Remove = ["c"] }], [], now), root[0], root[1]), [], now);
        tree.Apply(Signed(KeyCeremony.RotateOnline(tree.CurrentOffline(), new Dictionary<string, PublicKey>
        {
            ["snapshot"] = snapshot.Public, ["timestamp"] = timestamp.Public, ["rollouts"] = rollouts.Public,
        }, now), root[1], next), [], now);
        tree.SetPlan("rollouts/plant/bearing/plan.json", "plan"u8.ToArray(), now);

        var names = new[] { "releases/plant/bearing/1.0.0.json", "releases/vision/ocr/2.0.0-rc.1+build.7.json", "rollouts/plant/bearing/plan.json", "releases/vision/ocr/1.0.0.json" };
        var lines = await RunAsync(first, new { folder = repository }, names);

        Assert.Equal(
            [$"{names[0]} {Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(names[0]))}", $"{names[1]} {Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(names[1]))}", $"{names[2]} {Sha256Digest.Of("plan"u8)}", $"{names[3]} none"],
            lines);
        foreach (var key in (SigningKey[])[.. root, .. release])
            key.Dispose();
    }

    async Task<string[]> RunAsync(byte[] root, object where, params string[] names)
    {
        var (metadata, targets) = (Directory.CreateDirectory(Path.Combine(folder, "metadata")).FullName, Directory.CreateDirectory(Path.Combine(folder, "targets")).FullName);
        await File.WriteAllBytesAsync(Path.Combine(metadata, "root.json"), root);
        var asked = JsonSerializer.SerializeToNode(where)!.AsObject();
        asked["packages"] = RepositoryRoot.Path;
        (asked["metadata"], asked["targets"], asked["names"]) = (metadata, targets, JsonSerializer.SerializeToNode(names));
        var start = new ProcessStartInfo("node") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(RepositoryRoot.Path, "tests", "EndToEnd", "TufJs", "download.js"));
        start.ArgumentList.Add(asked.ToJsonString());
        using var node = Process.Start(start)!;
        var (output, errors) = (node.StandardOutput.ReadToEndAsync(), node.StandardError.ReadToEndAsync());
        await node.WaitForExitAsync();
        Assert.True(node.ExitCode == 0, $"tuf-js ended with {node.ExitCode}: {await errors}");
        return (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
