using System.Text;
using Coppice.Trust;

namespace Coppice.Agent.Link.Tuf;

/// <summary>Where the trusted metadata of one repository is kept between updates, byte for byte.</summary>
public interface IMetadataStore
{
    /// <summary>The stored file of a role; null when there is none.</summary>
    /// <param name="role">Any text: a delegated role is named by the repository.</param>
    ReadOnlyMemory<byte>? Read(string role);

    /// <summary>Replaces the file of a role: after a power cut there is the old one or the new one.</summary>
    void Write(string role, ReadOnlyMemory<byte> bytes);

    /// <summary>Forgets the file of a role, if there is one.</summary>
    void Delete(string role);
}

/// <summary>Trusted metadata in a plain folder, under names without version: <c>root.json</c>, <c>timestamp.json</c>.</summary>
public sealed class FolderMetadataStore : IMetadataStore
{
    // A stored file above this was not written here; it counts as damaged.
    const long MostBytes = 64 * 1024 * 1024;
    const int MostNameLength = 100;

    readonly string _folder;

    /// <param name="folder">Made when it is not there.</param>
    public FolderMetadataStore(string folder)
    {
        _folder = folder;
        Directory.CreateDirectory(folder);
    }

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? Read(string role)
    {
        var file = new FileInfo(FileOf(role));
        if (!file.Exists || file.Length > MostBytes)
            return null;
        return File.ReadAllBytes(file.FullName);
    }

    /// <inheritdoc/>
    public void Write(string role, ReadOnlyMemory<byte> bytes)
    {
        var file = FileOf(role);
        var temporary = file + ".new";
        using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1))
        {
            stream.Write(bytes.Span);
            stream.Flush(flushToDisk: true);
        }
        File.Move(temporary, file, overwrite: true);
    }

    /// <inheritdoc/>
    public void Delete(string role) => File.Delete(FileOf(role));

    // A plain lower-case name is its file's; any other role is named by its digest. So no name leaves the folder, and
    // no "Root" meets "root.json" where the file system does not tell them apart.
    string FileOf(string role)
    {
        var isPlain = role.Length is > 0 and <= MostNameLength && role.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_');
        return Path.Combine(_folder, (isPlain ? role : "@" + Sha256Digest.Of(Encoding.UTF8.GetBytes(role))) + ".json");
    }
}
