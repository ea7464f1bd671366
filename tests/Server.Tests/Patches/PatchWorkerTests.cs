using Coppice.Delta;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Patches;
using Coppice.Server.Registry;
using Coppice.Trust;
using static Coppice.Server.Tests.RunningServer;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Patches;

public sealed class PatchWorkerTests
{
    static byte[] Weights(int seed, int length = 60_000)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>The first weights with a few others among them.</summary>
    static byte[] Tuned(int seed)
    {
        var bytes = Weights(1);
        Weights(seed, 200).CopyTo(bytes, 5_000);
        return bytes;
    }

    static async Task<Sha256Digest> PublishAsync(RunningServer server, string version, byte[] bytes)
    {
        var file = new ReleaseFile($"bearing-{version}.bin", Sha256Digest.Of(bytes), bytes.Length);
        var manifest = DocumentJson.Write(new ReleaseManifest(1, Bearing, V(version), [new("fp32", [file], ModelFormat.Opaque)]));
        await server.Client.PutBlobAsync(file.Digest, new MemoryStream(bytes), bytes.Length);
        await server.Client.PublishAsync(Bearing, new(manifest, server.Sign(manifest, version)));
        return file.Digest;
    }

    static Task<int> MakeAsync(RunningServer server) => server.Get<PatchWorker>().MakeAsync(CancellationToken.None);

    static bool Has(RunningServer server, Sha256Digest from, Sha256Digest to) => server.Get<Repository>().Tree.PatchLength(from, to) is not null;

    static string[] Patches(RunningServer server)
    {
        var folder = Path.Combine(server.Get<Repository>().Folder, "patches");
        return Directory.Exists(folder) ? Directory.GetFiles(folder, "*", SearchOption.AllDirectories) : [];
    }

    [Fact]
    public async Task A_release_that_is_published_over_one_that_was_rolled_out_gets_a_patch_that_makes_it()
    {
        await using var server = await StartAsync();
        var from = await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");
        var to = await PublishAsync(server, "2.0.0", Tuned(2));

        await MakeAsync(server);

        var path = "repository/" + RepositoryLayout.PatchFile(from, to);
        using var head = await server.Anyone.SendAsync(new(HttpMethod.Head, path));
        var patch = await server.Anyone.GetByteArrayAsync(path);
        Assert.Equal(patch.Length, head.Content.Headers.ContentLength);
        Assert.Contains("immutable", head.Headers.CacheControl!.ToString(), StringComparison.Ordinal);
        Assert.InRange(patch.Length, 1, 2_000);
        using var made = new MemoryStream();
        PatchDecoder.Apply(new MemoryStream(patch), [new MemorySource(Weights(1))], made);
        Assert.Equal(Tuned(2), made.ToArray());
        Assert.Equal(0, await MakeAsync(server)); // it is there
    }

    [Fact]
    public async Task Publishing_wakes_the_worker()
    {
        await using var server = await StartAsync();
        var from = await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");

        var to = await PublishAsync(server, "2.0.0", Tuned(2)); // the clock's timers never fire in this test

        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!Has(server, from, to))
        {
            patience.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    [Fact]
    public async Task Patches_come_from_the_three_releases_that_matter_most()
    {
        await using var server = await StartAsync(options => options with { Patches = false }); // the worker would make others on the way
        var digests = new List<Sha256Digest>();
        for (var i = 1; i <= 5; i++)
            digests.Add(await PublishAsync(server, $"{i}.0.0", Tuned(10 + i)));
        // Most devices serve 2.0.0, one serves 1.0.0; 3.0.0 and 4.0.0 were rolled out, 4.0.0 last.
        for (var i = 0; i < 3; i++)
            await (await server.EnrolAsync($"till-{i}")).SayAsync(Report(1, ReportKind.Settled, i == 0 ? "1.0.0" : "2.0.0", rollout: null));
        foreach (var (number, version) in new[] { (1, "3.0.0"), (2, "4.0.0") })
        {
            await server.StartRolloutAsync(version);
            await server.Client.HoldAsync($"r-{number}", "a test");
        }

        await server.StartRolloutAsync("5.0.0");
        await MakeAsync(server);

        Assert.Equal([true, true, false, true], digests[..4].Select(from => Has(server, from, digests[4])));
    }

    [Fact]
    public async Task What_does_not_pay_is_not_stored_and_not_tried_again()
    {
        await using var server = await StartAsync();
        await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");
        await PublishAsync(server, "2.0.0", Weights(2));

        await MakeAsync(server);
        await MakeAsync(server);

        Assert.Equal(1, server.Get<PatchWorker>().NotWorth);
        Assert.Empty(Patches(server));
        Assert.Empty(Directory.GetFiles(Path.Combine(server.Get<Repository>().Folder, ".partial")));
    }

    [Theory]
    [InlineData(59_999, 60_000)] // too large
    [InlineData(1_000_000, 4_000)] // too small
    public async Task Files_beyond_the_limits_are_left_alone(long largest, int length)
    {
        await using var server = await StartAsync(options => options with { LargestPatched = largest });
        await PublishAsync(server, "1.0.0", Weights(1, length));
        await server.StartRolloutAsync("1.0.0");
        await PublishAsync(server, "2.0.0", [.. Weights(1, length)[..^1], 7]);

        Assert.Equal(0, await MakeAsync(server));
        Assert.Empty(Patches(server));
    }

    [Fact]
    public async Task A_server_told_to_make_none_makes_none_by_itself()
    {
        await using var server = await StartAsync(options => options with { Patches = false });
        await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");
        await PublishAsync(server, "2.0.0", Tuned(2));

        Assert.True(server.Get<PatchWorker>().ExecuteTask!.IsCompletedSuccessfully);
        Assert.Empty(Patches(server));
    }

    [Fact]
    public async Task A_restart_makes_what_is_missing_and_leaves_what_is_there()
    {
        var data = NewFolder();
        Sha256Digest first, second, third;
        await using (var server = await StartAsync(data: data))
        {
            first = await PublishAsync(server, "1.0.0", Weights(1));
            await server.StartRolloutAsync("1.0.0");
            second = await PublishAsync(server, "2.0.0", Tuned(2));
            await MakeAsync(server);
            Assert.True(Has(server, first, second));
            await server.Client.HoldAsync("r-1", "a test");
            await server.StartRolloutAsync("2.0.0");
            third = await PublishAsync(server, "3.0.0", Tuned(3));
            await MakeAsync(server);
            File.Delete(Path.Combine(server.Get<Repository>().Folder, RepositoryLayout.PatchFile(second, third)));
        }

        await using (var again = await StartAsync(data: data))
        {
            await MakeAsync(again);
            Assert.True(Has(again, first, second) && Has(again, second, third) && Has(again, first, third));
        }

        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task A_blob_that_is_gone_holds_nobody_up()
    {
        await using var server = await StartAsync();
        var gone = await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");
        File.Delete(Path.Combine(server.Get<Repository>().Folder, RepositoryLayout.BlobFile(gone)));
        await PublishAsync(server, "2.0.0", Tuned(2));

        Assert.Equal(0, await MakeAsync(server));
    }

    [Fact]
    public async Task A_file_that_lies_about_its_format_is_patched_as_bytes()
    {
        await using var server = await StartAsync();
        byte[] Lying(int seed) => [.. "GGUF"u8, 3, 0, 0, 0, .. Enumerable.Repeat((byte)0xff, 16), .. Tuned(seed)]; // 2^64 - 1 tensors
        var from = await PublishAsync(server, "1.0.0", Lying(2));
        await server.StartRolloutAsync("1.0.0");
        var to = await PublishAsync(server, "2.0.0", Lying(3));

        await MakeAsync(server);

        Assert.True(Has(server, from, to));
    }
}
