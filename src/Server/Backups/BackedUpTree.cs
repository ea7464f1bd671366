using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Server.Backups;

/// <summary>What of the signed tree a backup holds: what is published at its moment, and no older plan or snapshot.</summary>
/// <param name="State">The metadata that is published.</param>
/// <param name="Paths">Every small file that belongs to it, the timestamp last.</param>
sealed record BackedUpTree(RepositoryState State, ImmutableArray<string> Paths)
{
    /// <exception cref="BackupException">There is no repository.</exception>
    public static BackedUpTree Of(ITreeFiles files)
    {
        var state = RepositoryState.Read(files) ?? throw new BackupException("There is no repository yet; start the server once, then back it up.");
        var paths = ImmutableArray.CreateBuilder<string>();
        for (var root = 1L; root <= state.Root.Signed.Version; root++)
            paths.Add(RepositoryLayout.MetadataFileName(TopLevelRole.Root, root));
        var targets = new List<Targets> { state.Targets.Signed };
        foreach (var (file, named) in state.Snapshot.Signed.Files.OrderBy(file => file.Key, StringComparer.Ordinal))
        {
            var role = file[..^".json".Length];
            paths.Add(RepositoryLayout.MetadataFileName(role, named.Version)); // also of a team that signs no more: it may again
            if (state.Roles.TryGetValue(role, out var present))
                targets.Add(present.Signed);
        }

        paths.AddRange(targets.SelectMany(role => role.Files.Values).Select(RepositoryTree.TargetFile).Distinct().Order(StringComparer.Ordinal));
        paths.AddRange(files.List("grants").Order(StringComparer.Ordinal).Select(name => $"grants/{name}"));
        paths.Add(RepositoryLayout.MetadataFileName(TopLevelRole.Snapshot, state.Snapshot.Signed.Version));
        paths.Add(RepositoryLayout.MetadataFileName(TopLevelRole.Timestamp, null));
        return new(state, paths.ToImmutable());
    }

    /// <summary>The highest version of what the online keys sign.</summary>
    public long Version => new[] { State.Timestamp.Signed.Version, State.Snapshot.Signed.Version, State.Rollouts.Signed.Version }.Max();

    /// <summary>The version of each role that offline keys sign, the root's excepted: that follows without a gap.</summary>
    public ImmutableSortedDictionary<string, long> Roles => State.Snapshot.Signed.Files
        .Select(file => KeyValuePair.Create(file.Key[..^".json".Length], file.Value.Version))
        .Where(role => role.Key == TopLevelRole.Targets || RepositoryLayout.IsReleaseRole(role.Key)).ToImmutableSortedDictionary(StringComparer.Ordinal);

    /// <summary>Whether a small file is a release's manifest.</summary>
    public static bool IsManifest(string path) => path.StartsWith("targets/releases/", StringComparison.Ordinal);

    /// <summary>The files of a release, as they lie in the repository.</summary>
    public static IEnumerable<BlobName> Blobs(ReadOnlySpan<byte> manifest) => DocumentJson.TryRead(manifest, out ReleaseManifest? read, out _) ? read.Blobs : [];
}

/// <summary>The tree's small files in a database, as they are at one moment.</summary>
sealed class TreeAtMoment(CoppiceDb db) : ITreeFiles
{
    public long? Length(string path) => db.TreeFiles.Where(row => row.Path == path).Select(row => (long?)row.Bytes.Length).FirstOrDefault();

    public Stream? Open(string path) => db.TreeFiles.Where(row => row.Path == path).Select(row => row.Bytes).FirstOrDefault() is { } bytes ? new MemoryStream(bytes, writable: false) : null;

    public IReadOnlyList<string> List(string folder)
    {
        var prefix = folder + "/";
        return [.. db.TreeFiles.Where(row => row.Path.StartsWith(prefix)).Select(row => row.Path).ToList().Select(path => path[prefix.Length..])];
    }

    public ITreeWriting LockForWriting() => throw new NotSupportedException();

    public ITreeFile Create(string path) => throw new NotSupportedException();

    public void Delete(string path) => throw new NotSupportedException();

    public void RemoveLeftovers(DateTimeOffset olderThan) => throw new NotSupportedException();
}
