namespace Coppice.Server.Trust;

/// <summary>The few things that <see cref="RepositoryTree"/> asks of a disk. Paths are relative, with <c>/</c>.</summary>
public interface ITreeFiles
{
    /// <summary>Keeps all other writers of the tree out, in this process and in others, until disposed of by the same thread.</summary>
    /// <exception cref="IOException">Another writer has held the tree for too long.</exception>
    ITreeWriting LockForWriting();

    /// <summary>Bytes in a file; null when it is not there.</summary>
    long? Length(string path);

    /// <summary>Opens a file to be read; null when it is not there.</summary>
    Stream? Open(string path);

    /// <summary>Names of the files in a folder, without the folder; empty when it is not there.</summary>
    IReadOnlyList<string> List(string folder);

    /// <summary>Begins a file. Nobody sees it before it is committed.</summary>
    ITreeFile Create(string path);

    /// <summary>Removes a file; nothing happens when it is not there. Readers that have it open read on.</summary>
    void Delete(string path);

    /// <summary>Removes what writers that died left behind, if it is older than this.</summary>
    void RemoveLeftovers(DateTimeOffset olderThan);
}

/// <summary>The lock of a writer of the tree. Disposed of, it lets others write.</summary>
public interface ITreeWriting : IDisposable
{
    /// <summary>Says that all was written that belongs together. Without it, a tree that can take everything back does; on a disk each file is there once it is committed.</summary>
    /// <exception cref="IOException">It was not kept.</exception>
    void Complete();
}

/// <summary>A file being written. Disposed of without <see cref="Commit"/>, it never was.</summary>
public interface ITreeFile : IDisposable
{
    /// <summary>Where the bytes go.</summary>
    Stream Content { get; }

    /// <summary>Puts the whole file in its place, over an older one: after a power cut there is the old one or the new one.</summary>
    void Commit();
}
