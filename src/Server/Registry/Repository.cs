using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Server.Registry;

/// <summary>The signed tree of this server, with the online keys: all that a running server needs.</summary>
sealed class Repository : IDisposable
{
    readonly OnlineKeys online;

    Repository(ITreeFiles files, OnlineKeys online, RepositoryLifetimes? lifetimes)
    {
        (Files, this.online) = (files, online);
        Tree = new RepositoryTree(files, online, lifetimes);
        FirstRoot = Sha256Digest.Of(RepositoryState.ReadFile(files, RepositoryLayout.MetadataFileName(TopLevelRole.Root, 1))
            ?? throw new InvalidDataException("The repository has no 1.root.json, by which devices trust it; restore it from the backup."));
    }

    /// <summary>A repository that is there, and the keys in hand for it.</summary>
    internal static Repository Over(ITreeFiles files, OnlineKeys online) => new(files, online, null);

    /// <summary>Where the tree is.</summary>
    public ITreeFiles Files { get; }

    public RepositoryTree Tree { get; }

    /// <summary>SHA-256 of <c>1.root.json</c>: what a device pins.</summary>
    public Sha256Digest FirstRoot { get; }

    /// <summary>The folder of this machine in which a path of the tree is, if it is in one.</summary>
    public string? FolderOf(string path) => (Files is SplitTree split && SplitTree.IsLarge(path) ? split.Large : Files) is TreeFolder folder ? folder.Root : null;

    /// <summary>Opens the repository; makes it, and its keys, when there is none.</summary>
    /// <param name="data">Holds the keys.</param>
    /// <param name="files">Where the tree is.</param>
    /// <param name="lifetimes">How long metadata is trusted; null for the defaults.</param>
    /// <param name="now">The clock.</param>
    /// <param name="made">Told of the folder of new online keys before anything is signed with them.</param>
    /// <remarks>The keys get their place only once the tree is whole, so that a start that was cut short is begun again, or finished.</remarks>
    /// <exception cref="InvalidDataException">There is a tree, but not its online key.</exception>
    public static Repository Open(DataFolder data, ITreeFiles files, RepositoryLifetimes? lifetimes, DateTimeOffset now, Action<string>? made = null)
    {
        var newKeys = data.Keys + ".part";
        if (!HasTree(files))
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
            made?.Invoke(newOnline);
            new RepositoryTree(files, keys.Online, lifetimes).Initialise(keys, now);
        }

        if (Directory.Exists(newKeys))
            Directory.Move(newKeys, data.Keys);
        var online = OnlineKeys.InFolder(data.OnlineKeys);
        return online.Count > 0
            ? new(files, online, lifetimes)
            : throw new InvalidDataException($"There is a repository, but its online key is not in {data.OnlineKeys}; restore it from the backup, or have another signed in: coppice root rotate-online. A further server on the database of others is given their --cluster-key.");
    }

    /// <summary>Whether the repository has been made.</summary>
    public static bool HasTree(ITreeFiles files) => files.Length(RepositoryLayout.MetadataFileName(TopLevelRole.Timestamp, null)) is not null;

    /// <summary>The keys in hand that sign plans.</summary>
    /// <exception cref="UntrustedMetadataException">There are fewer than the targets ask for.</exception>
    public SigningKey[] PlanKeys() => online.For(MetadataFile.ReadTargets(Tree.CurrentTargets()).Signed, RepositoryLayout.RolloutsRole);

    /// <summary>A model's plan; null when nobody has rolled out a release of it.</summary>
    public RolloutPlan? Plan(ModelName model) =>
        Tree.ReadTarget(RepositoryLayout.PlanTarget(model.ToString())) is { } bytes && DocumentJson.TryRead(bytes.Span, out RolloutPlan? plan, out _) ? plan : null;

    /// <summary>A release's manifest; null when it is not here.</summary>
    public ReleaseManifest? Manifest(ModelName model, SemanticVersion release) =>
        Tree.ReadTarget(RepositoryLayout.ReleaseTarget(model.ToString(), release.ToString())) is { } bytes && DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out _) ? manifest : null;

    /// <summary>Blobs of a manifest that are not here, each digest once.</summary>
    public ImmutableArray<BlobName> Missing(ReleaseManifest manifest) => [.. manifest.Blobs.Where(blob => Tree.BlobLength(blob.Digest) is null)];

    public void Dispose()
    {
        ((Files as SplitTree)?.Large as IDisposable)?.Dispose();
        online.Dispose();
    }
}
