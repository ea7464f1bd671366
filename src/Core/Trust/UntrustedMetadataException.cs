namespace Coppice.Trust;

/// <summary>Why metadata or a target is not believed.</summary>
public enum Distrust
{
    /// <summary>The bytes are no metadata of this kind: not JSON, a field missing, a name twice, too deep.</summary>
    Malformed,
    /// <summary>More bytes than the role may have: endless data.</summary>
    TooLong,
    /// <summary>The <c>_type</c> is another role's.</summary>
    WrongType,
    /// <summary>Fewer valid signatures by distinct keys than the threshold: an arbitrary-software attack.</summary>
    TooFewSignatures,
    /// <summary>An older version than the one already trusted: a rollback attack.</summary>
    Rollback,
    /// <summary>The metadata has expired: a freeze attack, a repository nobody keeps, or a wrong clock.</summary>
    Expired,
    /// <summary>Another version than the one that the role above names: a mix-and-match attack.</summary>
    WrongVersion,
    /// <summary>Another digest than the one that the role above names.</summary>
    WrongHash,
    /// <summary>Another length than the one that the role above names.</summary>
    WrongLength,
    /// <summary>The snapshot does not list a role, or no longer lists it.</summary>
    NotInSnapshot,
    /// <summary>The repository does not have a file that its metadata names.</summary>
    Missing,
    /// <summary>A role vouches for what it has no business with, as an online key for a release.</summary>
    WrongRole,
}

/// <summary>Metadata or a target was refused. What was trusted before is still trusted.</summary>
/// <param name="role">The role or target path it claims to be.</param>
/// <param name="reason">Which rule it breaks; stable, callers branch on it.</param>
/// <param name="found">What was found.</param>
/// <param name="wanted">What is wanted in its place, or what to do.</param>
public sealed class UntrustedMetadataException(string role, Distrust reason, string found, string wanted)
    : Exception($"'{Shown(role)}' is not trusted ({reason}): {Shown(found, 400)}; {wanted}.")
{
    /// <summary>The role or target path that was refused.</summary>
    public string Role { get; } = role;

    /// <summary>Which rule it breaks.</summary>
    public Distrust Reason { get; } = reason;

    /// <summary>What was found.</summary>
    public string Found { get; } = found;

    /// <summary>What is wanted in its place, or what to do.</summary>
    public string Wanted { get; } = wanted;

    /// <summary>A text of the repository, which may be as long as its file, cut for a message.</summary>
    public static string Shown(string text, int most = 100) => text.Length <= most ? text : text[..most] + "…";
}
