using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>What the operator calls a device, in answer to one question of it and signed by who signs rollout plans. What carries it can withhold it and no more.</summary>
/// <remarks>Whoever can sign plans decides already which devices take what; a passport gives nobody more. Specified in docs/formats/passport.md.</remarks>
/// <param name="Device">Whose it is.</param>
/// <param name="Nonce">What the device asked with: an earlier passport answers no later question.</param>
/// <param name="Labels">Without the prefix <c>label.</c>.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // a server may be newer than its agents
public sealed record DevicePassport(string Device, string Nonce, ImmutableDictionary<string, string> Labels)
{
    /// <summary>The payload type of its envelope.</summary>
    public const string PayloadType = "application/vnd.coppice.passport+json";

    /// <summary>Longest passport taken, in bytes: room for the most labels there may be.</summary>
    public const int MaxBytes = 768 << 10;

    const string Name = "passport";

    /// <summary>A digest of labels, whatever their order: by it a device says which it goes by.</summary>
    /// <returns>SHA-256 over each name and value, names in the order of their UTF-16 units: its bytes in UTF-8 after their number in four bytes, little-endian.</returns>
    public static Sha256Digest DigestOf(IReadOnlyDictionary<string, string> labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        using var bytes = new MemoryStream();
        Span<byte> length = stackalloc byte[4];
        foreach (var (name, value) in labels.OrderBy(label => label.Key, StringComparer.Ordinal))
        {
            foreach (var text in (ReadOnlySpan<string>)[name, value])
            {
                var utf8 = Encoding.UTF8.GetBytes(text);
                BinaryPrimitives.WriteInt32LittleEndian(length, utf8.Length);
                bytes.Write(length);
                bytes.Write(utf8);
            }
        }

        return Sha256Digest.Of(bytes.GetBuffer().AsSpan(0, (int)bytes.Length));
    }

    /// <summary>Signs it.</summary>
    /// <returns>A DSSE envelope.</returns>
    public byte[] Sign(params ReadOnlySpan<SigningKey> keys) =>
        DsseEnvelope.Sign(PayloadType, JsonSerializer.SerializeToUtf8Bytes(this, DeviceMessagesContext.Default.DevicePassport), keys).Write();

    /// <summary>Opens a passport that was signed.</summary>
    /// <param name="envelope">Bytes that nobody vouches for.</param>
    /// <param name="signers">Who signs plans, by trusted metadata.</param>
    /// <exception cref="UntrustedMetadataException">It is no passport, or was signed by others.</exception>
    public static DevicePassport Open(ReadOnlySpan<byte> envelope, RoleSigners signers)
    {
        ArgumentNullException.ThrowIfNull(signers);
        if (envelope.Length > MaxBytes)
            throw new UntrustedMetadataException(Name, Distrust.TooLong, $"it has {envelope.Length} bytes", $"at most {MaxBytes} are taken");
        var signed = DsseEnvelope.Read(envelope, Name);
        if (signed.PayloadType != PayloadType)
            throw new UntrustedMetadataException(Name, Distrust.WrongType, $"its payload is '{UntrustedMetadataException.Shown(signed.PayloadType)}'", $"'{PayloadType}' is wanted");
        if (!signers.HaveSigned(signed))
            throw new UntrustedMetadataException(Name, Distrust.TooFewSignatures, "it is not signed by the keys that sign rollout plans", "the server signs another when it is asked again; if it is not, something in between makes them up");
        return Read(signed);
    }

    /// <summary>Reads a passport that was opened before.</summary>
    /// <param name="envelope">As it was then.</param>
    /// <exception cref="UntrustedMetadataException">It is damaged.</exception>
    public static DevicePassport Read(ReadOnlySpan<byte> envelope) => Read(DsseEnvelope.Read(envelope, Name));

    static DevicePassport Read(DsseEnvelope envelope) => TryRead(envelope.Payload.Span, out var passport)
        ? passport
        : throw new UntrustedMetadataException(Name, Distrust.Malformed, "its payload is no passport", "the server and this device are of versions that do not fit");

    static bool TryRead(ReadOnlySpan<byte> payload, [NotNullWhen(true)] out DevicePassport? passport)
    {
        try
        {
            passport = JsonSerializer.Deserialize(payload, DeviceMessagesContext.Default.DevicePassport);
        }
        catch (JsonException) // signed, and yet not as this version reads it
        {
            passport = null;
        }

        return passport is not null;
    }
}
