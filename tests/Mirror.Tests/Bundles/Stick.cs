using Coppice.Agent.Link;
using Coppice.Agent.Link.Tuf;
using Coppice.Agent.Storage;
using Coppice.Mirror.Bundles;
using Coppice.Mirror.Tree;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Mirror.Tests.Bundles;

/// <summary>A folder that bundles are made in, and a site that takes them.</summary>
public sealed class Stick : IDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("coppice-stick-").FullName;

    public string PathOf(string name) => Path.Combine(Folder, name);

    public FolderDisk Site => new(PathOf("site"));

    public static BundleOrder Order(string? version = null) => new([(SignedRepository.Model, version is null ? null : SemanticVersion.Parse(version))]);

    /// <summary>Makes a bundle as the command does.</summary>
    public async Task<string> MakeAsync(SignedRepository from, BundleOrder? order = null, string name = "site.cpb", long? split = null, Func<BundleEntry, Task>? before = null)
    {
        var (source, files) = (new FolderSource(from.Folder), new FolderFiles(from.Folder));
        var store = new FloorStore(null);
        store.Write(TopLevelRole.Root, (await RootAnchor.FindAsync(source, from.Root, default))!.Value);
        var client = new TufClient(source, store);
        await client.RefreshAsync(SignedRepository.Now, default);
        var content = new BundleContent(source, files, (recipient, _) => Task.FromResult(File.Exists(from.PathOf(RepositoryLayout.GrantFile(recipient))) ? File.ReadAllBytes(from.PathOf(RepositoryLayout.GrantFile(recipient))) : null), client, PathOf("scratch"));
        var index = await content.GatherAsync(order ?? Order(), default);
        await new BundleWriter(PathOf(name), split).WriteAsync(index, async entry =>
        {
            if (before is not null)
                await before(entry);
            return await content.OpenAsync(entry);
        }, _ => { }, default);
        return PathOf(name);
    }

    /// <summary>Writes a bundle of files that nobody would make.</summary>
    public string Forge(IEnumerable<(string Path, byte[] Bytes)> files, string name = "forged.cpb")
    {
        var all = files.ToDictionary(file => file.Path, file => file.Bytes, StringComparer.Ordinal);
        var index = BundleIndex.Of(all.Select(file => (file.Key, (long)file.Value.Length, Sha256Digest.Of(file.Value))));
        using var written = File.Create(PathOf(name));
        written.Write(index.Write());
        foreach (var entry in index.Entries)
            written.Write(all[entry.Path]);
        return PathOf(name);
    }

    /// <summary>The files of a bundle.</summary>
    public static List<(string Path, byte[] Bytes)> Files(string bundle)
    {
        var file = BundleFile.Open(bundle);
        return [.. file.Index.Entries.Select(entry =>
        {
            using var stream = file.OpenRead(entry);
            var bytes = new byte[entry.Length];
            stream.ReadExactly(bytes);
            return (entry.Path, bytes);
        })];
    }

    public Task<AppliedBundle> ApplyAsync(string bundle, Sha256Digest? root, IDisk? site = null, TimeSpan grace = default, DateTimeOffset? now = null, params IReadOnlyList<IMetadataStore> others) =>
        new BundleApply(new(site ?? Site), grace).RunAsync(BundleFile.Open(bundle), others, root, now ?? SignedRepository.Now, _ => { }, default);

    /// <summary>What a device that reads the site's folder comes to trust: the newest release's file. Null when it trusts nothing.</summary>
    public static async Task<byte[]?> ServedAsync(IDisk site, Sha256Digest root, string version)
    {
        var source = new DiskSource(site);
        var store = new FloorStore(null);
        if (await RootAnchor.FindAsync(source, root, default) is not { } anchor)
            return null;
        store.Write(TopLevelRole.Root, anchor);
        var client = new TufClient(source, store, offlineGrace: TimeSpan.FromDays(300));
        try
        {
            await client.RefreshAsync(SignedRepository.Now, default);
        }
        catch (UntrustedMetadataException e) when (e.Reason == Distrust.Missing)
        {
            return null;
        }

        if (await client.GetTargetAsync(RepositoryLayout.ReleaseTarget(SignedRepository.Model.ToString(), version), default) is not { } target)
            return null;
        Assert.True(DocumentJson.TryRead((await client.DownloadTargetAsync(target, 1 << 20, default)).Span, out ReleaseManifest? manifest, out _));
        var file = manifest.Variants[0].Files[0];
        var bytes = site.ReadSmall(RepositoryLayout.BlobFile(file.Digest), 1 << 24)!;
        Assert.Equal(file.Digest, Sha256Digest.Of(bytes));
        return bytes;
    }

    /// <summary>A repository on any disk.</summary>
    public sealed class DiskSource(IDisk disk) : IMetadataSource
    {
        public Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel) => Read($"metadata/{fileName}", mostBytes);

        public Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel) => Read($"targets/{path}", mostBytes);

        Task<FetchedFile> Read(string path, int most) => Task.FromResult(disk.ReadSmall(path, most) is { } bytes ? new FetchedFile(FetchOutcome.Found, bytes, null) : FetchedFile.Absent);
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
