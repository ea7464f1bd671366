using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Agent.Link.Sealing;

/// <summary>A repository as the ways see it when a release is sealed: blobs and patches in the clear, opened segment by segment as they come.</summary>
/// <remarks>Offsets and lengths are those of plaintexts, so resuming, patching and comparing digests are as ever. Memory: two segments for each open body.</remarks>
/// <param name="inner">The repository.</param>
/// <param name="keys">What this device can open.</param>
public sealed class SealedFiles(IRepositoryFiles inner, KeyRing keys) : IRepositoryFiles
{
    const string Patches = "patches/";

    /// <inheritdoc/>
    public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel)
    {
        if (file.For.Sealed is not { } form)
            return inner.OpenAsync(file, offset, tag, cancel);
        if (file.Path == RepositoryLayout.BlobFile(file.For.Digest))
            return OpenBlobAsync(file.For, form, offset, tag, cancel);
        return file.Path.StartsWith(Patches, StringComparison.Ordinal) && file.Path.EndsWith($"/{file.For.Digest}.cpp", StringComparison.Ordinal)
            ? OpenPatchAsync(file, form, offset, cancel)
            : throw new LinkException($"{file.Path} is not sealed under the key of {file.For.Name}.") { Lasting = true };
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, CancellationToken cancel) => file.For.Sealed is null
        ? inner.RangesAsync(file, ranges, cancel)
        : throw new LinkException($"{file.For.Name} is sealed; it comes whole or as a patch.") { Lasting = true };

    /// <inheritdoc/>
    public Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel) => inner.ReadAsync(path, most, cancel);

    async Task<FileBody> OpenBlobAsync(ReleaseFile file, SealedFile form, long offset, string? tag, CancellationToken cancel)
    {
        var key = await keys.FindAsync(file, cancel);
        var header = SealHeader.OfBlob(form.Key, file.Digest, form.Segment); // follows from what is signed
        var stored = new RepositoryFile(RepositoryLayout.BlobFile(form.Digest), form.Length, file);
        var body = await inner.OpenAsync(stored, offset == 0 ? 0 : SealHeader.SegmentAt(offset / form.Segment, form.Segment), tag, cancel);
        return await OpenAsync(body, key, header, file.Length, offset, stored.Path, cancel);
    }

    async Task<FileBody> OpenPatchAsync(RepositoryFile file, SealedFile form, long offset, CancellationToken cancel)
    {
        var toKey = await keys.FindAsync(file.For, cancel);
        var stored = file with { Length = SealHeader.SealedLength(file.Length, form.Segment) };
        var body = await inner.OpenAsync(stored, 0, null, cancel);
        SealHeader header;
        try
        {
            header = await ReadHeaderAsync(body, file.Path, cancel);
        }
        catch
        {
            await body.DisposeAsync();
            throw;
        }

        using var key = KeyOf(file, header, toKey);
        if (key is null || header.Segment != form.Segment)
        {
            await body.DisposeAsync();
            throw new LinkException($"{file.Path} is sealed for who can read both files; this device lacks the key of the old one.") { Lasting = true };
        }

        if (offset == 0)
            return Opened(body, key, header, file.Length, 0, file.Path);
        await body.DisposeAsync(); // the header was wanted; what is here already is not fetched again
        body = await inner.OpenAsync(stored, SealHeader.SegmentAt(offset / form.Segment, form.Segment), null, cancel);
        return await OpenAsync(body, key, header, file.Length, offset, file.Path, cancel);
    }

    /// <summary>The key of a patch, from the keys of what it starts from; null when this device lacks one.</summary>
    ContentKey? KeyOf(RepositoryFile file, SealHeader header, ContentKey toKey)
    {
        var folder = file.Path[Patches.Length..file.Path.LastIndexOf('/')];
        var from = new List<Sha256Digest>();
        foreach (var name in folder.Split('-'))
        {
            if (Sha256Digest.TryParse(name, out var digest))
                from.Add(digest);
        }

        // A file may have been sealed under several keys of its model, or come in the clear; the header names the right combination.
        return Combinations([.. from], 0, new (Sha256Digest, ContentKey?)[from.Count], toKey, file.For.Digest, header.Key);
    }

    ContentKey? Combinations(Sha256Digest[] from, int at, (Sha256Digest, ContentKey?)[] chosen, ContentKey toKey, Sha256Digest to, Sha256Digest wanted)
    {
        if (at == from.Length)
        {
            var key = toKey.OfPatch(chosen, to);
            if (key.Id == wanted)
                return key;
            key.Dispose();
            return null;
        }

        foreach (var candidate in keys.Of(from[at]).Cast<ContentKey?>().Append(null))
        {
            chosen[at] = (from[at], candidate);
            if (Combinations(from, at + 1, chosen, toKey, to, wanted) is { } found)
                return found;
        }

        return null;
    }

    /// <summary>Opens a body that begins at the segment of an offset, or at the beginning of the file where the source cannot go on.</summary>
    static async Task<FileBody> OpenAsync(FileBody body, ContentKey key, SealHeader header, long length, long offset, string path, CancellationToken cancel)
    {
        try
        {
            if (body.Offset != 0)
                return Opened(body, key, header, length, offset, path);
            var found = await ReadHeaderAsync(body, path, cancel);
            return found == header
                ? Opened(body, key, header, length, 0, path)
                : throw new LinkException($"{path} is sealed as another file than the signed manifest says.") { Lasting = true };
        }
        catch
        {
            await body.DisposeAsync();
            throw;
        }
    }

    static FileBody Opened(FileBody body, ContentKey key, SealHeader header, long length, long offset, string path)
    {
        SegmentCipher cipher;
        try
        {
            cipher = new(key, header);
        }
        catch (BrokenSealException e)
        {
            throw new LinkException($"{path}: {e.Message}", e) { Lasting = true };
        }

        return new(new OpenedBody(new OpeningStream(body.Body, cipher, length, offset), path), offset, body.Tag, body.Owner);
    }

    static async Task<SealHeader> ReadHeaderAsync(FileBody body, string path, CancellationToken cancel)
    {
        var bytes = new byte[SealHeader.ByteCount];
        if (await body.Body.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, cancel) < bytes.Length)
            throw new LinkException($"the answer for {path} ended within its header; it is asked for again.");
        try
        {
            return SealHeader.Read(bytes);
        }
        catch (BrokenSealException e)
        {
            throw new LinkException($"{path}: {e.Message}", e) { Lasting = true };
        }
    }

    /// <summary>Tells of a broken seal as of any other trouble with a source.</summary>
    sealed class OpenedBody(OpeningStream inner, string path) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                return await inner.ReadAsync(buffer, cancellationToken);
            }
            catch (BrokenSealException e)
            {
                throw new LinkException($"{path}: {e.Message} The mirror is damaged or lies.", e) { Lasting = true };
            }
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
