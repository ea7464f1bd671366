using System.Collections.Immutable;
using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>The rule for new releases metadata: it follows the present version and only adds.</summary>
static class AddedReleases
{
    /// <summary>Holds new releases metadata against the present one and the manifests that came with it.</summary>
    /// <returns>The files to write: one for each release that is added.</returns>
    /// <exception cref="RepositoryConflictException">It does not follow the present version, or changes or drops something.</exception>
    /// <exception cref="ArgumentException">The manifests are not those of the added releases.</exception>
    public static ImmutableArray<(string Path, ReadOnlyMemory<byte> Bytes)> Check(
        Targets current, Targets next, IReadOnlyList<ReadOnlyMemory<byte>> manifests)
    {
        if (next.Version != current.Version + 1)
            throw Conflict($"version {next.Version} does not follow {current.Version}; fetch the present metadata, prepare and sign again.");
        if (next.Delegations is not null)
            throw Conflict("the metadata delegates to other roles; in this repository releases are signed by the releases role itself.");
        foreach (var (path, published) in current.Files)
        {
            if (!next.Files.TryGetValue(path, out var kept))
                throw Conflict($"the metadata drops '{path}', which is published; a release is never taken away, roll devices to another.");
            if (!kept.SaysTheSameAs(published))
                throw Conflict($"the metadata changes '{path}', which is published; a release never changes, give it a new version.");
        }

        var given = new Dictionary<Sha256Digest, ReadOnlyMemory<byte>>();
        foreach (var manifest in manifests)
            given[Sha256Digest.Of(manifest.Span)] = manifest;
        var added = ImmutableArray.CreateBuilder<(string, ReadOnlyMemory<byte>)>();
        var used = new HashSet<Sha256Digest>();
        foreach (var (path, target) in next.Files)
        {
            if (current.Files.ContainsKey(path))
                continue;
            if (!RepositoryLayout.IsReleaseTarget(path))
                throw Conflict($"'{path}' is no path of a release; name it 'releases/owner/name/version.json'.");
            if (target.Hashes.Sha256 is not { } digest || !given.TryGetValue(digest, out var manifest) || manifest.Length != target.Length)
                throw new ArgumentException($"The manifest of '{path}' is not among the {manifests.Count} given; send the very bytes that were signed.", nameof(manifests));
            used.Add(digest);
            added.Add((RepositoryTree.TargetFile(target), manifest));
        }
        if (used.Count != given.Count)
            throw new ArgumentException($"{given.Count - used.Count} of the manifests given is named by no added release; send only those that were signed.", nameof(manifests));
        return added.ToImmutable();
    }

    static RepositoryConflictException Conflict(string problem) => new(RepositoryLayout.ReleasesRole, problem);
}
