using System.Collections.Immutable;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>A signature in a metadata file, as it came: whether it is good is asked elsewhere.</summary>
/// <param name="KeyId">Which key it claims.</param>
/// <param name="Signature">Its bytes; empty when they are no hexadecimal text, as a place kept for a signer has.</param>
public readonly record struct MetadataSignature(string KeyId, ReadOnlyMemory<byte> Signature);

/// <summary>A metadata file: its exact bytes, what it says, and who claims to have signed it.</summary>
/// <typeparam name="TRole">What it says.</typeparam>
public sealed class MetadataFile<TRole> where TRole : RoleMetadata
{
    readonly byte[] _signedForm;

    internal MetadataFile(string role, ReadOnlyMemory<byte> bytes, byte[] signedForm, TRole signed, ImmutableArray<MetadataSignature> signatures)
    {
        Role = role;
        Bytes = bytes;
        _signedForm = signedForm;
        Signed = signed;
        Signatures = signatures;
    }

    /// <summary>The role whose file it is.</summary>
    public string Role { get; }

    /// <summary>The file, byte for byte as it came.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>What it says.</summary>
    public TRole Signed { get; }

    /// <summary>Each key id once.</summary>
    public ImmutableArray<MetadataSignature> Signatures { get; }

    /// <summary>The canonical JSON over which signatures are made.</summary>
    public ReadOnlyMemory<byte> SignedForm => _signedForm;

    /// <summary>How many distinct keys of the role have signed: a key listed under two key ids counts once.</summary>
    public int CountSigners(IDelegator delegator, RoleKeys keys)
    {
        var signers = new HashSet<Sha256Digest>();
        foreach (var (id, signature) in Signatures)
        {
            if (signature.IsEmpty || !keys.Has(id) || !delegator.Keys.TryGetValue(id, out var key))
                continue;
            if (!signers.Contains(key.Identity) && key.Verify(_signedForm, signature.Span))
                signers.Add(key.Identity);
            if (signers.Count >= keys.Threshold)
                break; // enough; the rest would be work for nothing
        }
        return signers.Count;
    }

    /// <summary>Key ids of the role whose signatures are good, all of them, each key once.</summary>
    public ImmutableArray<string> Signers(IDelegator delegator, RoleKeys keys)
    {
        var signers = new HashSet<Sha256Digest>();
        var ids = ImmutableArray.CreateBuilder<string>();
        foreach (var (id, signature) in Signatures)
        {
            if (!signature.IsEmpty && keys.Has(id) && delegator.Keys.TryGetValue(id, out var key)
                && !signers.Contains(key.Identity) && key.Verify(_signedForm, signature.Span) && signers.Add(key.Identity))
                ids.Add(id);
        }
        return ids.ToImmutable();
    }

    /// <summary>Requires the threshold of signatures that a delegator asks for this role.</summary>
    /// <exception cref="UntrustedMetadataException">There are fewer, or the delegator does not delegate to the role.</exception>
    public void RequireSignedFor(IDelegator delegator)
    {
        var keys = delegator.KeysOf(Role) ?? throw new UntrustedMetadataException(
            Role, Distrust.TooFewSignatures, "the role above does not delegate to it", "ask only for roles that are delegated to");
        var signers = CountSigners(delegator, keys);
        if (signers < keys.Threshold)
            throw new UntrustedMetadataException(
                Role, Distrust.TooFewSignatures, $"version {Signed.Version} has {signers} valid signature(s) of the role's keys",
                $"{keys.Threshold} by different keys are wanted");
    }
}

/// <summary>Reads metadata files. Reading checks form only; trust is <see cref="TrustedMetadataSet"/>'s.</summary>
public static class MetadataFile
{
    /// <summary>Reads a root file.</summary>
    /// <exception cref="UntrustedMetadataException">It is malformed or of another type.</exception>
    public static MetadataFile<Root> ReadRoot(ReadOnlyMemory<byte> bytes) =>
        Read(TopLevelRole.Root, TopLevelRole.Root, bytes, static (reader, signed) => new Root(reader, signed));

    /// <inheritdoc cref="ReadRoot"/>
    public static MetadataFile<Timestamp> ReadTimestamp(ReadOnlyMemory<byte> bytes) =>
        Read(TopLevelRole.Timestamp, TopLevelRole.Timestamp, bytes, static (reader, signed) => new Timestamp(reader, signed));

    /// <inheritdoc cref="ReadRoot"/>
    public static MetadataFile<Snapshot> ReadSnapshot(ReadOnlyMemory<byte> bytes) =>
        Read(TopLevelRole.Snapshot, TopLevelRole.Snapshot, bytes, static (reader, signed) => new Snapshot(reader, signed));

    /// <summary>Reads the file of a targets role.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="role">The role's name: <c>targets</c> or a delegated one.</param>
    /// <exception cref="UntrustedMetadataException">It is malformed or of another type.</exception>
    public static MetadataFile<Targets> ReadTargets(ReadOnlyMemory<byte> bytes, string role = TopLevelRole.Targets) =>
        Read(role, TopLevelRole.Targets, bytes, static (reader, signed) => new Targets(reader, signed));

    static MetadataFile<TRole> Read<TRole>(
        string role, string type, ReadOnlyMemory<byte> bytes, Func<MetadataReader, JsonElement, TRole> read)
        where TRole : RoleMetadata
    {
        var reader = new MetadataReader(role);
        var envelope = reader.Parse(bytes.Span);
        if (envelope.ValueKind != JsonValueKind.Object)
            throw reader.Malformed("the file is no object", "give 'signatures' and 'signed'");
        var signatures = ReadSignatures(reader, envelope);
        var signed = reader.Object(envelope, "signed");
        var found = reader.Text(signed, "_type");
        if (found != type)
            throw new UntrustedMetadataException(
                role, Distrust.WrongType, $"it is metadata of type '{UntrustedMetadataException.Shown(found)}'", $"'{type}' is wanted");
        return new MetadataFile<TRole>(role, bytes, reader.Canonical(signed), read(reader, signed), signatures);
    }

    internal static ImmutableArray<MetadataSignature> ReadSignatures(MetadataReader reader, JsonElement envelope)
    {
        var signatures = ImmutableArray.CreateBuilder<MetadataSignature>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in reader.Array(envelope, "signatures").EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object)
                throw reader.Malformed("a signature is no object", "give its keyid and sig");
            var id = reader.Text(item, "keyid");
            // Section 4.2.1: several signatures with the same keyid are not allowed.
            if (!seen.Add(id))
                throw reader.Malformed($"key '{UntrustedMetadataException.Shown(id)}' signs twice", "give one signature for each key id");
            signatures.Add(new MetadataSignature(id, FromHex(reader.Text(item, "sig"))));
        }
        return signatures.ToImmutable();
    }

    // A signature that is no hexadecimal text is merely not good; the others may reach the threshold.
    static byte[] FromHex(string hex)
    {
        var bytes = new byte[hex.Length / 2];
        return Convert.FromHexString(hex, bytes, out _, out _) == System.Buffers.OperationStatus.Done ? bytes : [];
    }
}
