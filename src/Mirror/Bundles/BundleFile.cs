using System.Runtime.CompilerServices;
using Coppice.Agent.Link;
using Coppice.Agent.Link.Tuf;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Mirror.Bundles;

/// <summary>A bundle on this machine, read as a repository: trusted no more than a server or a stick.</summary>
/// <param name="path">The file, or what its parts are called without their numbers.</param>
/// <param name="index">Its index.</param>
public sealed class BundleFile(string path, BundleIndex index) : IMetadataSource, IRepositoryFiles
{
    /// <summary>What it holds.</summary>
    public BundleIndex Index => index;

    /// <summary>Opens a bundle and reads its index; the files behind it stay where they are.</summary>
    /// <exception cref="MalformedFileException">It is no bundle, is damaged, or parts are missing.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static BundleFile Open(string path)
    {
        using var file = PartedFile.OpenRead(path);
        var header = new byte[BundleIndex.HeaderBytes];
        var have = file.ReadAtLeast(header, header.Length, throwOnEndOfStream: false);
        var length = BundleIndex.IndexBytes(header.AsSpan(0, have));
        if (file.Length - BundleIndex.HeaderBytes < length)
            throw new MalformedFileException("bundle", file.Length, $"it ends within its index of {length} bytes; copy it again.");
        var bytes = new byte[length];
        file.ReadExactly(bytes);
        var index = BundleIndex.Read(header, bytes);
        return file.Length == index.Length
            ? new(path, index)
            : throw new MalformedFileException("bundle", file.Length, $"{string.Join(", ", PartedFile.Names(path).Select(name => Path.GetFileName(name)))} have {file.Length} bytes, but the bundle has {index.Length}; {(file.Length < index.Length ? "a part is missing or cut short: copy it again" : "something was added to it: it is not what was made")}.");
    }

    /// <summary>Opens a file of the bundle at an offset.</summary>
    public Stream OpenRead(BundleEntry entry, long offset = 0) => new Slice(PartedFile.OpenRead(path), entry.Offset + offset, entry.Length - offset);

    /// <summary>The bytes of a small file.</summary>
    /// <exception cref="MalformedFileException">They are damaged.</exception>
    public byte[] ReadSmall(BundleEntry entry)
    {
        var bytes = new byte[Math.Min(entry.Length, BundleIndex.MaxSmall)]; // the index has no longer ones of the kinds that are read so
        using var stream = OpenRead(entry);
        stream.ReadExactly(bytes);
        return Sha256Digest.Of(bytes) == entry.Digest
            ? bytes
            : throw new MalformedFileException("bundle", entry.Offset, $"'{entry.Path}' has another SHA-256 than the index says: the bundle is damaged or was altered.");
    }

    /// <inheritdoc/>
    public Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel) =>
        Task.FromResult(Fetch("metadata/" + Uri.EscapeDataString(fileName), mostBytes));

    /// <inheritdoc/>
    public Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel) => Task.FromResult(Fetch("targets/" + path, mostBytes));

    FetchedFile Fetch(string name, int mostBytes)
    {
        if (index.Find(name) is not { } entry)
            return FetchedFile.Absent;
        if (entry.Length > mostBytes)
            throw new UntrustedMetadataException(name, Distrust.TooLong, $"it has {entry.Length} bytes", $"at most {mostBytes} are taken");
        return new(FetchOutcome.Found, ReadSmall(entry), null);
    }

    /// <inheritdoc/>
    public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel)
    {
        if (index.Find(file.Path) is not { } entry || entry.Length != file.Length)
            throw new LinkException($"the bundle {path} holds no {file.Path} of {file.Length} bytes.") { Lasting = true };
        return Task.FromResult(new FileBody(OpenRead(entry, offset), offset, null));
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, [EnumeratorCancellation] CancellationToken cancel)
    {
        foreach (var range in ranges)
            yield return (await OpenAsync(file, range.Offset, null, cancel)) with { Length = range.Length };
    }

    /// <inheritdoc/>
    public Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel) => Task.FromResult(
        index.Find(path) is not { } entry ? null
        : entry.Length <= Math.Min(most, BundleIndex.MaxSmall) ? ReadSmall(entry)
        : throw new LinkException($"the bundle's {path} has {entry.Length} bytes; at most {most} are read."));

    /// <summary>A run of bytes of another stream, which goes with it.</summary>
    sealed class Slice : Stream
    {
        readonly Stream inner;
        readonly long start, length;
        long at;

        public Slice(Stream inner, long start, long length)
        {
            (this.inner, this.start, this.length) = (inner, start, length);
            inner.Position = start;
        }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => length;

        public override long Position { get => at; set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            inner.Position = start + at;
            var read = inner.Read(buffer[..(int)Math.Min(buffer.Length, length - at)]);
            at += read;
            return read;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
