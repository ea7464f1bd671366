using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Blobs, and patches between them, in a folder: a USB stick, a network share.</summary>
/// <param name="repository">The folder that holds <c>blobs/</c>.</param>
public sealed class FolderBlobs(string repository) : IBlobSource, IPatchSource
{
    /// <inheritdoc/>
    public Task<BlobBody> OpenAsync(Sha256Digest digest, long length, long offset, string? tag, CancellationToken cancel) =>
        Open(PathOf(RepositoryLayout.BlobFile(digest)), length, offset);

    /// <inheritdoc/>
    public Task<long?> PatchLengthAsync(Sha256Digest from, Sha256Digest to, CancellationToken cancel) =>
        Task.FromResult(new FileInfo(PathOf(RepositoryLayout.PatchFile(from, to))) is { Exists: true } file ? file.Length : (long?)null);

    /// <inheritdoc/>
    public Task<BlobBody> OpenPatchAsync(Sha256Digest from, Sha256Digest to, long length, long offset, CancellationToken cancel) =>
        Open(PathOf(RepositoryLayout.PatchFile(from, to)), length, offset);

    string PathOf(string file) => Path.Combine([repository, .. file.Split('/')]);

    static Task<BlobBody> Open(string path, long length, long offset)
    {
        try
        {
            var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1, useAsync: true);
            if (stream.Length != length)
            {
                var found = stream.Length;
                stream.Dispose();
                throw new LinkException($"{path} has {found} bytes; {length} are wanted. Copy it again.");
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
