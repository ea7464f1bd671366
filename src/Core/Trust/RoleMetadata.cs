using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>The names of the four roles that every repository has.</summary>
public static class TopLevelRole
{
    /// <summary>Says which keys sign the other three and itself.</summary>
    public const string Root = "root";
    /// <summary>Says which snapshot is the newest; signed often.</summary>
    public const string Timestamp = "timestamp";
    /// <summary>Says which versions of all targets roles belong together.</summary>
    public const string Snapshot = "snapshot";
    /// <summary>Names files and delegates to other targets roles.</summary>
    public const string Targets = "targets";

    /// <summary>Whether the name is one of the four.</summary>
    public static bool Is(string role) => role is Root or Timestamp or Snapshot or Targets;
}

/// <summary>What is signed: the fields that all roles have. Fields not known here stay in <see cref="Json"/>.</summary>
public abstract class RoleMetadata
{
    private protected RoleMetadata(MetadataReader reader, JsonElement signed)
    {
        Json = signed;
        Version = reader.Integer(signed, "version", least: 1);
        Expires = reader.Time(signed, "expires");
        var specification = reader.Text(signed, "spec_version");
        // Section 4.3 leaves the match to the adopter: the same major version.
        if (specification != "1" && !specification.StartsWith("1.", StringComparison.Ordinal))
            throw reader.Malformed(
                $"spec_version is '{UntrustedMetadataException.Shown(specification)}'", "this client reads version 1 of the specification");
    }

    /// <summary>From 1.</summary>
    public long Version { get; }

    /// <summary>From this moment on the metadata is not trusted.</summary>
    public DateTimeOffset Expires { get; }

    /// <summary>The signed object as it came.</summary>
    public JsonElement Json { get; }

    internal bool HasExpired(DateTimeOffset now) => Expires <= now;
}

/// <summary>Which keys sign a role, and how many of them must.</summary>
public sealed class RoleKeys
{
    readonly HashSet<string> _ids;

    internal RoleKeys(MetadataReader reader, JsonElement json)
    {
        var ids = ImmutableArray.CreateBuilder<string>();
        foreach (var id in reader.Array(json, "keyids").EnumerateArray())
            ids.Add(reader.Text(id));
        _ids = ids.ToHashSet(StringComparer.Ordinal);
        if (_ids.Count != ids.Count)
            throw reader.Malformed("a role lists a key id twice", "list each key id once");
        KeyIds = ids.ToImmutable();
        Threshold = reader.Integer(json, "threshold", least: 1);
    }

    /// <summary>Each once.</summary>
    public ImmutableArray<string> KeyIds { get; }

    /// <summary>At least 1; may be more than there are keys, and then nothing is ever trusted.</summary>
    public long Threshold { get; }

    internal bool Has(string keyId) => _ids.Contains(keyId);
}

/// <summary>Keys and the roles they sign for: the root, or a targets role that delegates.</summary>
public interface IDelegator
{
    /// <summary>Keys by key id.</summary>
    FrozenDictionary<string, PublicKey> Keys { get; }

    /// <summary>Who signs the role; null when this delegator does not delegate to it.</summary>
    RoleKeys? KeysOf(string role);
}

/// <summary>The trust anchor: the keys of the four top-level roles (section 4.3).</summary>
public sealed class Root : RoleMetadata, IDelegator
{
    internal Root(MetadataReader reader, JsonElement signed) : base(reader, signed)
    {
        ConsistentSnapshot = reader.Flag(signed, "consistent_snapshot", otherwise: false);
        Keys = DelegationKeys.Read(reader, signed);
        var roles = new Dictionary<string, RoleKeys>(StringComparer.Ordinal);
        foreach (var member in reader.Object(signed, "roles").EnumerateObject())
        {
            var name = reader.Name(member);
            if (TopLevelRole.Is(name)) // "mirrors" and later roles are none of this client's
                roles.Add(name, member.Value.ValueKind == JsonValueKind.Object
                    ? new RoleKeys(reader, member.Value)
                    : throw reader.Malformed($"role '{name}' is no object", "give its keyids and threshold"));
        }
        if (roles.Count != 4)
            throw reader.Malformed(
                $"it has keys for {roles.Count} of the four top-level roles", "give root, timestamp, snapshot and targets");
        Roles = roles.ToFrozenDictionary(StringComparer.Ordinal);
    }

    /// <summary>Whether files carry their version or digest in front of their name, so that no two states mix.</summary>
    public bool ConsistentSnapshot { get; }

    /// <inheritdoc/>
    public FrozenDictionary<string, PublicKey> Keys { get; }

    /// <summary>The four top-level roles.</summary>
    public FrozenDictionary<string, RoleKeys> Roles { get; }

    /// <inheritdoc/>
    public RoleKeys? KeysOf(string role) => Roles.GetValueOrDefault(role);
}

/// <summary>Names the newest snapshot (section 4.6).</summary>
public sealed class Timestamp : RoleMetadata
{
    internal Timestamp(MetadataReader reader, JsonElement signed) : base(reader, signed)
    {
        var meta = reader.Object(signed, "meta");
        Snapshot = new MetaFile(reader, reader.Object(meta, "snapshot.json"));
    }

    /// <summary>The one snapshot that belongs to this timestamp.</summary>
    public MetaFile Snapshot { get; }
}

/// <summary>Names the versions of all targets roles that belong together (section 4.4).</summary>
public sealed class Snapshot : RoleMetadata
{
    /// <summary>Member of the signed object that other clients pass over; see <see cref="LeastNext"/>.</summary>
    internal const string LeastNextField = "x-coppice-least-next";

    internal Snapshot(MetadataReader reader, JsonElement signed) : base(reader, signed)
    {
        var files = new Dictionary<string, MetaFile>(StringComparer.Ordinal);
        foreach (var member in reader.Object(signed, "meta").EnumerateObject())
        {
            if (member.Value.ValueKind != JsonValueKind.Object)
                throw reader.Malformed("an entry of 'meta' is no object", "give its version");
            files.Add(reader.Name(member), new MetaFile(reader, member.Value));
        }
        Files = files.ToFrozenDictionary(StringComparer.Ordinal);
        var least = ImmutableDictionary.CreateBuilder<string, long>(StringComparer.Ordinal);
        if (MetadataReader.Optional(signed, LeastNextField) is not null)
        {
            foreach (var member in reader.Object(signed, LeastNextField).EnumerateObject())
                least[reader.Name(member)] = reader.Integer(reader.Object(signed, LeastNextField), member.Name, least: 1);
        }
        LeastNext = least.ToImmutable();
    }

    /// <summary>For roles that offline keys sign, by name: the version that the next metadata must have at least. A repository that was restored from a backup says it, for
    /// clients may have seen versions that the backup does not hold.</summary>
    public ImmutableDictionary<string, long> LeastNext { get; }

    /// <summary>By file name without version: <c>targets.json</c>, <c>releases.json</c>.</summary>
    public FrozenDictionary<string, MetaFile> Files { get; }

    /// <summary>What this snapshot says of a role; null when it does not list it.</summary>
    public MetaFile? Of(string role) => Files.GetValueOrDefault(role + ".json");
}

/// <summary>What one metadata file says of another: its version and, if it likes, its length and digests.</summary>
public sealed class MetaFile
{
    internal MetaFile(MetadataReader reader, JsonElement json)
    {
        Version = reader.Integer(json, "version", least: 1);
        Length = MetadataReader.Optional(json, "length") is null ? null : reader.Integer(json, "length", least: 0);
        Hashes = MetadataReader.Optional(json, "hashes") is null ? null : new Hashes(reader, reader.Object(json, "hashes"));
    }

    /// <summary>From 1.</summary>
    public long Version { get; }

    /// <summary>Bytes in the file, when told.</summary>
    public long? Length { get; }

    /// <summary>Digests of the file, when told.</summary>
    public Hashes? Hashes { get; }
}
