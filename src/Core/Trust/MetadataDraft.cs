using System.Buffers;
using System.Collections.Immutable;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Coppice.Trust;

/// <summary>The next version of a role's metadata, while it is made. Fields not known here are carried over from the version before.</summary>
public abstract class MetadataDraft
{
    // Changed whenever a rule of the specification that is followed here changes.
    const string SpecificationVersion = "1.0.34";

    private protected MetadataDraft(string type, RoleMetadata? before, long least = 1)
    {
        Signed = before is null ? [] : (JsonObject)JsonNode.Parse(before.Json.GetRawText())!;
        Version = Math.Max((before?.Version ?? 0) + 1, least);
        Signed["_type"] = type;
        Signed["spec_version"] = SpecificationVersion;
        Signed["version"] = Version;
    }

    /// <summary>One more than the version before, or the least that was asked for; 1 for the first.</summary>
    public long Version { get; }

    private protected JsonObject Signed { get; }

    /// <summary>Finishes the draft.</summary>
    /// <param name="expires">When the metadata stops being trusted; fractions of a second are dropped.</param>
    /// <param name="keys">Keys that sign it; none leaves it for <see cref="MetadataSigning.AddSignature"/>.</param>
    /// <returns>The bytes of the metadata file.</returns>
    public byte[] Sign(DateTimeOffset expires, params ReadOnlySpan<SigningKey> keys)
    {
        Signed["expires"] = MetadataTime.Write(expires);
        var signed = JsonElement.Parse(MetadataSigning.Bytes(Signed));
        var form = CanonicalJson.Encode(signed);
        var signatures = ImmutableArray.CreateBuilder<(string, byte[])>();
        foreach (var key in keys)
            signatures.Add((key.KeyId, key.Sign(form)));
        return MetadataSigning.Envelope(signed, signatures);
    }

    private protected JsonObject Part(string name)
    {
        if (Signed[name] is not JsonObject part)
            Signed[name] = part = [];
        return part;
    }

    // Adds the keys under the ids that securesystemslib computes, and gives the ids.
    private protected static JsonArray AddKeys(JsonObject keys, ReadOnlySpan<PublicKey> added)
    {
        var ids = new JsonArray();
        foreach (var key in added)
        {
            var id = key.ComputeKeyId();
            if (!keys.ContainsKey(id)) // one that is there may carry fields of others
            {
                var json = JsonNode.Parse(key.ToJson().GetRawText())!;
                if (PublicKeyText.Shown(key.Name) is { } name)
                    json[PublicKeyText.NameField] = name;
                keys[id] = json;
            }
            ids.Add((JsonNode)id);
        }
        return ids;
    }

    // Drops keys that no role names any more.
    private protected static void KeepKeys(JsonObject keys, IEnumerable<JsonNode?> roles)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (var role in roles)
            used.UnionWith(role!["keyids"]!.AsArray().Select(id => (string)id!));
        foreach (var id in keys.Select(member => member.Key).Where(id => !used.Contains(id)).ToArray())
            keys.Remove(id);
    }

    private protected static JsonObject FileOf(long version, ReadOnlySpan<byte> bytes) => new()
    {
        ["version"] = version,
        ["length"] = bytes.Length,
        ["hashes"] = new JsonObject { ["sha256"] = Sha256Digest.Of(bytes).ToString() },
    };
}

/// <summary>The next root.</summary>
/// <param name="before">The root before; null for the first of a repository, which uses consistent snapshots.</param>
public sealed class RootDraft(Root? before) : MetadataDraft(TopLevelRole.Root, before)
{
    /// <summary>Says who signs a top-level role from now on; keys that no role needs any more are dropped.</summary>
    /// <param name="role">One of the four top-level roles.</param>
    /// <param name="threshold">How many of them must sign; 1 to the number of keys.</param>
    /// <param name="keys">All keys of the role, each once.</param>
    public RootDraft SetRole(string role, int threshold, params ReadOnlySpan<PublicKey> keys)
    {
        if (!TopLevelRole.Is(role))
            throw new ArgumentException($"'{role}' is no top-level role; delegate to it from targets.", nameof(role));
        if (threshold < 1 || threshold > keys.Length)
            throw new ArgumentOutOfRangeException(nameof(threshold), $"{threshold} of {keys.Length} keys cannot sign; give 1 to {keys.Length}.");
        Signed["consistent_snapshot"] ??= true;
        var (known, roles) = (Part("keys"), Part("roles"));
        var old = roles[role] as JsonObject ?? [];
        old["keyids"] = AddKeys(known, keys);
        old["threshold"] = threshold;
        roles[role] = old.Parent is null ? old : old.DeepClone();
        KeepKeys(known, roles.Select(member => member.Value));
        return this;
    }
}

/// <summary>The next version of a targets role, top-level or delegated.</summary>
/// <param name="before">The version before; null for the first.</param>
/// <param name="least">The least version that it may have: of a repository that was restored, clients may have seen versions that are lost.</param>
public sealed class TargetsDraft(Targets? before, long least = 1) : MetadataDraft(TopLevelRole.Targets, before, least)
{
    /// <summary>Adds a target, or replaces what is said of its path.</summary>
    public TargetsDraft Put(TargetInfo target)
    {
        var hashes = new JsonObject();
        if (target.Hashes.Sha256 is { } sha256)
            hashes["sha256"] = sha256.ToString();
        if (target.Hashes.Sha512 is { } sha512)
            hashes["sha512"] = sha512;
        var said = new JsonObject { ["length"] = target.Length, ["hashes"] = hashes };
        if (!target.Custom.IsEmpty)
            said["custom"] = JsonNode.Parse(target.Custom.Span);
        Part("targets")[target.Path] = said;
        return this;
    }

    /// <summary>Stops vouching for a path.</summary>
    /// <returns>Whether the role vouched for it.</returns>
    public bool Remove(string path) => Part("targets").Remove(path);

    /// <summary>Delegates paths to a role, or changes the delegation in its place in the order.</summary>
    /// <param name="role">Any name but a top-level one.</param>
    /// <param name="paths">Patterns with <c>*</c> and <c>?</c>.</param>
    /// <param name="terminating">Whether later delegations are not asked about these paths.</param>
    /// <param name="threshold">How many of the keys must sign.</param>
    /// <param name="keys">The role's keys, each once.</param>
    public TargetsDraft Delegate(
        string role, IEnumerable<string> paths, bool terminating, int threshold, params ReadOnlySpan<PublicKey> keys)
    {
        if (TopLevelRole.Is(role))
            throw new ArgumentException($"'{role}' is a top-level role; the root says who signs it.", nameof(role));
        if (threshold < 1 || threshold > keys.Length)
            throw new ArgumentOutOfRangeException(nameof(threshold), $"{threshold} of {keys.Length} keys cannot sign; give 1 to {keys.Length}.");
        var delegations = Part("delegations");
        if (delegations["keys"] is not JsonObject known)
            delegations["keys"] = known = [];
        if (delegations["roles"] is not JsonArray roles)
            delegations["roles"] = roles = [];
        var delegation = new JsonObject
        {
            ["name"] = role,
            ["keyids"] = AddKeys(known, keys),
            ["threshold"] = threshold,
            ["terminating"] = terminating,
            ["paths"] = new JsonArray([.. paths.Select(path => (JsonNode)path)]),
        };
        var place = PlaceOf(roles, role);
        if (place < 0)
            roles.Add((JsonNode)delegation);
        else
            roles[place] = delegation;
        KeepKeys(known, roles);
        return this;
    }

    /// <summary>Puts the delegations in another order: the first that covers a path has precedence.</summary>
    /// <param name="order">Names of all roles that are delegated to, each once.</param>
    public TargetsDraft Order(IReadOnlyList<string> order)
    {
        var delegations = Part("delegations");
        var roles = delegations["roles"]!.AsArray();
        if (order.Count != roles.Count || order.Distinct(StringComparer.Ordinal).Count() != order.Count)
            throw new ArgumentException($"{order.Count} names for {roles.Count} delegations; name each once.", nameof(order));
        delegations["roles"] = new JsonArray([.. order.Select(role => PlaceOf(roles, role) is >= 0 and var place
            ? roles[place]!.DeepClone()
            : throw new ArgumentException($"'{role}' is not delegated to.", nameof(order)))]);
        return this;
    }

    /// <summary>Stops delegating to a role.</summary>
    /// <returns>Whether there was a delegation to it.</returns>
    public bool Undelegate(string role)
    {
        var delegations = Part("delegations");
        if (delegations["roles"] is not JsonArray roles || PlaceOf(roles, role) is not (>= 0 and var place))
            return false;
        roles.RemoveAt(place);
        KeepKeys(delegations["keys"]!.AsObject(), roles);
        return true;
    }

    static int PlaceOf(JsonArray roles, string role) => roles.Select(item => (string?)item!["name"]).ToList().IndexOf(role);

    /// <summary>Finishes the draft.</summary>
    /// <inheritdoc cref="MetadataDraft.Sign"/>
    public new byte[] Sign(DateTimeOffset expires, params ReadOnlySpan<SigningKey> keys)
    {
        Part("targets"); // required, even when it is empty
        return base.Sign(expires, keys);
    }
}

/// <summary>The next snapshot.</summary>
/// <param name="before">The snapshot before; null for the first.</param>
/// <param name="least">The least version that it may have.</param>
public sealed class SnapshotDraft(Snapshot? before, long least = 1) : MetadataDraft(TopLevelRole.Snapshot, before, least)
{
    /// <summary>Says which version the next metadata of a role must have that others sign: clients may have seen lost ones below it.</summary>
    public SnapshotDraft SetLeastNext(string role, long version)
    {
        Part(Snapshot.LeastNextField)[role] = version;
        return this;
    }

    /// <summary>Names the version of a targets role, with length and digest.</summary>
    public SnapshotDraft Put(MetadataFile<Targets> role)
    {
        Part("meta")[role.Role + ".json"] = FileOf(role.Signed.Version, role.Bytes.Span);
        return this;
    }
}

/// <summary>The next timestamp.</summary>
/// <param name="before">The timestamp before; null for the first.</param>
/// <param name="least">The least version that it may have.</param>
public sealed class TimestampDraft(Timestamp? before, long least = 1) : MetadataDraft(TopLevelRole.Timestamp, before, least)
{
    /// <summary>Names the newest snapshot, with length and digest.</summary>
    public TimestampDraft Put(MetadataFile<Snapshot> snapshot)
    {
        Part("meta")["snapshot.json"] = FileOf(snapshot.Signed.Version, snapshot.Bytes.Span);
        return this;
    }
}

/// <summary>Signs metadata that others began.</summary>
public static class MetadataSigning
{
    // Metadata is read by programs, not shown in pages: PEM text stays readable.
    static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Adds a signature to a metadata file that is unsigned or signed by others; the key's earlier one is replaced.</summary>
    /// <param name="file">Metadata of any role.</param>
    /// <param name="key">The key that signs.</param>
    /// <returns>The file with the signature; what is signed stays the same.</returns>
    /// <exception cref="UntrustedMetadataException">The file is no metadata.</exception>
    public static byte[] AddSignature(ReadOnlyMemory<byte> file, SigningKey key)
    {
        var reader = new MetadataReader("metadata to sign");
        var envelope = reader.Parse(file.Span);
        if (envelope.ValueKind != JsonValueKind.Object)
            throw reader.Malformed("the file is no object", "give 'signatures' and 'signed'");
        var signed = reader.Object(envelope, "signed");
        var signatures = ImmutableArray.CreateBuilder<(string, byte[])>();
        foreach (var (id, signature) in MetadataFile.ReadSignatures(reader, envelope))
        {
            if (id != key.KeyId)
                signatures.Add((id, signature.ToArray()));
        }
        signatures.Add((key.KeyId, key.Sign(reader.Canonical(signed))));
        return Envelope(signed, signatures);
    }

    /// <summary>One file with the signatures of both, which say the same.</summary>
    internal static byte[] Union(ReadOnlyMemory<byte> file, ReadOnlyMemory<byte> other)
    {
        var reader = new MetadataReader("metadata to sign");
        var (first, second) = (reader.Parse(file.Span), reader.Parse(other.Span));
        var signatures = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var (id, signature) in MetadataFile.ReadSignatures(reader, first).Concat(MetadataFile.ReadSignatures(reader, second)))
        {
            if (!signature.IsEmpty)
                signatures.TryAdd(id, signature.ToArray());
        }
        return Envelope(reader.Object(first, "signed"), signatures.Select(pair => (pair.Key, pair.Value)));
    }

    internal static byte[] Bytes(JsonNode node)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Compact))
            node.WriteTo(writer);
        return buffer.WrittenSpan.ToArray();
    }

    internal static byte[] Envelope(JsonElement signed, IEnumerable<(string KeyId, byte[] Signature)> signatures)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Compact))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("signatures");
            foreach (var (id, signature) in signatures)
            {
                writer.WriteStartObject();
                writer.WriteString("keyid", id);
                writer.WriteString("sig", Convert.ToHexStringLower(signature));
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
            writer.WritePropertyName("signed");
            signed.WriteTo(writer);
            writer.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }
}
