using Coppice.Cli.Quickstart;

namespace Coppice.EndToEnd;

/// <summary>A second release of a real graph comes as a patch on the first.</summary>
public sealed class PatchedReleaseTests
{
    [Fact]
    public async Task The_next_release_of_a_real_graph_crosses_the_network_as_a_patch()
    {
        var models = BearingReleases.Make(seed: 7, devices: 1, windowsPerDevice: 8);
        await using var site = await Site.StartAsync();
        await PublishAsync(site, "1.0.0", models.Releases[0].Onnx);
        site.StartAgent("till-1", "--model", "demo/bearing");
        await site.CompleteAsync((await site.RollOutAsync("demo/bearing", "1.0.0")).Id);

        await PublishAsync(site, "1.1.0", models.Releases[1].Onnx);
        var patches = site.PathOf("server", "repository", "patches");
        await Site.UntilAsync(() => Task.FromResult(Directory.Exists(patches) && Directory.EnumerateFiles(patches, "*.cpp", SearchOption.AllDirectories).Any()), "a patch made after publishing");
        var rollout = await site.RollOutAsync("demo/bearing", "1.1.0");
        await site.CompleteAsync(rollout.Id);

        var done = (await site.Control.GetRolloutAsync(rollout.Id)).Rollout;
        var length = models.Releases[1].Onnx.Length;
        Console.WriteLine($"{done.BytesFetched} of {length} bytes crossed the network.");
        Assert.Equal(length, done.BytesTotal);
        Assert.InRange(done.BytesFetched, 1, (long)(0.6 * length));
    }

    static async Task PublishAsync(Site site, string version, ReadOnlyMemory<byte> onnx)
    {
        var file = site.PathOf($"bearing-{version}.onnx");
        await File.WriteAllBytesAsync(file, onnx);
        await site.PublishAsync("demo/bearing", version, file);
    }
}
