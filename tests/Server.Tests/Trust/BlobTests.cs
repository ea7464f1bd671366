using Coppice.Trust;

namespace Coppice.Server.Tests.Trust;

public sealed class BlobTests : IDisposable
{
    readonly TreeFixture _repository = new();
    readonly byte[] _content = new byte[1_000_000];
    readonly Sha256Digest _digest;

    public BlobTests()
    {
        new Random(1).NextBytes(_content);
        _digest = Sha256Digest.Of(_content);
    }

    public void Dispose() => _repository.Dispose();

    [Fact]
    public async Task A_blob_lies_under_its_digest_and_is_stored_once()
    {
        Assert.True(await Put(_content, _digest, _content.Length));
        Assert.False(await Put([], _digest, _content.Length));

        Assert.Equal(_content.Length, _repository.Tree.BlobLength(_digest));
        Assert.True(File.Exists(Path.Combine(_repository.Folder, "blobs", "sha256", _digest.ToString()[..2], _digest.ToString())));
        await using var stored = _repository.Tree.OpenBlob(_digest)!;
        using var copy = new MemoryStream();
        await stored.CopyToAsync(copy);
        Assert.Equal(_content, copy.ToArray());
        Assert.Null(_repository.Tree.OpenBlob(default));
    }

    [Theory]
    [InlineData(1_000_001)] // ends too soon
    [InlineData(999_999)] // goes on
    [InlineData(0)]
    public async Task A_blob_of_another_length_than_announced_is_not_stored(long length) =>
        await RefusedAsync(_digest, length);

    [Fact]
    public async Task A_blob_of_another_digest_than_announced_is_not_stored() =>
        await RefusedAsync(Sha256Digest.Of("other"u8), _content.Length);

    async Task RefusedAsync(Sha256Digest digest, long length)
    {
        await Assert.ThrowsAsync<InvalidDataException>(() => Put(_content, digest, length));
        Assert.Null(_repository.Tree.OpenBlob(digest));
        Assert.Empty(Directory.GetFiles(Path.Combine(_repository.Folder, ".partial")));
    }

    Task<bool> Put(byte[] content, Sha256Digest digest, long length) =>
        _repository.Tree.PutBlobAsync(new MemoryStream(content), digest, length, CancellationToken.None);
}
