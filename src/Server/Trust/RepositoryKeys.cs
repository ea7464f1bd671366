using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>All keys of a repository, together only when it is made. Afterwards the server needs the online key alone.</summary>
/// <param name="Root">Offline; at least one. Signs who signs the rest.</param>
/// <param name="RootThreshold">How many root keys must sign.</param>
/// <param name="Targets">Offline. Delegates to releases and rollouts.</param>
/// <param name="Releases">Offline; the publishers' keys, any one of which signs releases.</param>
/// <param name="Online">On the server. Signs timestamp, snapshot and rollouts: it can choose between signed releases, not add one.</param>
public sealed record RepositoryKeys(
    IReadOnlyList<SigningKey> Root, int RootThreshold, SigningKey Targets, IReadOnlyList<SigningKey> Releases, SigningKey Online) : IDisposable
{
    const string OnlineFile = "online.pem";

    /// <summary>New keys, one for each part.</summary>
    public static RepositoryKeys Create() =>
        new([SigningKey.Create("root-1")], 1, SigningKey.Create("targets"), [SigningKey.Create("releases-1")], SigningKey.Create("online"));

    /// <summary>Writes the keys as <c>root-1.pem</c>, <c>targets.pem</c>, <c>releases-1.pem</c>, <c>online.pem</c>, readable by this user only.</summary>
    /// <param name="folder">Made when it is not there. Keys that are there already are not written over.</param>
    /// <param name="password">For the offline keys; empty leaves them in the clear. The online key is never encrypted.</param>
    /// <exception cref="IOException">A key is there already.</exception>
    public void Save(string folder, ReadOnlySpan<char> password = default)
    {
        Directory.CreateDirectory(folder);
        for (var i = 0; i < Root.Count; i++)
            Write(folder, $"root-{i + 1}.pem", Export(Root[i], password));
        Write(folder, "targets.pem", Export(Targets, password));
        for (var i = 0; i < Releases.Count; i++)
            Write(folder, $"releases-{i + 1}.pem", Export(Releases[i], password));
        Write(folder, OnlineFile, Online.Export());
    }

    /// <summary>Reads the keys that <see cref="Save"/> wrote.</summary>
    /// <param name="folder">The folder of the keys.</param>
    /// <param name="rootThreshold">How many root keys must sign.</param>
    /// <param name="password">Of the offline keys; empty when they are in the clear.</param>
    public static RepositoryKeys Load(string folder, int rootThreshold = 1, ReadOnlySpan<char> password = default)
    {
        var root = Read(folder, "root-*.pem", password);
        var releases = Read(folder, "releases-*.pem", password);
        if (root.Count == 0 || releases.Count == 0)
            throw new FileNotFoundException($"'{folder}' holds {root.Count} root and {releases.Count} release keys; each needs at least one.");
        return new(root, rootThreshold, Read(folder, "targets.pem", password)[0], releases, LoadOnline(folder));
    }

    /// <summary>Reads the one online key that <see cref="Save"/> wrote.</summary>
    public static SigningKey LoadOnline(string folder) => SigningKey.Import(File.ReadAllBytes(Path.Combine(folder, OnlineFile)));

    public void Dispose()
    {
        foreach (var key in (SigningKey[])[.. Root, Targets, .. Releases, Online])
            key.Dispose();
    }

    static byte[] Export(SigningKey key, ReadOnlySpan<char> password) => password.IsEmpty ? key.Export() : key.Export(password);

    static List<SigningKey> Read(string folder, string pattern, ReadOnlySpan<char> password)
    {
        var keys = new List<SigningKey>();
        foreach (var file in Directory.GetFiles(folder, pattern).Order(StringComparer.Ordinal))
            keys.Add(SigningKey.Import(File.ReadAllBytes(file), password));
        return keys.Count > 0 || pattern.Contains('*')
            ? keys
            : throw new FileNotFoundException($"'{Path.Combine(folder, pattern)}' is not there; copy the key back or make the repository's keys again.");
    }

    static void Write(string folder, string name, byte[] pem)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var stream = new FileStream(Path.Combine(folder, name), options);
        stream.Write(pem);
        stream.Flush(flushToDisk: true);
    }
}
