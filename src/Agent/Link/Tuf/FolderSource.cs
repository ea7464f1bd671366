namespace Coppice.Agent.Link.Tuf;

/// <summary>A repository in a folder: a USB stick, a network share, a copy beside the program. It is trusted no more than a server.</summary>
/// <param name="folder">The folder that holds <c>metadata/</c> and <c>targets/</c>.</param>
public sealed class FolderSource(string folder) : IMetadataSource
{
    /// <inheritdoc/>
    /// <remarks>A folder has no tags; the client sees by the bytes that a timestamp has not changed.</remarks>
    public Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel) =>
        // Names with a percent sign are stored as a server would be asked for them.
        FetchAsync(fileName, Path.Combine(folder, "metadata", Uri.EscapeDataString(fileName)), mostBytes, cancel);

    /// <inheritdoc/>
    public Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel)
    {
        SourcePath.RequireInside(path);
        return FetchAsync(path, Path.Combine([folder, "targets", .. path.Split('/')]), mostBytes, cancel);
    }

    static async Task<FetchedFile> FetchAsync(string name, string file, int mostBytes, CancellationToken cancel)
    {
        FileStream stream;
        try
        {
            stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1, useAsync: true);
        }
        catch (Exception absent) when (absent is FileNotFoundException or DirectoryNotFoundException)
        {
            return FetchedFile.Absent;
        }
        await using (stream)
        {
            if (stream.Length > mostBytes)
                throw SourcePath.TooLong(name, mostBytes);
            return new FetchedFile(FetchOutcome.Found, await SourcePath.ReadAsync(stream, name, mostBytes, cancel), null);
        }
    }
}
