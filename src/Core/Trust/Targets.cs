using System.Collections.Frozen;
using System.Text;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>Names files by path, and delegates paths to other roles (section 4.5): the top-level role or a delegated one.</summary>
public sealed class Targets : RoleMetadata, IDelegator
{
    internal Targets(MetadataReader reader, JsonElement signed) : base(reader, signed)
    {
        var files = new Dictionary<string, TargetInfo>(StringComparer.Ordinal);
        foreach (var member in reader.Object(signed, "targets").EnumerateObject())
        {
            var path = reader.Name(member);
            if (member.Value.ValueKind != JsonValueKind.Object)
                throw reader.Malformed($"target '{UntrustedMetadataException.Shown(path)}' is no object", "give its length and hashes");
            files.Add(path, new TargetInfo(reader, path, member.Value));
        }
        Files = files.ToFrozenDictionary(StringComparer.Ordinal);
        Delegations = MetadataReader.Optional(signed, "delegations") is null
            ? null
            : new Delegations(reader, reader.Object(signed, "delegations"));
    }

    /// <summary>Files by target path.</summary>
    public FrozenDictionary<string, TargetInfo> Files { get; }

    /// <summary>To whom paths are delegated; null for nobody.</summary>
    public Delegations? Delegations { get; }

    FrozenDictionary<string, PublicKey> IDelegator.Keys => Delegations?.Keys ?? FrozenDictionary<string, PublicKey>.Empty;

    /// <inheritdoc/>
    public RoleKeys? KeysOf(string role) => Delegations?.KeysOf(role);
}

/// <summary>A file that a targets role vouches for.</summary>
public sealed class TargetInfo
{
    internal TargetInfo(MetadataReader reader, string path, JsonElement json)
    {
        Path = path;
        Length = reader.Integer(json, "length", least: 0);
        Hashes = new Hashes(reader, reader.Object(json, "hashes"));
        Custom = MetadataReader.Optional(json, "custom") is { } custom ? Encoding.UTF8.GetBytes(custom.GetRawText()) : default;
    }

    /// <summary>A target with the digest that Coppice writes.</summary>
    /// <param name="path">The target path, <c>releases/plant/bearing/1.2.0.json</c>.</param>
    /// <param name="content">The file's bytes.</param>
    public TargetInfo(string path, ReadOnlySpan<byte> content)
    {
        Path = path;
        Length = content.Length;
        Hashes = new Hashes(Sha256Digest.Of(content));
    }

    /// <summary>The name that the search asks for.</summary>
    public string Path { get; }

    /// <summary>Bytes in the file.</summary>
    public long Length { get; }

    /// <summary>Digests of the file; at least one.</summary>
    public Hashes Hashes { get; }

    /// <summary>The JSON text of the <c>custom</c> field; empty when there is none.</summary>
    public ReadOnlyMemory<byte> Custom { get; }

    /// <summary>Whether both say the same length and digests of the same path.</summary>
    public bool SaysTheSameAs(TargetInfo other) =>
        Path == other.Path && Length == other.Length && Hashes.Sha256 == other.Hashes.Sha256 && Hashes.Sha512 == other.Hashes.Sha512
        && Custom.Span.SequenceEqual(other.Custom.Span);

    /// <summary>Checks downloaded bytes.</summary>
    /// <exception cref="UntrustedMetadataException">They have another length or digest.</exception>
    public void Verify(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Length)
            throw new UntrustedMetadataException(Path, Distrust.WrongLength, $"it has {bytes.Length} bytes", $"its metadata says {Length}");
        if (!Hashes.Match(bytes))
            throw new UntrustedMetadataException(
                Path, Distrust.WrongHash, $"its SHA-256 is {Sha256Digest.Of(bytes)}",
                $"its metadata says {Hashes.Prefix ?? "digests of algorithms not known here"}");
    }

    /// <summary>Where the file lies below the targets folder.</summary>
    /// <param name="consistentSnapshot">Whether the repository puts the digest before the file name.</param>
    /// <exception cref="UntrustedMetadataException">No digest is of a known algorithm, so there is no name to ask for.</exception>
    public string StoredPath(bool consistentSnapshot)
    {
        if (!consistentSnapshot)
            return Path;
        var prefix = Hashes.Prefix ?? throw new UntrustedMetadataException(
            Path, Distrust.WrongHash, "its digests are of algorithms not known here", "give sha256 or sha512");
        var name = Path.LastIndexOf('/') + 1;
        return $"{Path[..name]}{prefix}.{Path[name..]}";
    }
}
