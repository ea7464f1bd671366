using System.Runtime.CompilerServices;

namespace Coppice.Agent.Link;

/// <summary>A repository in a folder: a USB stick, a network share.</summary>
/// <param name="repository">The folder that holds <c>blobs/</c>.</param>
public sealed class FolderFiles(string repository) : IRepositoryFiles
{
    /// <inheritdoc/>
    public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel)
    {
        var stream = Open(file);
        stream.Position = offset;
        return Task.FromResult(new FileBody(stream, offset, null));
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, [EnumeratorCancellation] CancellationToken cancel)
    {
        foreach (var range in ranges)
        {
            cancel.ThrowIfCancellationRequested();
            yield return (await OpenAsync(file, range.Offset, null, cancel)) with { Length = range.Length };
        }
    }

    /// <inheritdoc/>
    public async Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel)
    {
        var full = PathOf(path);
        try
        {
            if (new FileInfo(full) is not { Exists: true } file)
                return null;
            return file.Length <= most
                ? await File.ReadAllBytesAsync(full, cancel)
                : throw new LinkException($"{full} has {file.Length} bytes; at most {most} are read. Copy it again.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LinkException($"{full} cannot be read: {e.Message}", e);
        }
    }

    string PathOf(string file) => Path.Combine([repository, .. file.Split('/')]);

    FileStream Open(RepositoryFile file)
    {
        var path = PathOf(file.Path);
        try
        {
            var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1, useAsync: true);
            if (stream.Length == file.Length)
                return stream;
            var found = stream.Length;
            stream.Dispose();
            throw new LinkException($"{path} has {found} bytes; {file.Length} are wanted. Copy it again.") { Lasting = true };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LinkException($"{path} cannot be read: {e.Message}", e) { Lasting = e is FileNotFoundException or DirectoryNotFoundException };
        }
    }
}
