using Coppice.Cli.Quickstart;
using Coppice.Trust;

namespace Coppice.EndToEnd;

/// <summary>Sealed releases of a real graph through real processes.</summary>
public sealed class SealedReleaseTests
{
    static readonly Lazy<BearingReleases> Models = new(() => BearingReleases.Make(seed: 7, devices: 1, windowsPerDevice: 8));

    [Fact]
    public async Task A_sealed_release_serves_where_it_is_granted_and_its_plaintext_lies_nowhere_else()
    {
        var keys = Directory.CreateTempSubdirectory("coppice-sealing-").FullName;
        using (var key = SealingKey.Create())
            await File.WriteAllBytesAsync(Path.Combine(keys, "server.pem"), key.Export());
        await using var site = await Site.StartAsync("--sealing-key", Path.Combine(keys, "server.pem"));
        await DoneAsync(site, "model", "seal", "demo/bearing", "--for", "site = oslo");
        await PublishAsync(site, "1.0.0", 0, "--sealed");
        site.StartAgent("till-oslo", "--model", "demo/bearing");
        site.StartAgent("till-bergen", "--model", "demo/bearing");
        await Site.UntilAsync(async () => (await site.Control.ListDevicesAsync()).Devices.Length == 2, "both devices joined");
        await site.Control.LabelDeviceAsync("till-oslo", [KeyValuePair.Create("site", "oslo")]);
        var first = await site.RollOutAsync("demo/bearing", "1.0.0");
        await ServesAsync(site, "till-oslo", "1.0.0");

        // The next release is sealed by itself, and comes as a sealed patch.
        await PublishAsync(site, "1.1.0", 1);
        var repository = site.PathOf("server", "repository");
        var (from, to) = (Sha256Digest.Of(Models.Value.Releases[0].Onnx.Span), Sha256Digest.Of(Models.Value.Releases[1].Onnx.Span));
        await Site.UntilAsync(() => Task.FromResult(File.Exists(Path.Combine(repository, RepositoryLayout.PatchFile([from], to)))), "a sealed patch");
        await site.Control.HoldAsync(first.Id, "it waits for the device in Bergen, which cannot read it");
        var rollout = await site.RollOutAsync("demo/bearing", "1.1.0");
        await ServesAsync(site, "till-oslo", "1.1.0");
        var fetched = (await site.Control.GetRolloutAsync(rollout.Id)).Rollout.BytesFetched;
        Console.WriteLine($"{fetched} of {Models.Value.Releases[1].Onnx.Length} bytes came to the entitled device.");
        Assert.InRange(fetched, 1, (long)(0.7 * Models.Value.Releases[1].Onnx.Length));

        Assert.All((await site.Control.GetDeviceAsync("till-bergen")).Models, known => Assert.Null(known.Serving));
        await Site.UntilAsync(async () => (await site.StatusAsync(site.PathOf("till-bergen"))).GetRawText().Contains("not among the devices that are entitled", StringComparison.Ordinal), "the device in Bergen saying why");
        foreach (var release in Models.Value.Releases.Take(2))
        {
            Assert.NotEmpty(Holding(site.PathOf("till-oslo"), release.Onnx.Span));
            Assert.Empty(Holding(site.PathOf("till-bergen"), release.Onnx.Span));
            Assert.Empty(Holding(site.PathOf("server"), release.Onnx.Span));
        }

        var (exit, errors) = await site.RunAsync("publish", "demo/bearing", "1.2.0", site.PathOf("bearing-1.1.0.onnx"), "--unsealed");
        Assert.Equal(2, exit);
        Assert.Contains("must be sealed", errors, StringComparison.Ordinal);
        Directory.Delete(keys, recursive: true);
    }

    [Fact]
    public async Task A_release_granted_offline_to_a_group_serves_from_a_stick_that_tells_nothing()
    {
        await using var site = await Site.StartAsync(); // keeps no keys
        var keys = site.PathOf("keys");
        await DoneAsync(site, "seal", "key", "-o", Path.Combine(keys, "oslo"));
        foreach (var device in new[] { "member", "stranger", "late" })
            await File.WriteAllTextAsync(site.PathOf(device + ".pub"), await DoneAsync(site, "agent", "sealing-key", "--data", site.PathOf(device)));
        await DoneAsync(site, "seal", "member", Path.Combine(keys, "oslo"), "--to", site.PathOf("member.pub"));
        await PublishAsync(site, "1.0.0", 0, "--seal-to", Path.Combine(keys, "oslo.pub"));
        await site.RollOutAsync("demo/bearing", "1.0.0");

        var grants = Path.Combine(site.PathOf("server", "repository"), "grants");
        await DoneAsync(site, "seal", "grant", "demo/bearing", "1.0.0", "--to", site.PathOf("late.pub"));
        Assert.Equal(3, Directory.GetFiles(grants).Length); // member, group, late
        await DoneAsync(site, "seal", "withdraw", "--to", site.PathOf("late.pub"));
        Assert.Contains("No grant", await DoneAsync(site, "seal", "show", Directory.GetFiles(grants).MinBy(path => new FileInfo(path).Length)!), StringComparison.Ordinal);

        var stick = site.PathOf("stick");
        Copy(site.PathOf("server", "repository"), stick);
        await site.KillServerAsync();
        Assert.Empty(Holding(stick, Models.Value.Releases[0].Onnx.Span));
        var root = Sha256Digest.Of(await File.ReadAllBytesAsync(Path.Combine(stick, "metadata", "1.root.json"))).ToString();
        site.StartOfflineAgent("member", "--repository", stick, "--root", root, "--model", "demo/bearing");
        site.StartOfflineAgent("stranger", "--repository", stick, "--root", root, "--model", "demo/bearing");
        await Site.UntilAsync(async () => (await site.StatusAsync(site.PathOf("member"))).GetRawText().Contains("\"release\":\"1.0.0\"", StringComparison.Ordinal), "the member serving");
        await Site.UntilAsync(async () => (await site.StatusAsync(site.PathOf("stranger"))).GetRawText().Contains("grants this device nothing", StringComparison.Ordinal), "the stranger saying why");
        Assert.NotEmpty(Holding(site.PathOf("member"), Models.Value.Releases[0].Onnx.Span));
        Assert.Empty(Holding(site.PathOf("stranger"), Models.Value.Releases[0].Onnx.Span));

        // The publisher's own way back to the plaintext.
        var offline = site.PathOf("server", "keys", "offline");
        var blob = Directory.EnumerateFiles(Path.Combine(stick, "blobs"), "*", SearchOption.AllDirectories).Single(path => Starts(path, "CPS1"u8));
        Assert.Contains("a file", await DoneAsync(site, "seal", "show", blob), StringComparison.Ordinal);
        await DoneAsync(site, "seal", "open", blob, "--model", "demo/bearing", "--keys", offline, "-o", site.PathOf("again.onnx"));
        Assert.Equal(Models.Value.Releases[0].Onnx.ToArray(), await File.ReadAllBytesAsync(site.PathOf("again.onnx")));
    }

    static async Task PublishAsync(Site site, string version, int release, params string[] more)
    {
        var file = site.PathOf($"bearing-{version}.onnx");
        await File.WriteAllBytesAsync(file, Models.Value.Releases[release].Onnx);
        await site.PublishAsync("demo/bearing", version, [file, .. more]);
    }

    static Task ServesAsync(Site site, string device, string version) => Site.UntilAsync(
        async () => (await site.Control.GetDeviceAsync(device)).Models is [{ Settled: true } model] && model.Serving?.ToString() == version, $"{device} serving {version}");

    static async Task<string> DoneAsync(Site site, params string[] arguments)
    {
        var (exit, output, errors) = await site.OutputAsync(arguments);
        Assert.True(exit == 0, $"{string.Join(' ', arguments)} ended with {exit}: {errors}");
        return output;
    }

    static bool Starts(string path, ReadOnlySpan<byte> with) => File.ReadAllBytes(path).AsSpan().StartsWith(with);

    /// <summary>Files that hold a run of a file's weights: 24 bytes from its middle, which no other file has by chance.</summary>
    static List<string> Holding(string folder, ReadOnlySpan<byte> onnx)
    {
        var run = onnx.Slice(onnx.Length / 2, 24).ToArray();
        return [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(path => Bytes(path).AsSpan().IndexOf(run) >= 0)];
    }

    static byte[] Bytes(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = new byte[stream.Length];
            return bytes[..stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)];
        }
        catch (IOException e) when (e is FileNotFoundException or DirectoryNotFoundException || path.Contains(".partial", StringComparison.Ordinal) || Path.GetFileName(path).EndsWith("lock", StringComparison.Ordinal)) // replaced meanwhile, or held by its process
        {
            return [];
        }
    }

    static void Copy(string from, string to)
    {
        foreach (var path in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(path => !Path.GetRelativePath(from, path).StartsWith('.')))
        {
            var copy = Path.Combine(to, Path.GetRelativePath(from, path));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(path, copy);
        }
    }
}
