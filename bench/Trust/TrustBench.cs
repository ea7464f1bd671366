using System.Diagnostics;
using System.Globalization;
using Coppice.Agent.Link.Tuf;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Bench.Trust;

/// <summary>What trust costs a device: a poll that finds nothing new, and a full refresh of a repository with many delegations.</summary>
static class TrustBench
{
    const int Teams = 20;
    const int Releases = 50; // a role
    const int Turns = 7;

    public static async Task<int> RunAsync()
    {
        var folder = Directory.CreateTempSubdirectory("coppice-bench-trust-").FullName;
        try
        {
            var root = Build(folder);
            var source = new CountingSource(new FolderSource(folder));
            var now = DateTimeOffset.UtcNow;
            var client = new TufClient(source, new MemoryStore(), root);
            await client.RefreshAsync(now, CancellationToken.None);

            Console.WriteLine("| what | processor ms | requests |");
            Console.WriteLine("|---|---|---|");
            await MeasureAsync("poll that finds nothing new", 1000, source, () => client.PollAsync(now, CancellationToken.None));
            await MeasureAsync("poll that finds a timestamp signed anew, nothing else", 20, source, () => client.RefreshAsync(now, CancellationToken.None));
            await MeasureAsync($"full refresh from the first root, and the one role a device needs of {Teams} teams", 20, source, async () =>
            {
                var fresh = new TufClient(source, new MemoryStore(), root);
                await fresh.RefreshAsync(now, CancellationToken.None);
                _ = await fresh.GetTargetAsync(PathOf(Teams - 1, 0), CancellationToken.None);
            });
            await MeasureAsync($"full refresh, all {Teams} team roles and {Teams * Releases} releases", 10, source, async () =>
            {
                var fresh = new TufClient(source, new MemoryStore(), root);
                await fresh.RefreshAsync(now, CancellationToken.None);
                for (var team = 0; team < Teams; team++)
                    _ = await fresh.GetTargetAsync(PathOf(team, 0), CancellationToken.None);
            });
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static string PathOf(int team, int release) => $"releases/team{team}/model/1.{release}.0.json";

    static async Task MeasureAsync(string what, int runs, CountingSource source, Func<Task> work)
    {
        var warm = Stopwatch.StartNew();
        while (warm.ElapsedMilliseconds < 2_000)
            await work(); // compiled by now, at the last tier
        var times = new List<double>();
        var before = source.Requests;
        for (var turn = 0; turn < Turns; turn++)
        {
            var start = Process.GetCurrentProcess().TotalProcessorTime;
            for (var i = 0; i < runs; i++)
                await work();
            times.Add((Process.GetCurrentProcess().TotalProcessorTime - start).TotalMilliseconds / runs);
        }
        times.Sort();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {what} | {times[Turns / 2]:0.000} | {(source.Requests - before) / (double)(runs * Turns):0.#} |"));
    }

    static byte[] Build(string folder)
    {
        var now = DateTimeOffset.UtcNow;
        using var online = SigningKey.Create();
        SigningKey[] rootKeys = [SigningKey.Create(), SigningKey.Create(), SigningKey.Create()], releaseKeys = [SigningKey.Create(), SigningKey.Create(), SigningKey.Create()];
        RoleOfKeys Of(int threshold, params SigningKey[] keys) => new(threshold, [.. keys.Select(key => key.Public)]);
        IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> Signed(SigningRequest request, params SigningKey[] keys) => keys.Aggregate(request, (signed, key) => signed.Sign(key, out _)).Metadata;
        var tree = RepositoryTree.OpenFolder(folder, online);
        tree.Initialise(Signed(KeyCeremony.Create(new Dictionary<string, RoleOfKeys>
        {
            ["root"] = Of(2, rootKeys),
            ["targets"] = Of(2, rootKeys),
            ["releases"] = Of(2, releaseKeys),
            ["snapshot"] = Of(1, online),
            ["timestamp"] = Of(1, online),
            ["rollouts"] = Of(1, online),
        }, now), [rootKeys[0], rootKeys[1], releaseKeys[0], releaseKeys[1]]), now);
        for (var team = 0; team < Teams; team++)
        {
            using var key = SigningKey.Create();
            if (!TeamPattern.TryParse($"team{team}/*", out var pattern))
                throw new FormatException($"team{team}/*");
            tree.Apply(Signed(KeyCeremony.Delegate($"t{team}", [pattern], Of(1, key), tree.CurrentOffline(), null, now), [rootKeys[0], rootKeys[2], key]), [], now);
            var manifests = Enumerable.Range(0, Releases).Select(release => (Path: PathOf(team, release), Bytes: System.Text.Encoding.UTF8.GetBytes($"{team} {release}"))).ToArray();
            var role = tree.CurrentRole($"team-t{team}");
            tree.AddReleases([.. manifests.Select(manifest => (ReadOnlyMemory<byte>)manifest.Bytes)], ReleaseSigning.Prepare(role, [.. manifests.Select(manifest => new TargetInfo(manifest.Path, manifest.Bytes))], now, null, key), now, role.Role);
        }
        return File.ReadAllBytes(Path.Combine(folder, "metadata/1.root.json"));
    }

    sealed class CountingSource(IMetadataSource inner) : IMetadataSource
    {
        public long Requests { get; private set; }

        public Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel)
        {
            Requests++;
            return inner.FetchMetadataAsync(fileName, mostBytes, knownTag, cancel);
        }

        public Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel)
        {
            Requests++;
            return inner.FetchTargetAsync(path, mostBytes, cancel);
        }
    }

    sealed class MemoryStore : IMetadataStore
    {
        readonly Dictionary<string, ReadOnlyMemory<byte>> files = [];

        public ReadOnlyMemory<byte>? Read(string role) => files.TryGetValue(role, out var bytes) ? bytes : (ReadOnlyMemory<byte>?)null;

        public void Write(string role, ReadOnlyMemory<byte> bytes) => files[role] = bytes;

        public void Delete(string role) => files.Remove(role);
    }
}
