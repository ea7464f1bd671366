using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>Each way of a file to a device, through real processes: what crosses the network is what the way promises.</summary>
public sealed class WaysTests
{
    const string Model = "test/ways";

    static WaysTests()
    {
        // As an operator gives them to the server; the store knows this pair.
        Environment.SetEnvironmentVariable("AWS_ACCESS_KEY_ID", "S3RVER");
        Environment.SetEnvironmentVariable("AWS_SECRET_ACCESS_KEY", "S3RVER");
    }

    static byte[] Random(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>A safetensors file; its metadata decide how long its head is.</summary>
    static byte[] Safetensors(string note, params (string Name, byte[] Bytes)[] tensors)
    {
        var (head, at) = (new StringBuilder($"{{\"__metadata__\":{{\"note\":\"{note}\"}}"), 0);
        foreach (var (name, bytes) in tensors)
        {
            head.Append(CultureInfo.InvariantCulture, $",\"{name}\":{{\"dtype\":\"U8\",\"shape\":[{bytes.Length}],\"data_offsets\":[{at},{at + bytes.Length}]}}");
            at += bytes.Length;
        }

        var text = Encoding.UTF8.GetBytes(head.Append('}').ToString());
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, text.Length);
        return [.. length, .. text, .. tensors.SelectMany(tensor => tensor.Bytes)];
    }

    static async Task PublishAsync(Site site, string version, params (string Name, byte[] Bytes)[] files)
    {
        var folder = Directory.CreateDirectory(site.PathOf($"release-{version}")).FullName;
        foreach (var (name, bytes) in files)
            await File.WriteAllBytesAsync(Path.Combine(folder, name), bytes);
        await site.PublishAsync(Model, version, [.. files.Select(file => Path.Combine(folder, file.Name))]);
    }

    static async Task<RolloutView> BringAsync(Site site, string version)
    {
        var rollout = await site.RollOutAsync(Model, version);
        await site.CompleteAsync(rollout.Id);
        await site.EverywhereAsync(version);
        return (await site.Control.GetRolloutAsync(rollout.Id)).Rollout;
    }

    static long Came(RolloutView rollout, string way) => rollout.BytesByWay.GetValueOrDefault(way);

    static async Task AwaitPatchAsync(Site site, string version, Func<ReleaseDetail, bool> there) => await Site.UntilAsync(
        async () => there(await site.Control.GetReleaseAsync(ModelName.Parse(Model), SemanticVersion.Parse(version))), $"a patch to {version}");

    [Theory]
    [InlineData("server")]
    [InlineData("nginx")]
    [InlineData("bucket")] // the server sends devices on to signed addresses
    public async Task Only_the_tensors_that_changed_come_from_the_server_a_static_mirror_and_a_bucket(string place)
    {
        await using var bucket = place == "bucket" ? await Peer.StartAsync("object-store.mjs") : null;
        var store = bucket is null ? null : $"http://127.0.0.1:{bucket.Ready.GetProperty("port").GetInt32()}/";
        await using var site = await Site.StartAsync(["--no-patches", .. store is null ? [] : (string[])["--blobs", $"s3://models/fleet?endpoint={store}", "--blob-urls", "signed"]]);
        await using var mirror = place == "nginx" ? await StaticMirror.StartAsync(site.PathOf("server", "repository")) : null;
        var (backbone, more) = (Random(1, 900_000), Random(2, 300_000));
        var (head, tail) = (Random(3, 40_000), Random(4, 25_000));
        await PublishAsync(site, "1.0.0", ("model.safetensors", Safetensors("first", ("backbone", backbone), ("head", Random(5, 40_000)), ("more", more), ("tail", Random(6, 25_000)))));
        string[] from = mirror is null ? [] : ["--repository", mirror.Address.ToString()];
        site.StartAgent("till", ["--model", Model, .. from]);
        await BringAsync(site, "1.0.0");

        // The head's place moves, for the metadata are longer; the order of two tensors changes too.
        await PublishAsync(site, "2.0.0", ("model.safetensors", Safetensors("second, with more to say", ("more", more), ("head", head), ("backbone", backbone), ("tail", tail))));
        var done = await BringAsync(site, "2.0.0");

        Assert.Equal(backbone.Length + more.Length, Came(done, "copied"));
        Assert.InRange(Came(done, "ranges"), head.Length + tail.Length, head.Length + tail.Length + 4_000); // the head of the file, and the map
        Assert.Equal(0, Came(done, "whole"));
        Assert.Equal(Came(done, "ranges"), done.BytesFetched);
        if (mirror is not null) // nginx gives several ranges with one answer
            Assert.Contains(mirror.Requests, request => request.Status == 206 && request.Range.Contains(',', StringComparison.Ordinal));
        if (store is not null)
        {
            using var http = new HttpClient();
            var reads = JsonElement.Parse(await http.GetStringAsync(new Uri(store + "-/reads"))).EnumerateArray().ToList();
            Assert.All(reads, read => Assert.StartsWith("coppice-agent/", read.GetProperty("agent").GetString(), StringComparison.Ordinal));
            Assert.All(reads, read => Assert.Null(read.GetProperty("proof").GetString())); // who the device is goes to nobody else
            Assert.Contains(reads, read => read.GetProperty("range").GetString() is not null);
            Assert.Contains(reads, read => read.GetProperty("range").GetString() is null);
        }

        var (exit, output) = await OutputAsync(site, "agent", "history", "--data", site.PathOf("till"));
        Assert.Equal(0, exit);
        Assert.Contains("comes as ranges that differ", output, StringComparison.Ordinal);
        Assert.Contains("copied 1.2 MB", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_base_and_its_adapter_become_the_merged_model_by_one_patch()
    {
        await using var site = await Site.StartAsync();
        var (main, adapter) = (Random(1, 60_000), Random(2, 20_000));
        await PublishAsync(site, "1.0.0", ("model.bin", main), ("adapter.bin", adapter));
        site.StartAgent("till", "--model", Model);
        await BringAsync(site, "1.0.0");

        await PublishAsync(site, "2.0.0", ("model.bin", [.. main[..30_000], .. adapter, .. main[30_000..]]));
        await AwaitPatchAsync(site, "2.0.0", release => release.Patches.Any(patch => patch.From.Length == 2));
        var done = await BringAsync(site, "2.0.0");

        Assert.InRange(Came(done, "patch"), 1, 5_000);
        Assert.Equal(0, Came(done, "whole") + Came(done, "ranges"));
    }

    [Fact]
    public async Task A_device_that_holds_nothing_fetches_the_compressed_form()
    {
        await using var site = await Site.StartAsync();
        var bytes = Encoding.UTF8.GetBytes(string.Join(' ', Enumerable.Range(0, 12_000).Select(i => $"word-{i * 7919 % 5003}")));
        await PublishAsync(site, "1.0.0", ("vocabulary.txt", bytes));
        await AwaitPatchAsync(site, "1.0.0", release => release.Patches.Any(patch => patch.From.IsEmpty));
        site.StartAgent("till", "--model", Model);
        var first = await BringAsync(site, "1.0.0");
        Assert.InRange(Came(first, "compressed"), 1, bytes.Length / 2);
        Assert.Equal(0, Came(first, "whole"));
    }

    [Fact]
    public async Task A_device_that_was_away_for_a_release_comes_by_the_patches_that_were_made_for_the_others()
    {
        await using var site = await Site.StartAsync();
        var bytes = Random(1, 200_000);
        await PublishAsync(site, "1.0.0", ("model.bin", bytes));
        string[] stay = ["till-1", "till-2"];
        foreach (var name in (string[])["away", .. stay])
            site.StartAgent(name, "--model", Model);
        await BringAsync(site, "1.0.0");
        Assert.Equal(0, await site.Agent("away").TerminateAsync(CancellationToken.None));

        await PublishAsync(site, "2.0.0", ("model.bin", [.. Random(2, 500), .. bytes[500..]]));
        await AwaitPatchAsync(site, "2.0.0", release => release.Patches.Any(patch => patch.From.Length == 1));
        var second = await site.RollOutAsync(Model, "2.0.0");
        await Site.UntilAsync(async () => (await site.Control.ListDevicesAsync()).Devices.Count(device => device.Models.Single() is { Settled: true } model && model.Serving?.ToString() == "2.0.0") == stay.Length, "2.0.0 where devices are");
        await site.Control.HoldAsync(second.Id, "the next comes at once");

        // Most devices have the second release: its patch is worth the most, and with it the one that was away needs none of its own.
        await PublishAsync(site, "3.0.0", ("model.bin", [.. Random(2, 500), .. bytes[500..199_000], .. Random(3, 1_000)]));
        var from = (await site.Control.GetReleaseAsync(ModelName.Parse(Model), SemanticVersion.Parse("2.0.0"))).Manifest.Files.Single(file => file.Name == "model.bin").Digest;
        await AwaitPatchAsync(site, "3.0.0", release => release.Patches.Any(patch => patch.From.Contains(from)));
        site.StartAgent("away", "--model", Model);
        var done = await BringAsync(site, "3.0.0");

        Assert.InRange(Came(done, "chain"), 1, 5_000);
        Assert.InRange(Came(done, "patch"), 1, 5_000);
        Assert.True(done.BytesByWay.Values.Sum() is > 0 and < 10_000, string.Join(", ", done.BytesByWay)); // three updates of 200,000 bytes
    }

    [Fact]
    public async Task When_every_patch_is_damaged_the_update_still_comes()
    {
        await using var site = await Site.StartAsync();
        var bytes = Random(1, 200_000);
        await PublishAsync(site, "1.0.0", ("model.bin", bytes));
        site.StartAgent("till", "--model", Model);
        await BringAsync(site, "1.0.0");

        await PublishAsync(site, "2.0.0", ("model.bin", [.. Random(2, 60_000), .. bytes[60_000..]]));
        await AwaitPatchAsync(site, "2.0.0", release => !release.Patches.IsEmpty);
        foreach (var patch in Directory.EnumerateFiles(site.PathOf("server", "repository", "patches"), "*.cpp", SearchOption.AllDirectories))
        {
            var damaged = await File.ReadAllBytesAsync(patch);
            damaged[damaged.Length / 2] ^= 1;
            await File.WriteAllBytesAsync(patch, damaged);
        }

        var done = await BringAsync(site, "2.0.0");

        // By ranges: the file is of no known format, and cut in pieces from its beginning.
        Assert.Equal(200_000 - 65_536, Came(done, "copied"));
        Assert.InRange(Came(done, "ranges"), 65_536, 70_000);
        var (_, output) = await OutputAsync(site, "agent", "history", "--data", site.PathOf("till"));
        Assert.Single(output.Split('\n'), line => line.Contains("of no use for model.bin", StringComparison.Ordinal));
    }

    static async Task<(int Exit, string Output)> OutputAsync(Site site, params string[] arguments)
    {
        var start = new System.Diagnostics.ProcessStartInfo(Site.Program, arguments) { RedirectStandardOutput = true, WorkingDirectory = site.Folder };
        using var process = System.Diagnostics.Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output);
    }
}
