using System.Collections.Immutable;
using System.Globalization;

namespace Coppice.Trust;

/// <summary>What a signing request would change, in plain words, worked out from the bytes that are signed and from nothing that its maker says.</summary>
public static class SigningSummary
{
    static readonly string[] Told = ["_type", "spec_version", "version", "expires", "keys", "roles", "targets", "delegations"];

    /// <summary>One line for each fact, for a person; indented by two spaces below the role it is about.</summary>
    public static ImmutableArray<string> Of(SigningRequest request)
    {
        var lines = ImmutableArray.CreateBuilder<string>();
        lines.Add(request.PresentRoot is { } present
            ? $"changes a repository whose root is version {present.Signed.Version}, signed by {Names(present.Signers(present.Signed, present.Signed.Roles[TopLevelRole.Root]), NamedKey.Of(present.Signed, TopLevelRole.Root))}"
            : "makes a new repository");
        if (request.NextRoot is { } root)
            OfRoot(request.PresentRoot?.Signed, root, lines);
        foreach (var (role, file) in request.Next.OrderBy(role => role.Key == TopLevelRole.Targets ? 0 : 1))
        {
            var before = request.Present.GetValueOrDefault(role)?.Signed;
            Heading(role, before, file.Signed, lines);
            OfDelegations(before?.Delegations, file.Signed.Delegations, before, file.Signed, lines);
            OfFiles(before, file.Signed, lines);
            OfOthers(before, file.Signed, lines);
        }
        return lines.ToImmutable();
    }

    /// <summary>One line for each role: who has signed, who still may, and whether it is enough.</summary>
    public static ImmutableArray<string> Signatures(SigningRequest request) => [.. request.Needs.Select(need =>
    {
        var who = need.Signed.IsEmpty ? "nobody yet" : Names(need.Signed, need.Keys);
        var missing = need.Threshold - need.Signed.Length;
        var rest = need.Keys.Where(key => !need.Signed.Contains(key.Id)).ToArray();
        return $"{need.Role}: {need.By} asks for {need.Threshold} of {need.Keys.Length}; signed by {who}"
            + (need.IsMet ? "; enough" : $"; {missing} more of {string.Join(", ", rest)}");
    })];

    static void Heading(string role, RoleMetadata? before, RoleMetadata next, ImmutableArray<string>.Builder lines)
    {
        var what = RepositoryLayout.TeamOf(role) is { } team ? $"{role}, the releases of team {team}" : role;
        lines.Add($"{what}: {(before is null ? "" : string.Create(CultureInfo.InvariantCulture, $"version {before.Version} → "))}version {next.Version}, trusted until {next.Expires:yyyy-MM-dd}");
    }

    static void OfRoot(Root? before, MetadataFile<Root> next, ImmutableArray<string>.Builder lines)
    {
        Heading(TopLevelRole.Root, before, next.Signed, lines);
        foreach (var role in (string[])[TopLevelRole.Root, TopLevelRole.Targets, TopLevelRole.Snapshot, TopLevelRole.Timestamp])
            OfKeys(role, before, next.Signed, lines);
        if (before is not null && before.ConsistentSnapshot != next.Signed.ConsistentSnapshot)
            lines.Add($"  consistent snapshots: {before.ConsistentSnapshot} → {next.Signed.ConsistentSnapshot}");
        OfOthers(before, next.Signed, lines);
    }

    static void OfKeys(string role, IDelegator? before, IDelegator next, ImmutableArray<string>.Builder lines)
    {
        var (old, now) = (before?.KeysOf(role), next.KeysOf(role)!);
        var keys = NamedKey.Of(next, role);
        foreach (var gone in before is null ? [] : NamedKey.Of(before, role).Where(key => !now.KeyIds.Contains(key.Id)))
            lines.Add($"  - {Printable(role)} loses the key {gone}");
        foreach (var key in keys.Where(key => old is null || !old.KeyIds.Contains(key.Id)))
            lines.Add($"  + {Printable(role)} gets the key {key}");
        // The same id with other contents would be another key.
        foreach (var key in keys.Where(key => before is not null && before.Keys.TryGetValue(key.Id, out var was) && was.Identity != next.Keys.GetValueOrDefault(key.Id)?.Identity))
            lines.Add($"  ! {Printable(role)}: the key {key} is another key under the same id");
        if (old is null || old.Threshold != now.Threshold || !old.KeyIds.SequenceEqual(now.KeyIds))
            lines.Add($"  {Printable(role)} needs {now.Threshold} of {Counted(now.KeyIds.Length, "key")}{(old is null || old.Threshold == now.Threshold ? "" : $", before {old.Threshold}")}");
    }

    static void OfDelegations(Delegations? before, Delegations? next, IDelegator? old, IDelegator now, ImmutableArray<string>.Builder lines)
    {
        foreach (var role in before?.Roles ?? [])
        {
            if (next?.KeysOf(role.Name) is null)
                lines.Add($"  - {Printable(role.Name)} may sign nothing any more");
        }
        foreach (var role in next?.Roles ?? [])
        {
            var was = before?.Roles.FirstOrDefault(other => other.Name == role.Name);
            if (was is null || !was.Paths.SequenceEqual(role.Paths) || was.Terminating != role.Terminating || !was.PathHashPrefixes.SequenceEqual(role.PathHashPrefixes))
                lines.Add($"  + {Printable(role.Name)} may sign {Paths(role)}{(role.Terminating ? "" : ", and roles after it too")}");
            OfKeys(role.Name, was is null ? null : old, now, lines);
        }
        if (next?.Succinct is not null)
            lines.Add("  ! delegates to hash bins, which is none of this repository's ways");
        var (orderBefore, orderNow) = (Order(before, next), Order(next, before));
        if (!orderBefore.SequenceEqual(orderNow))
            lines.Add($"  the roles are asked in another order: {string.Join(", ", next!.Roles.Select(role => Printable(role.Name)))}");
    }

    static void OfFiles(Targets? before, Targets next, ImmutableArray<string>.Builder lines)
    {
        foreach (var (path, target) in next.Files.OrderBy(file => file.Key, StringComparer.Ordinal))
        {
            var was = before?.Files.GetValueOrDefault(path);
            if (was is null)
                lines.Add($"  + {ReleaseOf(path)}, manifest sha256 {target.Hashes.Prefix}");
            else if (!was.SaysTheSameAs(target))
                lines.Add($"  ! {ReleaseOf(path)} gets another manifest: sha256 {target.Hashes.Prefix}");
        }
        foreach (var path in (before?.Files.Keys ?? []).Where(path => !next.Files.ContainsKey(path)).Order(StringComparer.Ordinal))
            lines.Add($"  ! {ReleaseOf(path)} is taken away");
        var same = before?.Files.Count(file => next.Files.TryGetValue(file.Key, out var kept) && kept.SaysTheSameAs(file.Value)) ?? 0;
        if (same > 0)
            lines.Add($"  {Counted(same, "release")} as before");
    }

    // Nothing that is signed goes untold.
    static void OfOthers(RoleMetadata? before, RoleMetadata next, ImmutableArray<string>.Builder lines)
    {
        var names = next.Json.EnumerateObject().Concat(before?.Json.EnumerateObject().AsEnumerable() ?? []).Select(member => member.Name).Distinct(StringComparer.Ordinal);
        foreach (var name in names.Except([.. Told, "consistent_snapshot"], StringComparer.Ordinal))
        {
            if (Text(before, name) != Text(next, name))
                lines.Add($"  ! the field '{Printable(name)}' becomes {Printable(Text(next, name) ?? "nothing")}");
        }

        static string? Text(RoleMetadata? metadata, string name) =>
            metadata is not null && metadata.Json.TryGetProperty(name, out var value) ? value.GetRawText() : null;
    }

    static string Paths(DelegatedRole role) => role.PathHashPrefixes.IsEmpty
        ? string.Join(", ", role.Paths.Select(path => TeamPattern.TryReadPath(path, out var pattern) ? pattern.ToString() : path switch
        {
            RepositoryLayout.ReleasesPattern => "releases of all other models",
            RepositoryLayout.RolloutsPattern => "rollout plans",
            _ => Printable(path),
        }))
        : "paths by their digests";

    static string ReleaseOf(string path) => path.Split('/') is ["releases", var owner, var name, var file] && file.EndsWith(".json", StringComparison.Ordinal)
        ? $"{Printable(owner)}/{Printable(name)} {Printable(file[..^".json".Length])}"
        : $"'{Printable(path)}', which is no release";

    static string Names(ImmutableArray<string> ids, ImmutableArray<NamedKey> keys) => string.Join(", ", ids.Select(id => keys.First(key => key.Id == id)));

    static IEnumerable<string> Order(Delegations? of, Delegations? both) => (of?.Roles ?? []).Select(role => role.Name).Where(role => both?.KeysOf(role) is not null);

    static string Counted(int count, string noun) => $"{count} {noun}{(count == 1 ? "" : "s")}";

    /// <summary>Text of a request for a terminal: no control characters, which could hide a line or move the cursor, and not without end.</summary>
    public static string Printable(string text) =>
        string.Concat(UntrustedMetadataException.Shown(text, 200).Select(c => char.IsControl(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator ? '?' : c));
}
