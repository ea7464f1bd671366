using Coppice.Delta;
using Coppice.Formats;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Cli;

/// <summary>Files opened for reading at any place, by several threads.</summary>
sealed class FileSources : IDisposable
{
    readonly List<SafeFileHandle> handles = [];

    public List<IByteSource> Sources { get; } = [];

    public static FileSources Open(IEnumerable<FileInfo> files)
    {
        var opened = new FileSources();
        try
        {
            foreach (var file in files)
            {
                var handle = File.OpenHandle(file.FullName, options: FileOptions.RandomAccess);
                opened.handles.Add(handle);
                opened.Sources.Add(new Source(handle));
            }
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    public void Dispose() => handles.ForEach(handle => handle.Dispose());

    sealed class Source(SafeFileHandle handle) : IByteSource
    {
        public long Length { get; } = RandomAccess.GetLength(handle);

        public void Read(long offset, Span<byte> into)
        {
            while (!into.IsEmpty)
            {
                var read = RandomAccess.Read(handle, into, offset);
                if (read == 0)
                    throw new EndOfStreamException($"the file has become shorter than the {Length} bytes it had.");
                offset += read;
                into = into[read..];
            }
        }
    }
}

/// <summary>A file that appears under its name only when it is complete and on the disk.</summary>
sealed class ReplacingFile : IDisposable
{
    readonly string path;
    bool committed;

    ReplacingFile(string path) => (this.path, Stream) = (path, new(path + ".part", FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 16));

    public FileStream Stream { get; }

    public static ReplacingFile Create(string path) => new(path);

    public void Commit()
    {
        Stream.Flush(flushToDisk: true);
        Stream.Dispose();
        File.Move(path + ".part", path, overwrite: true);
        committed = true;
    }

    public void Dispose()
    {
        Stream.Dispose();
        if (!committed)
            File.Delete(path + ".part");
    }
}

/// <summary>A file that is patched in place, or the journal of that.</summary>
sealed class PatchedFile(string path, FileMode mode) : IPatchFile, IDisposable
{
    readonly FileStream stream = new(path, mode, FileAccess.ReadWrite, FileShare.None, 0);

    public long Length => stream.Length;

    public void Read(long offset, Span<byte> into)
    {
        stream.Position = offset;
        stream.ReadExactly(into);
    }

    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        stream.Position = offset;
        stream.Write(bytes);
    }

    public void SetLength(long length) => stream.SetLength(length);

    public void Flush() => stream.Flush(flushToDisk: true);

    public void Dispose() => stream.Dispose();
}
