using System.Diagnostics;
using System.Globalization;
using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Delivery;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Bench.Delivery;

/// <summary>What crosses the network by each way of a file to a device.</summary>
/// <remarks>
/// <c>ways pairs FOLDER</c>: for each folder with <c>old.*</c> and <c>new.*</c>, the bytes of the new file whole, compressed, as a patch from the old one, and as the
/// ranges that differ with their map. <c>ways memory [MEGABYTES]</c>: memory of putting a file together of which every tenth tensor changed.
/// </remarks>
static class WaysBench
{
    /// <summary>A request and its answer for a range of its own.</summary>
    const int RangeCost = 500;

    public static async Task<int> RunAsync(string[] args)
    {
        switch (args)
        {
            case ["pairs", var folder]:
                Pairs(folder);
                return 0;
            case ["memory", .. var size]:
                await MemoryAsync(size is [var megabytes] ? int.Parse(megabytes, CultureInfo.InvariantCulture) : 1_000);
                return 0;
            default:
                Console.Error.WriteLine("Say what to measure: ways pairs FOLDER | ways memory [MEGABYTES]");
                return 2;
        }
    }

    static void Pairs(string folder)
    {
        Say($"| pair | whole | compressed | patch | ranges | map | requests | copied |");
        Say($"|---|---|---|---|---|---|---|---|");
        foreach (var pair in Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal))
        {
            if (Directory.GetFiles(pair, "old.*") is not [var from] || Directory.GetFiles(pair, "new.*") is not [var to])
                continue;
            var (old, made) = (File.ReadAllBytes(from), File.ReadAllBytes(to));
            var (compressed, patch) = (Length([], made), Length([old], made));
            var (missing, map, requests, copied) = Ranges(old, made);
            Say($"| {Path.GetFileName(pair)} | {made.Length} | {Share(compressed, made.Length)} | {Share(patch, made.Length)} | {Share(missing, made.Length)} | {map} | {requests} | {Share(copied, made.Length)} |");
        }
    }

    static long Length(byte[][] old, byte[] made)
    {
        using var patch = new MemoryStream();
        PatchEncoder.Create([.. old.Select(bytes => PatchSource.Of(new MemorySource(bytes)))], PatchSource.Of(new MemorySource(made)), patch);
        return patch.Length;
    }

    static (long Missing, int Map, int Requests, long Copied) Ranges(byte[] old, byte[] made)
    {
        var tensors = RangeCut.TensorsOf(new MemorySource(made));
        var cut = RangeCut.For(tensors)!;
        var map = RangeMap.Of(new MemorySource(made), new(Sha256Digest.Of(made), made.Length), tensors, cut);
        var held = RangeMap.Of(new MemorySource(old), new(Sha256Digest.Of(old), old.Length), RangeCut.TensorsOf(new MemorySource(old)), cut);
        var digests = Enumerable.Range(0, held.Count).Select(held.DigestOf).ToHashSet();
        var (missing, requests, copied, before) = (0L, 0, 0L, false);
        for (var i = 0; i < map.Count; i++)
        {
            var here = digests.Contains(map.DigestOf(i));
            (missing, copied) = here ? (missing, copied + map.LengthOf(i)) : (missing + map.LengthOf(i), copied);
            requests += !here && !before ? 1 : 0;
            before = !here;
        }

        var length = map.Write().Length;
        return (missing + length + requests * RangeCost, length, requests, copied);
    }

    static async Task MemoryAsync(int megabytes)
    {
        var folder = Directory.CreateTempSubdirectory("coppice-bench-").FullName;
        try
        {
            var disk = new FolderDisk(Path.Combine(folder, "data"));
            var repository = Path.Combine(folder, "repository");
            var (old, file) = (Write(Path.Combine(folder, "data", "blobs"), megabytes, changed: false), Write(Path.Combine(repository, "blobs", "sha256"), megabytes, changed: true));
            var map = Map(Path.Combine(repository, RepositoryLayout.BlobFile(file.Digest)), file);
            var mapName = new BlobName(Sha256Digest.Of(map), map.Length);
            var place = Path.Combine(repository, RepositoryLayout.BlobFile(mapName.Digest));
            Directory.CreateDirectory(Path.GetDirectoryName(place)!);
            File.WriteAllBytes(place, map);
            file = file with { TensorMap = mapName };

            var blobs = new BlobStore(disk, long.MaxValue);
            var way = new RangedBlob(disk, blobs, new FolderFiles(repository), () => [old], new(0, TimeProvider.System), TimeSpan.FromSeconds(30), TimeProvider.System);
            GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            var memory = new PeakMemory();
            var came = new Dictionary<DeliveryWay, long>();
            var watch = Stopwatch.StartNew();
            await new FilePuller(disk, blobs, [way]).PullAsync(file, (how, bytes) => came[how] = came.GetValueOrDefault(how) + bytes, default);
            var took = watch.Elapsed;
            await memory.StopAsync();
            Say($"{megabytes} MB put together in {took.TotalSeconds:0.0} s, the old file's ranges found out on the way: {came[DeliveryWay.Ranges] / 1e6:0.0} MB came, {came[DeliveryWay.Copied] / 1e6:0.0} MB were copied, the map has {map.Length} bytes; right: {blobs.Holds(file, default)}");
            Console.WriteLine(memory);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Tensors of 1 MB in a safetensors file; of the changed one every tenth is another.</summary>
    static ReleaseFile Write(string store, int megabytes, bool changed)
    {
        Directory.CreateDirectory(store);
        var path = Path.Combine(store, "new");
        var head = System.Text.Encoding.UTF8.GetBytes($"{{{string.Join(',', Enumerable.Range(0, megabytes).Select(i => $"\"layer.{i}\":{{\"dtype\":\"U8\",\"shape\":[1000000],\"data_offsets\":[{i * 1_000_000L},{(i + 1) * 1_000_000L}]}}"))}}}");
        using (var stream = File.Create(path))
        {
            stream.Write(BitConverter.GetBytes((long)head.Length));
            stream.Write(head);
            var block = new byte[1_000_000];
            for (var i = 0; i < megabytes; i++)
            {
                new Random(changed && i % 10 == 0 ? -i - 1 : i).NextBytes(block);
                stream.Write(block);
            }
        }

        Sha256Digest digest;
        using (var stream = File.OpenRead(path))
            digest = new(System.Security.Cryptography.SHA256.HashData(stream));
        var length = new FileInfo(path).Length;
        var hex = digest.ToString();
        Directory.CreateDirectory(Path.Combine(store, hex[..2]));
        File.Move(path, Path.Combine(store, hex[..2], hex));
        return new("model.safetensors", digest, length);
    }

    static byte[] Map(string path, ReleaseFile file)
    {
        using var stream = File.OpenRead(path);
        var source = new StreamSource(stream);
        var tensors = RangeCut.TensorsOf(source);
        return RangeMap.Of(source, file.Blob, tensors, RangeCut.For(tensors)!).Write();
    }

    static string Share(long bytes, long of) => string.Create(CultureInfo.InvariantCulture, $"{bytes} ({100.0 * bytes / of:0.0} %)");

    /// <summary>Resident bytes of this process that no file backs.</summary>
    static void Say(FormattableString text) => Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
