namespace Coppice.Trust;

/// <summary>The names in a Coppice repository: roles, target paths, files. docs/formats/repository.md is the description.</summary>
public static class RepositoryLayout
{
    /// <summary>The delegated role that names release manifests; its keys are the publishers', offline.</summary>
    public const string ReleasesRole = "releases";

    /// <summary>The delegated role that names rollout plans; its key is the server's, online.</summary>
    public const string RolloutsRole = "rollouts";

    /// <summary>The paths of <see cref="ReleasesRole"/>.</summary>
    public const string ReleasesPattern = "releases/*/*/*";

    /// <summary>The paths of <see cref="RolloutsRole"/>.</summary>
    public const string RolloutsPattern = "rollouts/*/*/*";

    const string TeamPrefix = "team-";

    /// <summary>The delegated role of a team, <c>team-vision</c>.</summary>
    /// <param name="team">1 to 64 of a-z, 0-9 and '-', beginning with a letter.</param>
    /// <exception cref="ArgumentException">The name is no team's.</exception>
    public static string TeamRole(string team) => IsTeamName(team)
        ? TeamPrefix + team
        : throw new ArgumentException($"'{UntrustedMetadataException.Shown(team)}' is not a team's name; take 1 to 64 of a-z, 0-9 and '-', beginning with a letter.");

    /// <summary>The team of a delegated role; null when the role is no team's.</summary>
    public static string? TeamOf(string role) =>
        role.StartsWith(TeamPrefix, StringComparison.Ordinal) && IsTeamName(role[TeamPrefix.Length..]) ? role[TeamPrefix.Length..] : null;

    /// <summary>Whether the role signs releases: <see cref="ReleasesRole"/>, or a team's.</summary>
    public static bool IsReleaseRole(string role) => role == ReleasesRole || TeamOf(role) is not null;

    /// <summary>The target path of a release's manifest.</summary>
    /// <param name="model">Owner and name, <c>plant/bearing</c>.</param>
    /// <param name="version">The release, <c>1.2.0</c>.</param>
    public static string ReleaseTarget(string model, string version) => Target("releases", model, version + ".json");

    /// <summary>The target path of a model's rollout plan.</summary>
    /// <param name="model">Owner and name.</param>
    public static string PlanTarget(string model) => Target("rollouts", model, "plan.json");

    /// <summary>Whether a target path is one that the releases role may speak of, safe as a file name everywhere.</summary>
    public static bool IsReleaseTarget(string path) => new PathPattern(ReleasesPattern).Matches(path) && IsPlain(path);

    /// <summary>Whether a target path is one that the rollouts role may speak of, safe as a file name everywhere.</summary>
    public static bool IsPlanTarget(string path) => new PathPattern(RolloutsPattern).Matches(path) && IsPlain(path);

    /// <summary>The file of a blob below the repository: <c>blobs/sha256/ab/ab…</c>.</summary>
    public static string BlobFile(Sha256Digest digest)
    {
        var hex = digest.ToString();
        return $"blobs/sha256/{hex[..2]}/{hex}";
    }

    /// <summary>The file of a patch: <c>patches/FROM/TO.cpp</c>, with '-' between several blobs it is made from, <c>patches/alone/TO.cpp</c> when it is
    /// made from none. Not signed: what it makes has a digest that is.</summary>
    /// <param name="from">At most three, in their order.</param>
    /// <param name="to">What it makes.</param>
    public static string PatchFile(ReadOnlySpan<Sha256Digest> from, Sha256Digest to)
    {
        var folder = string.Join('-', from.ToArray());
        return $"patches/{(folder.Length == 0 ? AlonePatches : folder)}/{to}.cpp";
    }

    /// <summary>The file that says which patches make a blob: <c>patches/index/TO.json</c>. It changes when patches come and go.</summary>
    public static string PatchIndexFile(Sha256Digest to) => $"{PatchIndexFolder}/{to}.json";

    /// <summary>Folder of the files that say which patches there are.</summary>
    public const string PatchIndexFolder = "patches/index";

    const string AlonePatches = "alone";

    /// <summary>The file of what a public key is granted: <c>grants/DIGEST.cpg</c>. Not signed: a grant that was meddled with does not open.</summary>
    /// <param name="recipient">SHA-256 of the public key.</param>
    public static string GrantFile(Sha256Digest recipient) => $"grants/{recipient}.cpg";

    /// <summary>The file of a role's version below the repository; null for the timestamp, which has none in its name.</summary>
    public static string MetadataFileName(string role, long? version) =>
        version is { } number ? $"metadata/{number}.{role}.json" : $"metadata/{role}.json";

    static string Target(string folder, string model, string file)
    {
        var path = $"{folder}/{model}/{file}";
        return path.Count(c => c == '/') == 3 && IsPlain(path)
            ? path
            : throw new ArgumentException($"'{model}' and '{file}' make no target path; name a model 'owner/name' in letters, digits, '.', '_', '+' and '-'.");
    }

    static bool IsTeamName(string team) =>
        team.Length is > 0 and <= 64 && char.IsAsciiLetterLower(team[0]) && team.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');

    // Letters, digits and . _ + - only, and no part that is empty or begins with a dot.
    static bool IsPlain(string path)
    {
        foreach (var part in path.Split('/'))
        {
            if (part is "" || part[0] == '.' || part.Length > 128)
                return false;
            foreach (var c in part)
            {
                if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '+' or '-'))
                    return false;
            }
        }
        return true;
    }
}
