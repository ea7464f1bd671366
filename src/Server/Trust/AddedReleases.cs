using System.Collections.Immutable;
using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>The rule for what offline keys sign next: it follows the present versions, stays within its delegations, and only adds releases.</summary>
static class AddedReleases
{
    /// <summary>Holds the next state against the present one and the manifests that came with it.</summary>
    /// <param name="current">The present state; null before the first.</param>
    /// <param name="next">The next state: its targets and its roles.</param>
    /// <param name="lastOf">The last published version of a role, also of one that was delegated to only once.</param>
    /// <param name="manifests">The manifests of all releases that are added, in any order.</param>
    /// <returns>The files to write: one for each release that is added.</returns>
    /// <exception cref="RepositoryConflictException">It does not follow the present versions, or changes or drops something.</exception>
    /// <exception cref="ArgumentException">The manifests are not those of the added releases.</exception>
    public static ImmutableArray<(string Path, ReadOnlyMemory<byte> Bytes)> Check(
        RepositoryState? current, RepositoryState next, Func<string, Targets?> lastOf, IReadOnlyList<ReadOnlyMemory<byte>> manifests)
    {
        var leastNext = current?.Snapshot.Signed.LeastNext ?? ImmutableDictionary<string, long>.Empty;
        RequireNext(TopLevelRole.Targets, current?.Targets.Signed, next.Targets.Signed, leastNext);
        foreach (var role in next.RoleNames.Where(RepositoryLayout.IsReleaseRole))
        {
            var last = lastOf(role);
            RequireNext(role, last, next.Roles[role].Signed, leastNext);
            RequireWithin(role, last, next);
        }
        var published = current?.Releases() ?? [];
        var after = next.Releases();
        foreach (var (path, release) in published)
        {
            var role = current!.RoleFor(path)!;
            if (!after.TryGetValue(path, out var kept))
                throw Conflict(role, $"the metadata drops '{path}', which is published; a release is never taken away, roll devices to another.");
            if (!kept.SaysTheSameAs(release))
                throw Conflict(role, $"the metadata changes '{path}', which is published; a release never changes, give it a new version.");
        }
        return Manifests([.. after.Values.Where(release => !published.ContainsKey(release.Path))], manifests);
    }

    // No other gap than the one that a restore leaves: a stolen key could otherwise take all numbers that there are.
    static void RequireNext(string role, Targets? last, Targets next, ImmutableDictionary<string, long> leastNext)
    {
        if (last is not null && !ReferenceEquals(last, next) && next.Version != last.Version + 1 && next.Version != Math.Max(last.Version + 1, leastNext.GetValueOrDefault(role)))
            throw Conflict(role, $"version {next.Version} does not follow {last.Version}; fetch the present metadata, prepare and sign again.");
    }

    static void RequireWithin(string role, Targets? last, RepositoryState next)
    {
        var signed = next.Roles[role].Signed;
        if (signed.Delegations is not null)
            throw Conflict(role, "the metadata delegates to other roles; in this repository releases are signed by the role that 'targets' delegates to.");
        foreach (var (path, target) in signed.Files)
        {
            if (last is not null && last.Files.TryGetValue(path, out var before) && before.SaysTheSameAs(target))
                continue; // also what a narrower delegation has taken over meanwhile
            if (!RepositoryLayout.IsReleaseTarget(path))
                throw Conflict(role, $"'{path}' is no path of a release; name it 'releases/owner/name/version.json'.");
            if (next.RoleFor(path) is var right && right != role)
                throw Conflict(role, $"'{path}' is delegated to '{right}', not to this role; have it signed with that role's keys.");
        }
        foreach (var path in last?.Files.Keys ?? [])
        {
            if (!signed.Files.ContainsKey(path))
                throw Conflict(role, $"the metadata drops '{path}', which is published; a release is never taken away, roll devices to another.");
        }
    }

    static ImmutableArray<(string Path, ReadOnlyMemory<byte> Bytes)> Manifests(IReadOnlyCollection<TargetInfo> added, IReadOnlyList<ReadOnlyMemory<byte>> manifests)
    {
        var given = new Dictionary<Sha256Digest, ReadOnlyMemory<byte>>();
        foreach (var manifest in manifests)
            given[Sha256Digest.Of(manifest.Span)] = manifest;
        var files = ImmutableArray.CreateBuilder<(string, ReadOnlyMemory<byte>)>();
        var used = new HashSet<Sha256Digest>();
        foreach (var release in added)
        {
            if (release.Hashes.Sha256 is not { } digest || !given.TryGetValue(digest, out var manifest) || manifest.Length != release.Length)
                throw new ArgumentException($"The manifest of '{release.Path}' is not among the {manifests.Count} given; send the very bytes that were signed.", nameof(manifests));
            used.Add(digest);
            files.Add((RepositoryTree.TargetFile(release), manifest));
        }
        if (used.Count != given.Count)
            throw new ArgumentException($"{given.Count - used.Count} of the manifests given is named by no added release; send only those that were signed.", nameof(manifests));
        return files.ToImmutable();
    }

    static RepositoryConflictException Conflict(string role, string problem) => new(role, problem);
}
