using Coppice.Registry;

namespace Coppice.Agent.Link;

/// <summary>Where a repository's files are read from. Nothing it gives is trusted: the reader compares digests.</summary>
public interface IRepositoryFiles
{
    /// <summary>Opens a file at an offset.</summary>
    /// <param name="file">What is wanted.</param>
    /// <param name="offset">Bytes that are here already, below its length.</param>
    /// <param name="tag">The tag that came with those bytes; null when there was none.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>The bytes from <see cref="FileBody.Offset"/> on: the offset asked for, or 0 when the source cannot go on there.</returns>
    /// <exception cref="LinkException">It was not to be had; says why.</exception>
    Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel);

    /// <summary>Opens ranges of a file.</summary>
    /// <param name="file">What is wanted.</param>
    /// <param name="ranges">In order and apart from one another; not empty.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>Bodies in order that hold the ranges; one may hold several, and bytes between them. Each is read, and disposed of, before the next is asked for.</returns>
    /// <exception cref="LinkException">They were not to be had; <see cref="LinkException.Lasting"/> when the source gives no ranges at all.</exception>
    IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, CancellationToken cancel);

    /// <summary>Reads a small file whose length is not known; null when there is none.</summary>
    /// <param name="path">Below the repository.</param>
    /// <param name="most">It is refused when it has more bytes.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="LinkException">It could not be asked for, or is too long.</exception>
    Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel);
}

/// <summary>A file of the repository.</summary>
/// <param name="Path">Below the repository, as <see cref="Trust.RepositoryLayout"/> names it.</param>
/// <param name="Length">Bytes, as signed or as an index says.</param>
/// <param name="For">The file of a release that it is, or helps to make.</param>
public sealed record RepositoryFile(string Path, long Length, ReleaseFile For);

/// <summary>A run of bytes.</summary>
/// <param name="Offset">The first.</param>
/// <param name="Length">How many; above 0.</param>
public readonly record struct ByteSpan(long Offset, long Length)
{
    /// <summary>The byte after the last.</summary>
    public long End => Offset + Length;
}

/// <summary>Bytes of a file as they arrive.</summary>
/// <param name="Body">From <paramref name="Offset"/> on, as far as was asked for, if the source is honest.</param>
/// <param name="Offset">The first byte's place in the file.</param>
/// <param name="Tag">To resume with; null when the source has none.</param>
/// <param name="Owner">Disposed of after the body.</param>
public sealed record FileBody(Stream Body, long Offset, string? Tag, IDisposable? Owner = null) : IAsyncDisposable
{
    /// <summary>Bytes that were asked for and are in the body; null for all to the end of the file.</summary>
    public long? Length { get; init; }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Body.DisposeAsync();
        Owner?.Dispose();
    }
}
