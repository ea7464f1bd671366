using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>To which roles a targets role hands paths, in order of precedence.</summary>
public sealed class Delegations
{
    readonly FrozenDictionary<string, RoleKeys> _byName;

    internal Delegations(MetadataReader reader, JsonElement json)
    {
        Keys = DelegationKeys.Read(reader, json);
        var roles = MetadataReader.Optional(json, "roles");
        var succinct = MetadataReader.Optional(json, "succinct_roles");
        if (roles is null == succinct is null)
            throw reader.Malformed("'delegations' has none or both of 'roles' and 'succinct_roles'", "give one of them");

        var byName = new Dictionary<string, RoleKeys>(StringComparer.Ordinal);
        var list = ImmutableArray.CreateBuilder<DelegatedRole>();
        if (roles is not null)
        {
            foreach (var item in reader.Array(json, "roles").EnumerateArray())
            {
                if (item.ValueKind != JsonValueKind.Object)
                    throw reader.Malformed("an entry of 'roles' is no object", "give its name, keys and paths");
                var role = new DelegatedRole(reader, item);
                if (!byName.TryAdd(role.Name, role.Keys))
                    throw reader.Malformed($"it delegates to '{UntrustedMetadataException.Shown(role.Name)}' twice", "name each role once");
                list.Add(role);
            }
        }
        else
        {
            Succinct = new SuccinctRoles(reader, reader.Object(json, "succinct_roles"));
        }
        Roles = list.ToImmutable();
        _byName = byName.ToFrozenDictionary(StringComparer.Ordinal);
    }

    /// <summary>Keys of the delegated roles, by key id.</summary>
    public FrozenDictionary<string, PublicKey> Keys { get; }

    /// <summary>Delegated roles; the first that matches has precedence. Empty when <see cref="Succinct"/> is set.</summary>
    public ImmutableArray<DelegatedRole> Roles { get; }

    /// <summary>Hash bins in place of roles.</summary>
    public SuccinctRoles? Succinct { get; }

    /// <summary>Who signs the role; null when it is not delegated to.</summary>
    public RoleKeys? KeysOf(string role) =>
        Succinct is { } bins ? bins.Contains(role) ? bins.Keys : null : _byName.GetValueOrDefault(role);

    /// <summary>The roles that may speak of a target, in order; the search goes no further after one that terminates.</summary>
    public IEnumerable<(string Role, bool Terminating)> For(string targetPath)
    {
        if (Succinct is { } bins)
        {
            yield return (bins.BinOf(targetPath), true);
            yield break;
        }
        foreach (var role in Roles)
        {
            if (role.Covers(targetPath))
                yield return (role.Name, role.Terminating);
        }
    }
}

/// <summary>One delegation: a name, its keys, and the paths it may speak of.</summary>
public sealed class DelegatedRole
{
    readonly ImmutableArray<PathPattern> _paths;

    internal DelegatedRole(MetadataReader reader, JsonElement json)
    {
        Name = reader.Text(json, "name");
        if (TopLevelRole.Is(Name))
            throw reader.Malformed($"it delegates to '{Name}'", "a delegated role has another name than a top-level one");
        Keys = new RoleKeys(reader, json);
        Terminating = reader.Flag(json, "terminating");

        var paths = MetadataReader.Optional(json, "paths");
        var prefixes = MetadataReader.Optional(json, "path_hash_prefixes");
        if (paths is null == prefixes is null)
            throw reader.Malformed(
                $"'{UntrustedMetadataException.Shown(Name)}' has none or both of 'paths' and 'path_hash_prefixes'", "give one of them");
        Paths = Strings(reader, json, "paths", paths);
        PathHashPrefixes = Strings(reader, json, "path_hash_prefixes", prefixes);
        _paths = [.. Paths.Select(path => new PathPattern(path))];
    }

    /// <summary>The role's name; anything but a top-level one.</summary>
    public string Name { get; }

    /// <summary>Who signs it.</summary>
    public RoleKeys Keys { get; }

    /// <summary>Whether later delegations are not asked about a path that this one covers.</summary>
    public bool Terminating { get; }

    /// <summary>Path patterns; empty when hash prefixes are used.</summary>
    public ImmutableArray<string> Paths { get; }

    /// <summary>Beginnings of the SHA-256, in hexadecimal, of the paths covered.</summary>
    public ImmutableArray<string> PathHashPrefixes { get; }

    /// <summary>Whether the role may speak of a target.</summary>
    public bool Covers(string targetPath)
    {
        foreach (var pattern in _paths)
        {
            if (pattern.Matches(targetPath))
                return true;
        }
        if (PathHashPrefixes.IsEmpty)
            return false;
        var digest = Sha256Digest.Of(Encoding.UTF8.GetBytes(targetPath)).ToString();
        foreach (var prefix in PathHashPrefixes)
        {
            if (digest.StartsWith(prefix, StringComparison.Ordinal))
                return true;
        }
        return false;
    }

    static ImmutableArray<string> Strings(MetadataReader reader, JsonElement json, string name, JsonElement? given) =>
        given is null ? [] : [.. reader.Array(json, name).EnumerateArray().Select(item => reader.Text(item))];
}

/// <summary>2^n hash bins that share keys (TAP 15): a target belongs to the bin that the first n bits of its path's SHA-256 name.</summary>
public sealed class SuccinctRoles
{
    readonly int _bits;
    readonly int _digits;

    internal SuccinctRoles(MetadataReader reader, JsonElement json)
    {
        Keys = new RoleKeys(reader, json);
        _bits = (int)reader.Integer(json, "bit_length", least: 1);
        if (_bits > 32)
            throw reader.Malformed($"bit_length is {_bits}", "give 1 to 32");
        NamePrefix = reader.Text(json, "name_prefix");
        _digits = (_bits + 3) / 4;
    }

    /// <summary>Who signs every bin.</summary>
    public RoleKeys Keys { get; }

    /// <summary>What stands before the bin's number.</summary>
    public string NamePrefix { get; }

    /// <summary>Bins: 2 to 2^32.</summary>
    public long BinCount => 1L << _bits;

    /// <summary>The role of the bin that a target belongs to: prefix, dash, bin number in hexadecimal at full width.</summary>
    public string BinOf(string targetPath)
    {
        Span<byte> digest = stackalloc byte[Sha256Digest.ByteCount];
        Sha256Digest.Of(Encoding.UTF8.GetBytes(targetPath)).CopyTo(digest);
        var bin = BinaryPrimitives.ReadUInt32BigEndian(digest) >> (32 - _bits);
        return Name(bin);
    }

    /// <summary>Whether a role is one of the bins.</summary>
    public bool Contains(string role)
    {
        if (role.Length != NamePrefix.Length + 1 + _digits || !role.StartsWith(NamePrefix + "-", StringComparison.Ordinal))
            return false;
        var digits = role.AsSpan(NamePrefix.Length + 1);
        return long.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var bin)
            && bin < BinCount && role == Name(bin);
    }

    string Name(long bin) => $"{NamePrefix}-{bin.ToString($"x{_digits}", CultureInfo.InvariantCulture)}";
}

static class DelegationKeys
{
    public static FrozenDictionary<string, PublicKey> Read(MetadataReader reader, JsonElement delegator)
    {
        var keys = new Dictionary<string, PublicKey>(StringComparer.Ordinal);
        foreach (var member in reader.Object(delegator, "keys").EnumerateObject())
        {
            var id = reader.Name(member);
            if (member.Value.ValueKind != JsonValueKind.Object)
                throw reader.Malformed($"key '{UntrustedMetadataException.Shown(id)}' is no object", "give keytype, scheme and keyval");
            var value = reader.Object(member.Value, "keyval");
            // A kind of key not known here may have no "public"; it verifies nothing.
            var isText = value.TryGetProperty("public", out var text) && text.ValueKind == JsonValueKind.String;
            keys.Add(id, new PublicKey(
                reader.Text(member.Value, "keytype"), reader.Text(member.Value, "scheme"), isText ? reader.Text(text) : "")
            {
                Name = PublicKeyText.ReadName(reader, member.Value),
            });
        }
        return keys.ToFrozenDictionary(StringComparer.Ordinal);
    }
}
