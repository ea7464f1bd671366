using Coppice.Agent.Link;
using Coppice.Agent.Link.Sealing;
using Coppice.Agent.Storage;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Agent.Tests.Link.Sealing;

public sealed class SealedFilesTests : IDisposable
{
    const int Segment = SealHeader.MinSegment;

    readonly string folder = Directory.CreateTempSubdirectory("coppice-sealed-").FullName;
    readonly ModelKey model = ModelKey.Create();
    readonly SealingKey device = SealingKey.Create();
    readonly MemoryFiles repository = new();
    readonly FolderDisk disk;

    public SealedFilesTests() => disk = new(Path.Combine(folder, "data"));

    public void Dispose()
    {
        model.Dispose();
        device.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    static byte[] Plain(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Seals a file and puts it into the repository.</summary>
    ReleaseFile Put(byte[] plain, string name = "model.bin")
    {
        var digest = Sha256Digest.Of(plain);
        using var key = model.Content(digest);
        using var stream = new SealingStream(new MemoryStream(plain), new(key, SealHeader.OfBlob(key.Id, digest, Segment)));
        var made = new MemoryStream();
        stream.CopyTo(made);
        var file = new ReleaseFile(name, digest, plain.Length) { Sealed = new(Sha256Digest.Of(made.ToArray()), made.Length, Segment, key.Id) };
        repository.Files[RepositoryLayout.BlobFile(file.Stored.Digest)] = made.ToArray();
        return file;
    }

    void GrantTo(SealingPublicKey to, params Grant[] grants) => repository.Files[RepositoryLayout.GrantFile(to.Digest)] = GrantFile.Of(to.Digest).With(grants).Write();

    Grant GrantOf(ReleaseFile file, SealingPublicKey to)
    {
        using var key = model.Content(file.Digest);
        return Grant.Of(key, to);
    }

    KeyRing Ring(KeyQuestion? ask = null) => new(disk, device, repository, ask);

    static RepositoryFile Blob(ReleaseFile file) => new(RepositoryLayout.BlobFile(file.Digest), file.Length, file);

    static async Task<byte[]> ReadAsync(SealedFiles files, RepositoryFile file, long offset = 0)
    {
        await using var body = await files.OpenAsync(file, offset, null, default);
        Assert.Equal(offset, body.Offset);
        var read = new MemoryStream();
        await body.Body.CopyToAsync(read);
        return read.ToArray();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(Segment)]
    [InlineData((5 * Segment) + 77)]
    public async Task A_sealed_blob_comes_as_its_plaintext_and_goes_on_at_any_byte(int length)
    {
        var plain = Plain(length);
        var file = Put(plain);
        GrantTo(device.Public, GrantOf(file, device.Public));
        using var ring = Ring();
        var files = new SealedFiles(repository, ring);
        Assert.Equal(plain, await ReadAsync(files, Blob(file)));
        foreach (var offset in new[] { 1, Segment - 1, Segment, Segment + 1, length - 1 }.Where(offset => offset > 0 && offset < length))
            Assert.Equal(plain[offset..], await ReadAsync(files, Blob(file), offset));
    }

    [Fact]
    public async Task What_is_not_sealed_passes_as_it_is()
    {
        var plain = Plain(100);
        var file = new ReleaseFile("model.bin", Sha256Digest.Of(plain), plain.Length);
        repository.Files[RepositoryLayout.BlobFile(file.Digest)] = plain;
        using var ring = Ring();
        Assert.Equal(plain, await ReadAsync(new SealedFiles(repository, ring), Blob(file)));
    }

    [Fact]
    public async Task Without_a_grant_the_device_says_that_it_has_no_key_and_why()
    {
        var file = Put(Plain(100));
        using var ring = Ring((keys, _) => Task.FromResult(new KeyAnswer(GrantFile.Of(device.Public.Digest).Write(), [new(keys[0], "'till-2' is not among the devices that are entitled to plant/bearing.")])));
        var refused = await Assert.ThrowsAsync<LinkException>(() => ReadAsync(new SealedFiles(repository, ring), Blob(file)));
        Assert.Contains("no key", refused.Message, StringComparison.Ordinal);
        Assert.Contains("not among the devices that are entitled", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_grant_to_another_device_is_of_no_use()
    {
        var file = Put(Plain(100));
        using var other = SealingKey.Create();
        repository.Files[RepositoryLayout.GrantFile(device.Public.Digest)] = GrantFile.Of(device.Public.Digest).With([GrantOf(file, other.Public)]).Write();
        using var ring = Ring();
        await Assert.ThrowsAsync<LinkException>(() => ReadAsync(new SealedFiles(repository, ring), Blob(file)));
    }

    [Fact]
    public async Task A_wrong_key_from_the_server_is_not_used()
    {
        var (file, other) = (Put(Plain(100)), Put(Plain(100, 2)));
        var renamed = GrantOf(other, device.Public).Bytes.ToArray();
        file.Sealed!.Key.CopyTo(renamed.AsSpan(1));
        foreach (var grants in new[] { GrantFile.Of(device.Public.Digest).With([GrantOf(other, device.Public)]), GrantFile.Of(device.Public.Digest).With([Grant.Read(renamed)]) })
        {
            using var ring = Ring((_, _) => Task.FromResult(new KeyAnswer(grants.Write(), [])));
            await Assert.ThrowsAsync<LinkException>(() => ReadAsync(new SealedFiles(repository, ring), Blob(file)));
            Assert.Null(disk.LengthOf(DataFolder.ContentKey(file.Digest)));
        }
    }

    [Fact]
    public async Task A_member_opens_what_its_group_is_granted()
    {
        var plain = Plain(300);
        var file = Put(plain);
        using var group = SealingKey.Create();
        GrantTo(group.Public, GrantOf(file, group.Public));
        GrantTo(device.Public, Grant.Of(group, device.Public));
        using var ring = Ring();
        Assert.Equal(plain, await ReadAsync(new SealedFiles(repository, ring), Blob(file)));
    }

    [Fact]
    public async Task A_key_that_was_given_once_is_there_after_a_restart_without_the_network_and_lies_sealed_on_the_disk()
    {
        var plain = Plain(300);
        var file = Put(plain);
        var asked = 0;
        using (var ring = Ring((_, _) =>
        {
            asked++;
            return Task.FromResult(new KeyAnswer(GrantFile.Of(device.Public.Digest).With([GrantOf(file, device.Public)]).Write(), []));
        }))
        {
            await ReadAsync(new SealedFiles(repository, ring), Blob(file));
            await ReadAsync(new SealedFiles(repository, ring), Blob(file));
        }

        Assert.Equal(1, asked);
        repository.Asked.Clear();
        using var after = Ring();
        Assert.Equal(plain, await ReadAsync(new SealedFiles(repository, after), Blob(file)));
        Assert.DoesNotContain(repository.Asked, path => path.StartsWith("grants/", StringComparison.Ordinal));

        var kept = GrantFile.Read(File.ReadAllBytes(Path.Combine(folder, "data", DataFolder.ContentKey(file.Digest))));
        using var thief = SealingKey.Create();
        Assert.Throws<BrokenSealException>(() => kept.Grants.Single().OpenContent(thief));
        after.Collect(new HashSet<Sha256Digest>());
        Assert.Null(disk.LengthOf(DataFolder.ContentKey(file.Digest)));
    }

    [Fact]
    public async Task A_blob_that_was_changed_cut_or_exchanged_gives_nothing_beyond_what_is_whole()
    {
        var plain = Plain(4 * Segment);
        var (file, other) = (Put(plain), Put(Plain(4 * Segment, 2)));
        GrantTo(device.Public, GrantOf(file, device.Public));
        var path = RepositoryLayout.BlobFile(file.Stored.Digest);
        var (good, foreign) = (repository.Files[path], repository.Files[RepositoryLayout.BlobFile(other.Stored.Digest)]);
        using var ring = Ring();
        var files = new SealedFiles(repository, ring);

        var changed = (byte[])good.Clone();
        changed[(int)SealHeader.SegmentAt(2, Segment) + 5] ^= 1;
        var swapped = (byte[])good.Clone();
        foreign.AsSpan((int)SealHeader.SegmentAt(2, Segment), Segment + SealHeader.TagBytes).CopyTo(swapped.AsSpan((int)SealHeader.SegmentAt(2, Segment)));
        foreach (var bad in new[] { changed, swapped })
        {
            repository.Files[path] = bad;
            await using var body = await files.OpenAsync(Blob(file), 0, null, default);
            var read = new MemoryStream();
            var refused = await Assert.ThrowsAsync<LinkException>(() => body.Body.CopyToAsync(read));
            Assert.True(refused.Lasting);
            Assert.Equal(plain[..(2 * Segment)], read.ToArray());
        }

        repository.Files[path] = foreign;
        await Assert.ThrowsAsync<LinkException>(() => ReadAsync(files, Blob(file)));
        repository.Files[path] = good[..((int)SealHeader.SegmentAt(3, Segment) + 100)];
        Assert.Equal(plain[..(3 * Segment)], await ReadAsync(files, Blob(file))); // ends early; the download goes on from there
    }

    [Fact]
    public async Task A_sealed_patch_opens_for_who_has_the_keys_of_both_files()
    {
        var (from, to) = (Put(Plain(300)), Put(Plain(300, 2)));
        var patch = Plain(3 * Segment, 3);
        var path = RepositoryLayout.PatchFile([from.Digest], to.Digest);
        using var fromKey = model.Content(from.Digest);
        using var toKey = model.Content(to.Digest);
        using var key = toKey.OfPatch([(from.Digest, fromKey)], to.Digest);
        using (var cipher = new SegmentCipher(key, SealHeader.OfPatch(key.Id, [from.Digest], to.Digest, Plain(16, 4), Segment)))
        {
            var made = new MemoryStream();
            var writer = new SealingWriteStream(made, cipher);
            writer.Write(patch);
            writer.Complete();
            repository.Files[path] = made.ToArray();
        }

        GrantTo(device.Public, GrantOf(to, device.Public));
        var wanted = new RepositoryFile(path, patch.Length, to);
        using (var newOnly = Ring())
            Assert.True((await Assert.ThrowsAsync<LinkException>(() => ReadAsync(new SealedFiles(repository, newOnly), wanted))).Lasting);

        GrantTo(device.Public, GrantOf(to, device.Public), GrantOf(from, device.Public));
        using var ring = Ring();
        await ring.BringAsync([from], default);
        var files = new SealedFiles(repository, ring);
        Assert.Equal(patch, await ReadAsync(files, wanted));
        Assert.Equal(patch[(Segment + 7)..], await ReadAsync(files, wanted, Segment + 7));
    }

    [Fact]
    public async Task Another_path_under_a_sealed_file_is_not_taken_for_it()
    {
        var file = Put(Plain(300));
        GrantTo(device.Public, GrantOf(file, device.Public));
        using var ring = Ring();
        var stray = new RepositoryFile(RepositoryLayout.BlobFile(Sha256Digest.Of("elsewhere"u8)), 10, file);
        Assert.True((await Assert.ThrowsAsync<LinkException>(() => ReadAsync(new SealedFiles(repository, ring), stray))).Lasting);
    }

    /// <summary>A repository in memory.</summary>
    sealed class MemoryFiles : IRepositoryFiles
    {
        public Dictionary<string, byte[]> Files { get; } = new(StringComparer.Ordinal);

        public List<string> Asked { get; } = [];

        public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel)
        {
            Asked.Add(file.Path);
            return Files.TryGetValue(file.Path, out var bytes)
                ? Task.FromResult(new FileBody(new MemoryStream(bytes) { Position = Math.Min(offset, bytes.Length) }, offset, null))
                : throw new LinkException($"{file.Path} is not there.") { Lasting = true };
        }

        public IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, CancellationToken cancel) => throw new NotSupportedException();

        public Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel)
        {
            Asked.Add(path);
            return Task.FromResult(Files.GetValueOrDefault(path));
        }
    }
}
