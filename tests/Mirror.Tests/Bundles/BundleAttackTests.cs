using System.Text;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Formats;
using Coppice.Mirror.Bundles;
using Coppice.Mirror.Tree;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Mirror.Tests.Bundles;

/// <summary>Sticks that were stolen, altered, or swapped. Whatever is on them, a site serves what was signed or what it served before.</summary>
public sealed class BundleAttackTests : IDisposable
{
    readonly SignedRepository repository = new();
    readonly Stick stick = new();

    public void Dispose()
    {
        repository.Dispose();
        stick.Dispose();
    }

    static async Task<string> RefusedAsync(Func<Task> apply)
    {
        var refusal = await Assert.ThrowsAnyAsync<Exception>(apply);
        Assert.True(refusal is BundleRefusedException or MalformedFileException, $"{refusal}");
        return refusal.Message;
    }

    [Fact]
    public async Task An_old_bundle_after_a_newer_one_is_refused()
    {
        repository.Roll("1.0.0");
        var old = await stick.MakeAsync(repository);
        repository.Roll("2.0.0");
        await stick.ApplyAsync(await stick.MakeAsync(repository, name: "new.cpb"), repository.Root);

        Assert.Contains("older than what is here", await RefusedAsync(() => stick.ApplyAsync(old, repository.Root)), StringComparison.Ordinal);
        Assert.Equal(repository.TimestampVersion, Published());
    }

    [Fact]
    public async Task A_bundle_older_than_what_the_device_heard_over_the_network_is_refused()
    {
        repository.Roll("1.0.0");
        var old = await stick.MakeAsync(repository);
        repository.Roll("2.0.0");
        var device = new DiskMetadataStore(new FolderDisk(stick.PathOf("device")));
        foreach (var (role, file) in new[] { ("root", "1.root.json"), ("timestamp", "timestamp.json"), ("snapshot", "2.snapshot.json") })
            device.Write(role, await File.ReadAllBytesAsync(repository.PathOf($"metadata/{file}")));

        Assert.Contains("older than what is here", await RefusedAsync(() => stick.ApplyAsync(old, null, others: [device])), StringComparison.Ordinal);
        Assert.Empty(stick.Site.Folders("blobs"));
    }

    [Fact]
    public async Task A_bundle_of_another_repository_is_refused()
    {
        using var other = new SignedRepository();
        repository.Roll("1.0.0");
        await stick.ApplyAsync(await stick.MakeAsync(repository), repository.Root);
        for (var i = 0; i < 3; i++)
            other.Roll($"{i + 5}.0.0");

        Assert.Contains("another repository", await RefusedAsync(async () => await stick.ApplyAsync(await stick.MakeAsync(other, name: "other.cpb"), null)), StringComparison.Ordinal);
        Assert.Equal(repository.TimestampVersion, Published());
    }

    [Fact]
    public async Task A_byte_altered_anywhere_is_found_and_nothing_of_it_is_served()
    {
        repository.Roll("1.0.0", length: 900);
        await stick.ApplyAsync(await stick.MakeAsync(repository, name: "first.cpb"), repository.Root);
        repository.Roll("2.0.0", length: 900);
        var good = await File.ReadAllBytesAsync(await stick.MakeAsync(repository, Stick.Order("2.0.0")));
        var version = Published();
        for (var at = 0; at < good.Length; at += at < 48 ? 1 : 23)
        {
            var bad = good.ToArray();
            bad[at] ^= 0x20;
            await File.WriteAllBytesAsync(stick.PathOf("bad.cpb"), bad);

            await RefusedAsync(() => stick.ApplyAsync(stick.PathOf("bad.cpb"), null));
            Assert.Equal(version, Published());
        }

        foreach (var folder in stick.Site.Folders("blobs/sha256"))
        {
            foreach (var name in stick.Site.Files($"blobs/sha256/{folder}"))
                Assert.Equal(name, Sha256Digest.Of(stick.Site.ReadSmall($"blobs/sha256/{folder}/{name}", 1 << 20)).ToString());
        }
    }

    [Fact]
    public async Task A_blob_swapped_together_with_its_name_is_refused_because_no_release_names_it()
    {
        repository.Roll("1.0.0");
        var files = Stick.Files(await stick.MakeAsync(repository));
        var evil = Encoding.UTF8.GetBytes("evil");
        files.Add((RepositoryLayout.BlobFile(Sha256Digest.Of(evil)), evil));

        Assert.Contains("no release in it names", await RefusedAsync(() => stick.ApplyAsync(stick.Forge(files), repository.Root)), StringComparison.Ordinal);
        Assert.Empty(stick.Site.Folders("blobs"));
    }

    [Fact]
    public async Task Documents_and_metadata_that_nothing_vouches_for_are_refused()
    {
        repository.Roll("1.0.0");
        var files = Stick.Files(await stick.MakeAsync(repository));
        var manifest = Encoding.UTF8.GetBytes("{}");

        Assert.Contains("does not name", await RefusedAsync(() => stick.ApplyAsync(stick.Forge([.. files, ($"targets/releases/plant/bearing/{Sha256Digest.Of(manifest)}.9.0.0.json", manifest)]), repository.Root)), StringComparison.Ordinal);
        Assert.Contains("does not name", await RefusedAsync(() => stick.ApplyAsync(stick.Forge([.. files, ("metadata/7.other.json", manifest)]), repository.Root)), StringComparison.Ordinal);
        Assert.Contains("lacks metadata/1.rollouts.json", await RefusedAsync(() => stick.ApplyAsync(stick.Forge(files.Where(file => file.Path != "metadata/1.rollouts.json")), repository.Root)), StringComparison.Ordinal);
        Assert.Contains("timestamp", await RefusedAsync(() => stick.ApplyAsync(stick.Forge(files.Where(file => file.Path != "metadata/timestamp.json")), repository.Root)), StringComparison.Ordinal);
        Assert.Empty(stick.Site.Files("metadata"));
    }

    [Fact]
    public async Task An_expired_bundle_is_refused_unless_the_site_allows_its_age()
    {
        repository.Roll("1.0.0");
        var bundle = await stick.MakeAsync(repository);
        var later = SignedRepository.Now.AddDays(20);

        Assert.Contains("--offline-grace", await RefusedAsync(() => stick.ApplyAsync(bundle, repository.Root, now: later)), StringComparison.Ordinal);
        Assert.Contains("Expired", await RefusedAsync(() => stick.ApplyAsync(bundle, repository.Root, grace: TimeSpan.FromDays(18), now: later)), StringComparison.Ordinal);
        await stick.ApplyAsync(bundle, repository.Root, grace: TimeSpan.FromDays(30), now: later);
        Assert.Equal(repository.TimestampVersion, Published());
    }

    [Fact]
    public async Task No_grace_makes_expired_release_metadata_good()
    {
        repository.ReleasesLifetime = TimeSpan.FromDays(10);
        repository.Roll("1.0.0");
        var bundle = await stick.MakeAsync(repository);

        Assert.Contains("'releases' is not trusted (Expired)",
            await RefusedAsync(() => stick.ApplyAsync(bundle, repository.Root, grace: TimeSpan.FromDays(300), now: SignedRepository.Now.AddDays(20))), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_grace_lets_no_version_go_back()
    {
        repository.Roll("1.0.0");
        var old = await stick.MakeAsync(repository);
        repository.Roll("2.0.0");
        await stick.ApplyAsync(await stick.MakeAsync(repository, name: "new.cpb"), repository.Root);

        Assert.Contains("older than what is here", await RefusedAsync(() => stick.ApplyAsync(old, null, grace: TimeSpan.FromDays(300))), StringComparison.Ordinal);
    }

    long Published() => MetadataFile.ReadTimestamp(new TreeMetadata(stick.Site).Read("timestamp")!.Value).Signed.Version;

    [Theory]
    [InlineData("../etc/passwd")]
    [InlineData("metadata/../../x.json")]
    [InlineData("/metadata/1.root.json")]
    [InlineData("metadata//1.root.json")]
    [InlineData("metadata/.hidden.json")]
    [InlineData("metadata\\1.root.json")]
    [InlineData("metadata/1.root.json\0")]
    [InlineData("metadata/con:1.json")]
    [InlineData("metadata/1.root.json/x")]
    [InlineData("targets/releases/plant/bearing/1.0.0.json")]
    [InlineData("blobs/sha256/00/00")]
    [InlineData("patches/a/b.cpp")]
    [InlineData("device.json")]
    [InlineData("")]
    public void A_path_that_leaves_the_repository_or_lies_about_its_digest_is_no_path_of_a_bundle(string path)
    {
        var refusal = Assert.Throws<MalformedFileException>(() => ReadIndex([(path, 1, Sha256Digest.Of([1]))]));
        Assert.InRange(refusal.Message.Length, 1, 300);
    }

    [Fact]
    public void Names_that_are_there_twice_or_out_of_order_are_refused()
    {
        var digest = Sha256Digest.Of([1]);
        Assert.Contains("once, in order", Assert.Throws<MalformedFileException>(() => ReadIndex([("metadata/a.json", 1, digest), ("metadata/a.json", 1, digest)])).Message, StringComparison.Ordinal);
        Assert.Contains("once, in order", Assert.Throws<MalformedFileException>(() => ReadIndex([("metadata/b.json", 1, digest), ("metadata/a.json", 1, digest)])).Message, StringComparison.Ordinal);
        Assert.Contains("once, in order", Assert.Throws<MalformedFileException>(() => ReadIndex([(RepositoryLayout.BlobFile(digest), 1, digest), ("metadata/a.json", 1, digest)])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Counts_and_lengths_beyond_their_limits_are_refused_before_anything_is_read()
    {
        var digest = Sha256Digest.Of([1]);
        Assert.Throws<MalformedFileException>(() => ReadIndex([("metadata/a.json", -1, digest)]));
        Assert.Throws<MalformedFileException>(() => ReadIndex([("metadata/a.json", BundleIndex.MaxSmall + 1, digest)]));
        Assert.Throws<MalformedFileException>(() => ReadIndex([(RepositoryLayout.BlobFile(digest), long.MaxValue, digest)]));
        var header = new byte[BundleIndex.HeaderBytes];
        "CPBNDL01"u8.CopyTo(header);
        foreach (var (count, length) in new[] { (int.MaxValue, int.MaxValue), (-1, 100), (0, 0), (BundleIndex.MaxEntries + 1, BundleIndex.MaxIndexBytes), (1, 42), (1, BundleIndex.MaxIndexBytes + 1), (1000, 1000) })
        {
            BitConverter.TryWriteBytes(header.AsSpan(8), count);
            BitConverter.TryWriteBytes(header.AsSpan(12), length);
            Assert.Throws<MalformedFileException>(() => BundleIndex.IndexBytes(header));
        }
    }

    /// <summary>An index as only an attacker would write it, with its digests right.</summary>
    static BundleIndex ReadIndex(IEnumerable<(string Path, long Length, Sha256Digest Digest)> entries)
    {
        var index = new MemoryStream();
        var count = 0;
        foreach (var (path, length, digest) in entries)
        {
            index.Write(BitConverter.GetBytes((ushort)path.Length));
            index.Write(Encoding.Latin1.GetBytes(path));
            index.Write(BitConverter.GetBytes(length));
            index.Write(digest.ToArray());
            count++;
        }

        var header = new byte[BundleIndex.HeaderBytes];
        "CPBNDL01"u8.CopyTo(header);
        BitConverter.TryWriteBytes(header.AsSpan(8), count);
        BitConverter.TryWriteBytes(header.AsSpan(12), (int)index.Length);
        Sha256Digest.Of(index.ToArray()).CopyTo(header.AsSpan(16));
        return BundleIndex.Read(header, index.ToArray());
    }
}
