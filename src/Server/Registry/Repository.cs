using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Server.Registry;

/// <summary>The signed tree of this server, with the online keys: all that a running server needs.</summary>
sealed class Repository : IDisposable
{
    readonly OnlineKeys online;

    Repository(string folder, OnlineKeys online, RepositoryLifetimes? lifetimes)
    {
        (Folder, this.online) = (folder, online);
        Tree = RepositoryTree.OpenFolder(folder, online, lifetimes);
        FirstRoot = Sha256Digest.Of(File.ReadAllBytes(Path.Combine(folder, RepositoryLayout.MetadataFileName(TopLevelRole.Root, 1))));
    }

    Repository(RepositoryTree tree, OnlineKeys online, Sha256Digest firstRoot) => (Folder, Tree, this.online, FirstRoot) = ("", tree, online, firstRoot);

    /// <summary>A repository that is in no folder of this machine.</summary>
    internal static Repository Over(ITreeFiles files, OnlineKeys online)
    {
        using var root = files.Open(RepositoryLayout.MetadataFileName(TopLevelRole.Root, 1)) ?? throw new FileNotFoundException("There is no first root; initialise the tree.");
        using var bytes = new MemoryStream();
        root.CopyTo(bytes);
        return new(new(files, online), online, Sha256Digest.Of(bytes.ToArray()));
    }

    /// <summary>Absolute; empty when it is in no folder.</summary>
    public string Folder { get; }

    public RepositoryTree Tree { get; }

    /// <summary>SHA-256 of <c>1.root.json</c>: what a device pins.</summary>
    public Sha256Digest FirstRoot { get; }

    /// <summary>Opens the repository; makes it, and its keys, when there is none.</summary>
    /// <remarks>The keys get their place only once the tree is whole, so that a start that was cut short is begun again, or finished.</remarks>
    /// <exception cref="InvalidDataException">There is a tree, but not its online key.</exception>
    public static Repository Open(DataFolder data, RepositoryLifetimes? lifetimes, DateTimeOffset now)
    {
        DataFolder.MakePrivate(data.Repository);
        var tree = new TreeFolder(data.Repository);
        var newKeys = data.Keys + ".part";
        if (tree.Length(RepositoryLayout.MetadataFileName(TopLevelRole.Timestamp, null)) is null)
        {
            if (Directory.Exists(newKeys))
                Directory.Delete(newKeys, recursive: true);
            var (newOnline, newOffline) = (Path.Combine(newKeys, DataFolder.Online), Path.Combine(newKeys, DataFolder.Offline));
            DataFolder.MakePrivate(newKeys);
            DataFolder.MakePrivate(newOnline);
            DataFolder.MakePrivate(newOffline);
            using var keys = RepositoryKeys.Create();
            keys.Save(newOffline);
            foreach (var file in Directory.GetFiles(newOffline, "online*"))
                File.Move(file, Path.Combine(newOnline, Path.GetFileName(file)));
            new RepositoryTree(tree, keys.Online, lifetimes).Initialise(keys, now);
        }

        if (Directory.Exists(newKeys))
            Directory.Move(newKeys, data.Keys);
        var online = OnlineKeys.InFolder(data.OnlineKeys);
        return online.Count > 0
            ? new(data.Repository, online, lifetimes)
            : throw new InvalidDataException($"{data.Repository} is a repository, but its online key is not in {data.OnlineKeys}; restore it from the backup, or have another signed in: coppice root rotate-online.");
    }

    /// <summary>The keys in hand that sign plans.</summary>
    /// <exception cref="UntrustedMetadataException">There are fewer than the targets ask for.</exception>
    public SigningKey[] PlanKeys() => online.For(MetadataFile.ReadTargets(Tree.CurrentTargets()).Signed, RepositoryLayout.RolloutsRole);

    /// <summary>Blobs of a manifest that are not here, each digest once.</summary>
    public ImmutableArray<BlobName> Missing(ReleaseManifest manifest) => [.. manifest.Blobs.Where(blob => Tree.BlobLength(blob.Digest) is null)];

    public void Dispose() => online.Dispose();
}
