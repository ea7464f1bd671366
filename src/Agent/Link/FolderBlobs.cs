using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Blobs in a folder: a USB stick, a network share.</summary>
/// <param name="repository">The folder that holds <c>blobs/</c>.</param>
public sealed class FolderBlobs(string repository) : IBlobSource
{
    /// <inheritdoc/>
    public Task<BlobBody> OpenAsync(Sha256Digest digest, long length, long offset, string? tag, CancellationToken cancel)
    {
        var hex = digest.ToString();
        var path = Path.Combine(repository, "blobs", "sha256", hex[..2], hex);
        try
        {
            var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1, useAsync: true);
            if (stream.Length != length)
            {
                var found = stream.Length;
                stream.Dispose();
                throw new LinkException($"{path} has {found} bytes; the manifest says {length}. Copy it again.");
            }

            stream.Position = offset;
            return Task.FromResult(new BlobBody(stream, offset, null));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LinkException($"{path} cannot be read: {e.Message}", e);
        }
    }
}
