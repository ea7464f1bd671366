using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>A signature in an envelope, as it came: whether it is good is asked elsewhere.</summary>
/// <param name="KeyId">Which key it claims; a hint, possibly empty.</param>
/// <param name="Signature">Its bytes.</param>
public readonly record struct DsseSignature(string KeyId, ReadOnlyMemory<byte> Signature);

/// <summary>Bytes of a named type with signatures over both: a DSSE 1.0 envelope, as in-toto and sigstore write them.</summary>
/// <remarks>
/// What is signed is <c>DSSEv1 SP len(type) SP type SP len(payload) SP payload</c>, so that the payload is never parsed before it is
/// verified and no type can be put in place of another. Specified in docs/formats/attestation.md.
/// </remarks>
/// <param name="PayloadType">What the payload is: <c>application/vnd.in-toto+json</c>.</param>
/// <param name="Payload">The signed bytes.</param>
/// <param name="Signatures">At least one, at most <see cref="MaxSignatures"/>.</param>
public sealed record DsseEnvelope(string PayloadType, ReadOnlyMemory<byte> Payload, ImmutableArray<DsseSignature> Signatures)
{
    /// <summary>Largest envelope taken, in bytes.</summary>
    public const int MaxBytes = 8 << 20;

    /// <summary>Most signatures of one envelope.</summary>
    public const int MaxSignatures = 64;

    const int MaxPayloadType = 256;

    // Read by programs, never shown in a page: '+' of base64 and of media types stays as it is.
    static readonly JsonWriterOptions Compact = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Signs a payload.</summary>
    public static DsseEnvelope Sign(string payloadType, ReadOnlyMemory<byte> payload, params ReadOnlySpan<SigningKey> keys)
    {
        var signed = PreAuthentication(payloadType, payload.Span);
        var signatures = ImmutableArray.CreateBuilder<DsseSignature>(keys.Length);
        foreach (var key in keys)
            signatures.Add(new(key.KeyId, key.Sign(signed)));
        return new(payloadType, payload, signatures.ToImmutable());
    }

    /// <summary>The keys, of those given, that have signed; each once, however many signatures it has.</summary>
    public ImmutableArray<PublicKey> Signers(IEnumerable<PublicKey> keys)
    {
        var signed = PreAuthentication(PayloadType, Payload.Span);
        return [.. keys.DistinctBy(key => key.Identity).Where(key => Signatures.Any(signature => key.Verify(signed, signature.Signature.Span)))];
    }

    /// <summary>Reads an envelope; form only.</summary>
    /// <param name="bytes">At most <see cref="MaxBytes"/>.</param>
    /// <param name="name">What it is called, for the message.</param>
    /// <exception cref="UntrustedMetadataException">It is malformed or too long.</exception>
    public static DsseEnvelope Read(ReadOnlySpan<byte> bytes, string name = "attestation")
    {
        var reader = new MetadataReader(name);
        if (bytes.Length > MaxBytes)
            throw new UntrustedMetadataException(name, Distrust.TooLong, $"it has {bytes.Length} bytes", $"at most {MaxBytes} are taken");
        var json = reader.Parse(bytes);
        return reader.Guarded(guarded => Read(guarded, json));
    }

    static DsseEnvelope Read(MetadataReader reader, JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object)
            throw reader.Malformed("the file is no object", "give a DSSE envelope with 'payloadType', 'payload' and 'signatures'");
        var type = reader.Text(json, "payloadType");
        if (type.Length is 0 or > MaxPayloadType || !type.All(c => c is > ' ' and <= '~'))
            throw reader.Malformed($"'payloadType' is '{UntrustedMetadataException.Shown(type)}'", $"give a media type of at most {MaxPayloadType} characters");
        var list = reader.Array(json, "signatures");
        if (list.GetArrayLength() is var count && count is 0 or > MaxSignatures)
            throw reader.Malformed($"it has {count} signatures", $"give 1 to {MaxSignatures}");
        var signatures = ImmutableArray.CreateBuilder<DsseSignature>(count);
        foreach (var item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object)
                throw reader.Malformed("a signature is no object", "give its 'sig', and its 'keyid' if you like");
            var keyId = item.TryGetProperty("keyid", out var id) && id.ValueKind != JsonValueKind.Null ? reader.Text(id) : "";
            signatures.Add(new(keyId, Base64(reader, item, "sig")));
        }

        return new(type, Base64(reader, json, "payload"), signatures.ToImmutable());
    }

    /// <summary>The envelope as compact JSON.</summary>
    public byte[] Write()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Compact))
        {
            writer.WriteStartObject();
            writer.WriteString("payloadType"u8, PayloadType);
            writer.WriteBase64String("payload"u8, Payload.Span);
            writer.WriteStartArray("signatures"u8);
            foreach (var (keyId, signature) in Signatures)
            {
                writer.WriteStartObject();
                if (keyId.Length > 0)
                    writer.WriteString("keyid"u8, keyId);
                writer.WriteBase64String("sig"u8, signature.Span);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    static byte[] PreAuthentication(string type, ReadOnlySpan<byte> payload)
    {
        var head = Encoding.UTF8.GetBytes(string.Create(
            CultureInfo.InvariantCulture, $"DSSEv1 {Encoding.UTF8.GetByteCount(type)} {type} {payload.Length} "));
        return [.. head, .. payload];
    }

    /// <summary>Standard or URL-safe base64: the specification has readers take both.</summary>
    static byte[] Base64(MetadataReader reader, JsonElement parent, string name)
    {
        var text = reader.Text(parent, name);
        var standard = text.Contains('-') || text.Contains('_') ? text.Replace('-', '+').Replace('_', '/') : text;
        if (standard.Length % 4 is not 0 and var rest and not 1 && !standard.EndsWith('='))
            standard = standard.PadRight(standard.Length + 4 - rest, '=');
        var bytes = new byte[standard.Length / 4 * 3];
        return Convert.TryFromBase64String(standard, bytes, out var written)
            ? bytes[..written]
            : throw reader.Malformed($"'{name}' is no base64", "give the bytes in base64");
    }
}
