using Coppice.Delivery;
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

    static bool Has(RunningServer server, Sha256Digest from, Sha256Digest to) => server.Get<Repository>().Tree.PatchLength([from], to) is not null;

    /// <summary>Bytes that a device which holds one blob fetches to have another.</summary>
    static long Cost(RunningServer server, Sha256Digest from, Sha256Digest to, int length = 60_000) =>
        PatchChoice.CostNow(new(new(to, length), [new(from, length)], 1), server.Get<Repository>().Tree.PatchesTo);

    static string[] Patches(RunningServer server)
    {
        var folder = Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, "patches");
        return Directory.Exists(folder) ? Directory.GetFiles(folder, "*.cpp", SearchOption.AllDirectories) : [];
    }

    [Fact]
    public async Task A_release_that_is_published_over_one_that_was_rolled_out_gets_a_patch_that_makes_it()
    {
        await using var server = await StartAsync();
        var from = await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");
        var to = await PublishAsync(server, "2.0.0", Tuned(2));

        await MakeAsync(server);

        var path = "repository/" + RepositoryLayout.PatchFile([from], to);
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

        Assert.Equal(3, server.Get<PatchWorker>().NotWorth); // from 1.0.0, and each by itself
        Assert.Empty(Patches(server));
        Assert.Empty(Directory.GetFiles(Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, ".partial")));
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
            File.Delete(Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, RepositoryLayout.PatchFile([second], third)));
        }

        await using (var again = await StartAsync(data: data))
        {
            await MakeAsync(again);
            Assert.True(Has(again, first, second) && Has(again, second, third));
            Assert.InRange(Cost(again, first, third), 1, 5_000); // by the row over the second
        }

        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task What_most_devices_run_comes_first_and_the_rest_get_along_with_a_row()
    {
        await using var server = await StartAsync(options => options with { Patches = false });
        var digests = new List<Sha256Digest>();
        for (var i = 1; i <= 3; i++)
            digests.Add(await PublishAsync(server, $"{i}.0.0", Tuned(10 + i)));
        await server.StartRolloutAsync("2.0.0");
        await (await server.EnrolAsync("till-0")).SayAsync(Report(1, ReportKind.Settled, "1.0.0", rollout: null));
        await MakeAsync(server);
        for (var i = 1; i <= 5; i++)
            await (await server.EnrolAsync($"till-{i}")).SayAsync(Report(1, ReportKind.Settled, "2.0.0", rollout: null));
        var fourth = await PublishAsync(server, "4.0.0", Tuned(14));

        await MakeAsync(server);

        Assert.True(Has(server, digests[1], fourth));
        Assert.True(Has(server, digests[0], digests[1]));
        Assert.False(Has(server, digests[0], fourth)); // a patch of its own would save one device some hundred bytes
        Assert.InRange(Cost(server, digests[0], fourth), 1, 5_000);
    }

    [Fact]
    public async Task A_patch_from_a_base_and_its_adapter_together_is_made_when_it_is_smaller()
    {
        await using var server = await StartAsync();
        var (main, adapter) = (Weights(1), Weights(50, 20_000));
        byte[] merged = [.. main[..40_000], .. adapter, .. main[40_000..]];
        async Task<ReleaseFile> PutAsync(string name, byte[] bytes)
        {
            var file = new ReleaseFile(name, Sha256Digest.Of(bytes), bytes.Length);
            await server.Client.PutBlobAsync(file.Digest, new MemoryStream(bytes), bytes.Length);
            return file;
        }

        var (a, b, c) = (await PutAsync("model.bin", main), await PutAsync("adapter.bin", adapter), await PutAsync("model.bin", merged));
        foreach (var (version, files) in new (string, ReleaseFile[])[] { ("1.0.0", [a, b]), ("2.0.0", [c]) })
        {
            var manifest = DocumentJson.Write(new ReleaseManifest(1, Bearing, V(version), [new("fp32", [.. files], ModelFormat.Opaque)]));
            await server.Client.PublishAsync(Bearing, new(manifest, server.Sign(manifest, version)));
            if (version == "1.0.0")
                await server.StartRolloutAsync(version);
        }

        await MakeAsync(server);

        var tree = server.Get<Repository>().Tree;
        Assert.InRange(tree.PatchLength([a.Digest, b.Digest], c.Digest)!.Value, 1, 1_000);
        Assert.Equal(tree.PatchLength([a.Digest, b.Digest], c.Digest), PatchChoice.CostNow(new(c.Blob, [a.Blob, b.Blob], 1), tree.PatchesTo));
        using var patch = File.OpenRead(Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, RepositoryLayout.PatchFile([a.Digest, b.Digest], c.Digest)));
        using var made = new MemoryStream();
        PatchDecoder.Apply(patch, [new MemorySource(main), new MemorySource(adapter)], made);
        Assert.Equal(merged, made.ToArray());
    }

    [Fact]
    public async Task A_file_that_compresses_is_there_compressed_for_devices_that_hold_nothing()
    {
        await using var server = await StartAsync();
        var bytes = new byte[200_000];
        for (var i = 0; i < bytes.Length; i++)
            bytes[i] = (byte)(i / 1000);
        var to = await PublishAsync(server, "1.0.0", bytes);

        await MakeAsync(server);

        var tree = server.Get<Repository>().Tree;
        Assert.InRange(tree.PatchLength([], to)!.Value, 1, 20_000);
        using var made = new MemoryStream();
        using var patch = File.OpenRead(Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, RepositoryLayout.PatchFile([], to)));
        PatchDecoder.Apply(patch, [], made);
        Assert.Equal(bytes, made.ToArray());
    }

    [Fact]
    public async Task The_index_of_a_blob_is_served_to_be_asked_for_again_and_tells_its_patches()
    {
        await using var server = await StartAsync();
        var from = await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");
        var to = await PublishAsync(server, "2.0.0", Tuned(2));
        await MakeAsync(server);

        using var answer = await server.Anyone.GetAsync("repository/" + RepositoryLayout.PatchIndexFile(to));

        Assert.Equal("no-cache", answer.Headers.CacheControl!.ToString());
        Assert.True(DocumentJson.TryRead(await answer.Content.ReadAsByteArrayAsync(), out PatchIndex? index, out var problems), string.Join("; ", problems));
        Assert.Equal(new(to, 60_000), index.To);
        var entry = Assert.Single(index.Patches);
        Assert.Equal(new BlobName(from, 60_000), Assert.Single(entry.From));
        Assert.Equal(new FileInfo(Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, entry.File(to))).Length, entry.Length);
        var detail = await server.Client.GetReleaseAsync(Bearing, V("2.0.0"));
        Assert.Equal(("bearing-2.0.0.bin", entry.Length), (Assert.Single(detail.Patches).File, detail.Patches[0].Length));
    }

    [Fact]
    public async Task A_patch_that_no_device_needs_any_more_goes_after_a_week()
    {
        await using var server = await StartAsync(options => options with { Patches = false });
        var first = await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");
        var till = await server.EnrolAsync("till-0");
        await till.SayAsync(Report(1, ReportKind.Settled, "1.0.0", rollout: null));
        var second = await PublishAsync(server, "2.0.0", Tuned(2));
        await MakeAsync(server);
        Assert.True(Has(server, first, second));
        await server.Client.HoldAsync("r-1", "a test");
        await server.StartRolloutAsync("2.0.0");
        await server.Client.HoldAsync("r-2", "a test");
        await till.SayAsync(Report(2, ReportKind.Settled, "2.0.0", rollout: null));
        for (var i = 3; i <= 5; i++)
        {
            await PublishAsync(server, $"{i}.0.0", Tuned(i));
            await server.StartRolloutAsync($"{i}.0.0");
            if (i < 5)
                await server.Client.HoldAsync($"r-{i}", "a test");
        }

        await MakeAsync(server); // 1.0.0 is no longer among what devices run or what was rolled out last
        Assert.True(Has(server, first, second));
        server.Time.Advance(TimeSpan.FromDays(6));
        await MakeAsync(server);
        Assert.True(Has(server, first, second));
        server.Time.Advance(TimeSpan.FromDays(1));
        await MakeAsync(server);

        Assert.False(Has(server, first, second));
        Assert.False(File.Exists(Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, RepositoryLayout.PatchFile([first], second))));
        Assert.Null(server.Get<Repository>().Tree.PatchesTo(second));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Several_threads_make_the_same_patches(int threads)
    {
        await using var server = await StartAsync(options => options with { Patches = false, PatchThreads = threads });
        var digests = new List<Sha256Digest>();
        for (var i = 1; i <= 4; i++)
            digests.Add(await PublishAsync(server, $"{i}.0.0", Weights(i, 30_000)[..10_000].Concat(Weights(9, 50_000)).ToArray()));
        for (var i = 0; i < 3; i++)
            await (await server.EnrolAsync($"till-{i}")).SayAsync(Report(1, ReportKind.Settled, $"{i + 1}.0.0", rollout: null));

        Assert.Equal(3, await MakeAsync(server));

        Assert.All(digests[..3], from => Assert.True(Has(server, from, digests[3])));
        Assert.Empty(Directory.GetFiles(Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, ".partial")));
    }

    [Fact]
    public async Task A_blob_that_is_gone_holds_nobody_up()
    {
        await using var server = await StartAsync();
        var gone = await PublishAsync(server, "1.0.0", Weights(1));
        await server.StartRolloutAsync("1.0.0");
        File.Delete(Path.Combine(server.Get<Repository>().FolderOf("metadata/timestamp.json")!, RepositoryLayout.BlobFile(gone)));
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
