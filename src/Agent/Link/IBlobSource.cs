using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Where blobs are read from. Nothing it gives is trusted: the reader compares digests.</summary>
public interface IBlobSource
{
    /// <summary>Opens a blob at an offset.</summary>
    /// <param name="digest">Of the whole blob.</param>
    /// <param name="length">Of the whole blob, as signed.</param>
    /// <param name="offset">Bytes that are here already, below <paramref name="length"/>.</param>
    /// <param name="tag">The tag that came with those bytes; null when there was none.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>The bytes from <see cref="BlobBody.Offset"/> on: the offset asked for, or 0 when the source cannot go on there.</returns>
    /// <exception cref="LinkException">It was not to be had; says why.</exception>
    Task<BlobBody> OpenAsync(Sha256Digest digest, long length, long offset, string? tag, CancellationToken cancel);
}

/// <summary>Bytes of a blob as they arrive.</summary>
/// <param name="Body">From <paramref name="Offset"/> to the end, if the source is honest.</param>
/// <param name="Offset">The first byte's place in the blob.</param>
/// <param name="Tag">To resume with; null when the source has none.</param>
/// <param name="Owner">Disposed of after the body.</param>
public sealed record BlobBody(Stream Body, long Offset, string? Tag, IDisposable? Owner = null) : IAsyncDisposable
{
    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Body.DisposeAsync();
        Owner?.Dispose();
    }
}
