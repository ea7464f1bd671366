using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Server.Tests.Trust;

/// <summary>A repository in a folder of its own, its keys, and a publisher.</summary>
sealed class TreeFixture : IDisposable
{
    public static readonly DateTimeOffset Now = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public string Folder { get; } = Directory.CreateTempSubdirectory("coppice-tree-").FullName;

    public RepositoryKeys Keys { get; } = RepositoryKeys.Create();

    public TreeFolder Files { get; }

    public RepositoryTree Tree { get; }

    public ReadOnlyMemory<byte> Root { get; }

    public TreeFixture()
    {
        Files = new TreeFolder(Folder);
        Tree = new RepositoryTree(Files, Keys.Online);
        Root = Tree.Initialise(Keys, Now);
    }

    public static string ReleasePath(string version) => RepositoryLayout.ReleaseTarget("plant/bearing", version);

    public static byte[] Manifest(string version) => System.Text.Encoding.UTF8.GetBytes($"{{\"version\":\"{version}\"}}");

    /// <summary>What a publisher sends for these releases, made from what is published now.</summary>
    public byte[] Prepare(DateTimeOffset now, params string[] versions) => ReleaseSigning.Prepare(
        Tree.CurrentReleases(), [.. versions.Select(version => new TargetInfo(ReleasePath(version), Manifest(version)))], Keys.Releases[0], now);

    public void Release(string version, DateTimeOffset now) => Tree.AddRelease(Manifest(version), Prepare(now, version), now);

    public TreeClient Device() => new(Files, Root);

    public TreeClient Updated(DateTimeOffset now)
    {
        var device = Device();
        device.Update(now);
        return device;
    }

    public void Dispose()
    {
        Keys.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
