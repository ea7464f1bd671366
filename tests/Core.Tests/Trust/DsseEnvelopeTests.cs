using System.Globalization;
using System.Numerics;
using System.Text;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class DsseEnvelopeTests
{
    /// <summary>The example of DSSE's protocol.md (secure-systems-lab/dsse): its signature is r and s, which become DER here.</summary>
    const string Published = """
        {"payload": "aGVsbG8gd29ybGQ=",
         "payloadType": "http://example.com/HelloWorld",
         "signatures": [{"sig": "SIG"}]}
        """;

    const string PublishedSignature = "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==";

    static readonly PublicKey PublishedKey = Key(
        "46950820868899156662930047687818585632848591499744589407958293238635476079160",
        "5640078356564379163099075877009565129882514886557779369047442380624545832820");

    static PublicKey Key(string x, string y) => new("ecdsa", "ecdsa-sha2-nistp256", "04" + Hex(x) + Hex(y));

    static string Hex(string number) => Convert.ToHexStringLower(Big(BigInteger.Parse(number, CultureInfo.InvariantCulture)));

    static byte[] Big(BigInteger value)
    {
        var bytes = value.ToByteArray(isUnsigned: true, isBigEndian: true);
        return [.. new byte[32 - bytes.Length], .. bytes];
    }

    static string Der(string fixedForm)
    {
        var bytes = Convert.FromBase64String(fixedForm);
        var writer = new System.Formats.Asn1.AsnWriter(System.Formats.Asn1.AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteIntegerUnsigned(bytes.AsSpan(0, 32));
            writer.WriteIntegerUnsigned(bytes.AsSpan(32));
        }

        return Convert.ToBase64String(writer.Encode());
    }

    [Fact]
    public void The_published_example_verifies()
    {
        var envelope = DsseEnvelope.Read(Encoding.UTF8.GetBytes(Published.Replace("SIG", Der(PublishedSignature), StringComparison.Ordinal)));

        Assert.Equal("hello world", Encoding.UTF8.GetString(envelope.Payload.Span));
        Assert.Same(PublishedKey, Assert.Single(envelope.Signers([PublishedKey])));
    }

    [Fact]
    public void A_signature_is_over_the_type_too()
    {
        using var key = SigningKey.Create();
        var envelope = DsseEnvelope.Sign("application/a", "payload"u8.ToArray(), key);

        Assert.Single(envelope.Signers([key.Public]));
        Assert.Empty((envelope with { PayloadType = "application/b" }).Signers([key.Public]));
        Assert.Empty((envelope with { Payload = "payloae"u8.ToArray() }).Signers([key.Public]));
    }

    [Fact]
    public void A_key_counts_once_however_often_it_signed_and_a_claimed_key_id_counts_for_nothing()
    {
        using var key = SigningKey.Create();
        using var other = SigningKey.Create();
        var envelope = DsseEnvelope.Sign("t/x", "p"u8.ToArray(), key, key);
        var lying = envelope with { Signatures = [envelope.Signatures[0] with { KeyId = other.KeyId }] };

        Assert.Single(envelope.Signers([key.Public, key.Public]));
        Assert.Same(key.Public, Assert.Single(lying.Signers([other.Public, key.Public])));
    }

    [Fact]
    public void An_envelope_read_back_is_the_same_in_standard_and_in_url_safe_base64()
    {
        using var key = SigningKey.Create();
        var envelope = DsseEnvelope.Sign("application/vnd.in-toto+json", new byte[] { 0xFB, 0xFF, 0xFE, 1 }, key);
        var text = Encoding.UTF8.GetString(envelope.Write());
        Assert.Contains("\"+//+AQ==\"", text, StringComparison.Ordinal);

        var read = DsseEnvelope.Read(Encoding.UTF8.GetBytes(text));
        var urlSafe = DsseEnvelope.Read(Encoding.UTF8.GetBytes(text.Replace("+//+AQ==", "-__-AQ", StringComparison.Ordinal)));

        Assert.Equal(envelope.Payload.ToArray(), read.Payload.ToArray());
        Assert.Equal(envelope.Payload.ToArray(), urlSafe.Payload.ToArray());
        Assert.Single(urlSafe.Signers([key.Public]));
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"payloadType":"a","payload":"","signatures":[]}""")]
    [InlineData("""{"payloadType":"","payload":"","signatures":[{"sig":""}]}""")]
    [InlineData("""{"payloadType":"a","payload":"*","signatures":[{"sig":""}]}""")]
    [InlineData("""{"payloadType":"a","payload":"","payload":"","signatures":[{"sig":""}]}""")]
    [InlineData("""{"payloadType":"a","payload":"","signatures":[{"keyid":"x"}]}""")]
    public void What_is_no_envelope_is_refused(string text) =>
        Assert.Equal(Distrust.Malformed, Assert.Throws<UntrustedMetadataException>(() => DsseEnvelope.Read(Encoding.UTF8.GetBytes(text))).Reason);

    [Fact]
    public void An_envelope_beyond_its_limit_is_refused_before_it_is_parsed() =>
        Assert.Equal(Distrust.TooLong, Assert.Throws<UntrustedMetadataException>(() => DsseEnvelope.Read(new byte[DsseEnvelope.MaxBytes + 1])).Reason);
}
