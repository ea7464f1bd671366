using System.Text;
using Coppice.Server.Trust;

namespace Coppice.Server.Replicas;

/// <summary>Holds the servers of a database to one place for blobs: it has a mark, which the tree has too.</summary>
static class BlobPlace
{
    const string Mark = "place";

    /// <exception cref="InvalidDataException">The blobs of the database are in another place.</exception>
    public static void Check(ITreeFiles small, ITreeFiles large, string shown)
    {
        var (wanted, found) = (Read(small), Read(large));
        if (wanted is null)
        {
            found ??= Write(large, Guid.NewGuid().ToString("N")); // first, so that a start that is cut short is finished by the next
            Write(small, found);
        }
        else if (found != wanted)
        {
            throw new InvalidDataException($"The blobs of this database are not in {shown}: {(found is null ? "it was never used by a server on this database" : "it belongs to another database")}. " +
                "Give every server the same --blobs: a folder that all of them share, or s3://BUCKET/PREFIX.");
        }
    }

    static string? Read(ITreeFiles files) => RepositoryState.ReadFile(files, Mark) is { } bytes ? Encoding.ASCII.GetString(bytes) : null;

    static string Write(ITreeFiles files, string mark)
    {
        using var file = files.Create(Mark);
        file.Content.Write(Encoding.ASCII.GetBytes(mark));
        file.Commit();
        return mark;
    }
}
