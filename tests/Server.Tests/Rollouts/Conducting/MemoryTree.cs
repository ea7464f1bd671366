using System.Diagnostics.CodeAnalysis;
using Coppice.Server.Trust;

namespace Coppice.Server.Tests.Rollouts.Conducting;

/// <summary>A tree's files in memory, which refuse from some step of writing on: before a file begins, or before or after it takes its place.</summary>
sealed class MemoryTree : ITreeFiles
{
    readonly Dictionary<string, byte[]> files;
    int? left;

    /// <summary>Grows with every file that takes its place or goes.</summary>
    public long Version { get; private set; }

    public MemoryTree() => files = new(StringComparer.Ordinal);

    MemoryTree(Dictionary<string, byte[]> files) => this.files = new(files, StringComparer.Ordinal);

    public MemoryTree Copy() => new(files);

    /// <summary>Lets so many steps happen, and no more.</summary>
    public void RefuseAfter(int steps) => left = steps;

    /// <summary>Refuses nothing any more.</summary>
    /// <returns>Whether anything was refused.</returns>
    public bool Mend()
    {
        var refused = left < 0;
        left = null;
        return refused;
    }

    public ITreeWriting LockForWriting() => new Writing();

    public long? Length(string path) => files.TryGetValue(path, out var bytes) ? bytes.Length : null;

    public Stream? Open(string path) => files.TryGetValue(path, out var bytes) ? new MemoryStream(bytes, writable: false) : null;

    public IReadOnlyList<string> List(string folder) =>
        [.. files.Keys.Where(path => path.StartsWith(folder + "/", StringComparison.Ordinal) && path.IndexOf('/', folder.Length + 1) < 0).Select(path => path[(folder.Length + 1)..])];

    public ITreeFile Create(string path)
    {
        Step();
        return new NewFile(this, path);
    }

    public void Delete(string path)
    {
        Step();
        files.Remove(path);
        Version++;
    }

    public void RemoveLeftovers(DateTimeOffset olderThan)
    {
    }

    void Step()
    {
        if (left is null)
            return;
        if (left-- <= 0)
        {
            left = -1;
            throw new IOException("No space left on device");
        }
    }

    sealed class Writing : ITreeWriting
    {
        public void Complete()
        {
            // Each file is in its place already, as on a disk.
        }

        public void Dispose()
        {
        }
    }

    sealed class NewFile(MemoryTree tree, string path) : ITreeFile
    {
        readonly MemoryStream content = new();

        public Stream Content => content;

        public void Commit()
        {
            tree.Step();
            tree.files[path] = content.ToArray();
            tree.Version++;
            tree.Step(); // it is there, and its writer does not know
        }

        [SuppressMessage("Usage", "CA2213:Disposable fields should be disposed", Justification = "Memory.")]
        public void Dispose()
        {
        }
    }
}
