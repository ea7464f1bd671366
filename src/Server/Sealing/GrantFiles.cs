using Coppice.Server.Trust;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Server.Sealing;

/// <summary>The static grants of a repository: a small file for each public key. Whoever serves them opens none.</summary>
/// <param name="files">The repository's tree.</param>
public sealed class GrantFiles(ITreeFiles files)
{
    /// <summary>What a public key is granted; a file without grants when there is none.</summary>
    /// <exception cref="BrokenSealException">The file is damaged.</exception>
    public GrantFile Read(Sha256Digest recipient)
    {
        using var stream = files.Open(RepositoryLayout.GrantFile(recipient));
        if (stream is null)
            return GrantFile.Of(recipient);
        if (stream.Length > GrantFile.MaxBytes)
            throw new BrokenSealException($"The grants of {recipient} have {stream.Length} bytes; at most {GrantFile.MaxBytes} are taken.");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var read = GrantFile.Read(bytes);
        return read.Recipient == recipient ? read : throw new BrokenSealException($"The grants of {recipient} are those of {read.Recipient}.");
    }

    /// <summary>Adds grants to those that are there.</summary>
    /// <exception cref="BrokenSealException">The file that is there is damaged.</exception>
    /// <exception cref="ArgumentException">There would be too many.</exception>
    public void Add(GrantFile more)
    {
        using var writing = files.LockForWriting();
        Put(Read(more.Recipient).With(more.Grants));
        writing.Complete();
    }

    /// <summary>Leaves a public key no grants. What it opened before, it has.</summary>
    public void Withdraw(Sha256Digest recipient)
    {
        using var writing = files.LockForWriting();
        Put(GrantFile.Of(recipient));
        writing.Complete();
    }

    void Put(GrantFile file)
    {
        using var written = files.Create(RepositoryLayout.GrantFile(file.Recipient));
        written.Content.Write(file.Write());
        written.Commit();
    }
}
