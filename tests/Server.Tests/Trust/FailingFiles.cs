using Coppice.Server.Trust;

namespace Coppice.Server.Tests.Trust;

/// <summary>The power goes at the n-th step of writing: before a file begins, halfway through it, before or after its rename.</summary>
sealed class FailingFiles(ITreeFiles files, int steps) : ITreeFiles
{
    int _left = steps;

    public ITreeWriting LockForWriting() => files.LockForWriting();

    public long? Length(string path) => files.Length(path);

    public Stream? Open(string path) => files.Open(path);

    public IReadOnlyList<string> List(string folder) => files.List(folder);

    public void RemoveLeftovers(DateTimeOffset olderThan) => files.RemoveLeftovers(olderThan);

    public void Delete(string path)
    {
        Step();
        files.Delete(path);
    }

    public ITreeFile Create(string path)
    {
        Step();
        return new FailingFile(this, files.Create(path));
    }

    void Step()
    {
        if (_left-- == 0)
            throw new PowerCutException();
    }

    sealed class FailingFile(FailingFiles owner, ITreeFile file) : ITreeFile
    {
        readonly FailingStream _content = new(owner, file.Content);

        public Stream Content => _content;

        public void Commit()
        {
            owner.Step();
            file.Commit();
            owner.Step();
        }

        // A power cut disposes of nothing; the leftover stays, as it would.
        public void Dispose()
        {
            if (owner._left >= 0)
                file.Dispose();
            else
                file.Content.Dispose();
        }
    }

    sealed class FailingStream(FailingFiles owner, Stream stream) : Stream
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            stream.Write(buffer[..(buffer.Length / 2)]);
            owner.Step();
            stream.Write(buffer[(buffer.Length / 2)..]);
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush() => stream.Flush();

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}

sealed class PowerCutException : Exception;
