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

    /// <summary>A disk on which another process does something whenever a file's length was asked for.</summary>
    public class SharedDisk : System.Reflection.DispatchProxy
    {
        IDisk disk = null!;
        Action meanwhile = null!;

        public static IDisk Of(IDisk disk, Action meanwhile)
        {
            var shared = Create<IDisk, SharedDisk>();
            (((SharedDisk)(object)shared).disk, ((SharedDisk)(object)shared).meanwhile) = (disk, meanwhile);
            return shared;
        }

        protected override object? Invoke(System.Reflection.MethodInfo? targetMethod, object?[]? args)
        {
            var answer = targetMethod!.Invoke(disk, System.Reflection.BindingFlags.DoNotWrapExceptions, null, args, null);
            if (targetMethod.Name == nameof(IDisk.LengthOf))
                meanwhile();
            return answer;
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(200)]
    [InlineData(-1)]
    public void A_small_file_that_another_process_replaces_or_removes_is_read_whole_as_it_was_before_or_is_after(int length)
    {
        var disk = new FolderDisk(folder);
        disk.Replace("state", new byte[20]);
        var after = length < 0 ? null : Enumerable.Repeat((byte)7, length).ToArray();
        var shared = SharedDisk.Of(disk, () =>
        {
            if (after is null)
                disk.Delete("state");
            else
                disk.Replace("state", after);
        });

        Assert.Equal(after, shared.ReadSmall("state", 1_000));
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
