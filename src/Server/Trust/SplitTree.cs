namespace Coppice.Server.Trust;

/// <summary>A tree whose blobs and patches are in one place, and everything else, which is small and read again and again, in another.</summary>
/// <param name="small">Metadata, targets, grants and indexes of patches; locks the tree.</param>
/// <param name="large">Blobs and patches.</param>
public sealed class SplitTree(ITreeFiles small, ITreeFiles large) : ITreeFiles
{
    /// <summary>Whether a path is a blob's or a patch's.</summary>
    public static bool IsLarge(string path) =>
        path.StartsWith("blobs/", StringComparison.Ordinal)
        || (path.StartsWith("patches/", StringComparison.Ordinal) && !path.StartsWith(Coppice.Trust.RepositoryLayout.PatchIndexFolder + "/", StringComparison.Ordinal));

    /// <summary>Where the blobs and patches are.</summary>
    public ITreeFiles Large => large;

    /// <inheritdoc/>
    public ITreeWriting LockForWriting() => small.LockForWriting();

    /// <inheritdoc/>
    public long? Length(string path) => Of(path).Length(path);

    /// <inheritdoc/>
    public Stream? Open(string path) => Of(path).Open(path);

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string folder) => Of(folder + "/").List(folder);

    /// <inheritdoc/>
    public ITreeFile Create(string path) => Of(path).Create(path);

    /// <inheritdoc/>
    public void Delete(string path) => Of(path).Delete(path);

    /// <inheritdoc/>
    public void RemoveLeftovers(DateTimeOffset olderThan)
    {
        small.RemoveLeftovers(olderThan);
        large.RemoveLeftovers(olderThan);
    }

    ITreeFiles Of(string path) => IsLarge(path) ? large : small;
}
