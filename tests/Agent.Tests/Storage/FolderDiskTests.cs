using Coppice.Agent.Storage;

namespace Coppice.Agent.Tests.Storage;

public sealed class FolderDiskTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-disk-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Both_disks_do_the_same()
    {
        Assert.Equal(Story(new LossyDisk(1)), Story(new FolderDisk(folder)));
    }

    /// <summary>Every member once, and what is seen of it.</summary>
    static List<string> Story(IDisk disk)
    {
        var seen = new List<string>();
        void See(string what) => seen.Add($"{what}: {string.Join(",", disk.Files("a"))} {string.Join(",", disk.Folders(""))} {disk.LengthOf("a/one")} {disk.LengthOf("a/two")}");
        See("nothing");
        disk.MakeFolder("a/b/c");
        disk.Replace("a/one", [1, 2, 3]);
        See("replaced");
        disk.Replace("a/one", [4]);
        using (var more = disk.Append("a/one"))
        {
            more.Write([5, 6]);
            more.Sync();
            seen.Add($"{more.Length}");
        }

        See("appended");
        disk.Link("a/one", "a/two");
        disk.Delete("a/one");
        disk.Delete("a/one");
        disk.Delete("none/such");
        See("linked");
        disk.Rename("a/two", "a/b/c/three");
        seen.Add(string.Join(",", disk.ReadSmall("a/b/c/three", 10)!));
        seen.Add(Assert.Throws<IOException>(() => disk.ReadSmall("a/b/c/three", 2)).Message);
        Assert.ThrowsAny<IOException>(() => disk.OpenRead("a/none"));
        Assert.ThrowsAny<IOException>(() => disk.Create("none/file"));
        disk.DeleteFolder("a/b");
        disk.DeleteFolder("a/b");
        disk.SyncFolder("a");
        seen.Add($"{disk.LengthOf("a/b/c/three")} {disk.Folders("a").Count} {disk.FreeBytes > 0}");
        return seen;
    }

    [Fact]
    public void A_link_shares_the_bytes()
    {
        var disk = new FolderDisk(folder);
        disk.Replace("one", [1, 2, 3]);
        disk.Link("one", "two");
        using (var more = disk.Append("two"))
            more.Write([4]);
        Assert.Equal(4, disk.LengthOf("one"));
    }
}
