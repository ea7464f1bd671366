using System.Text.Json;
using Coppice.Tests;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Core.Tests.Trust.Sealing;

public sealed class HpkeTests
{
    public sealed record Vector(ushort Aead, string IkmR, string SkRm, string PkRm, string IkmE, string Enc, string Info, string Aad, string Pt, string Ct);

    static readonly Vector[] Vectors = Read();

    static Vector[] Read()
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(RepositoryRoot.Path, "tests", "Vectors", "hpke-p256.json")));
        return document.RootElement.GetProperty("tests").Deserialize<Vector[]>(JsonSerializerOptions.Web)!;
    }

    [Fact]
    public void Published_and_foreign_vectors_seal_to_the_same_bytes_and_open()
    {
        Assert.Equal(17, Vectors.Length);
        foreach (var vector in Vectors)
        {
            using var recipient = SealingKey.Derive(Hex(vector.IkmR));
            using var ephemeral = SealingKey.Derive(Hex(vector.IkmE));
            var scalar = new byte[32];
            recipient.ExportScalar(scalar);
            Assert.Equal(vector.SkRm, Convert.ToHexStringLower(scalar));
            Assert.Equal(vector.PkRm, Convert.ToHexStringLower(recipient.Public.Point));

            var (plain, encapsulated) = (Hex(vector.Pt), new byte[Hpke.EncapsulatedBytes]);
            var cipher = new byte[plain.Length + Hpke.TagBytes];
            Hpke.Seal(recipient.Public, ephemeral, Hex(vector.Info), Hex(vector.Aad), plain, encapsulated, cipher, (HpkeAead)vector.Aead);
            Assert.Equal(vector.Enc, Convert.ToHexStringLower(encapsulated));
            Assert.Equal(vector.Ct, Convert.ToHexStringLower(cipher));

            var opened = new byte[plain.Length];
            Assert.True(Hpke.TryOpen(recipient, encapsulated, Hex(vector.Info), Hex(vector.Aad), cipher, opened, (HpkeAead)vector.Aead));
            Assert.Equal(plain, opened);
        }
    }

    [Fact]
    public void Any_other_key_word_or_bit_does_not_open()
    {
        var vector = Vectors[^1];
        using var recipient = SealingKey.Derive(Hex(vector.IkmR));
        using var other = SealingKey.Derive(Hex(vector.IkmE));
        var plain = new byte[vector.Pt.Length / 2];
        bool Opens(SealingKey key, string enc, string info, string aad, byte[] cipher) => Hpke.TryOpen(key, Hex(enc), Hex(info), Hex(aad), cipher, plain);
        var cipher = Hex(vector.Ct);

        Assert.True(Opens(recipient, vector.Enc, vector.Info, vector.Aad, cipher));
        Assert.False(Opens(other, vector.Enc, vector.Info, vector.Aad, cipher));
        Assert.False(Opens(recipient, vector.PkRm, vector.Info, vector.Aad, cipher));
        Assert.False(Opens(recipient, "04" + new string('0', 128), vector.Info, vector.Aad, cipher)); // no point of the curve
        Assert.False(Opens(recipient, vector.Enc, vector.Info + "00", vector.Aad, cipher));
        Assert.False(Opens(recipient, vector.Enc, vector.Info, "", cipher));
        for (var bit = 0; bit < cipher.Length * 8; bit++)
        {
            cipher[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(Opens(recipient, vector.Enc, vector.Info, vector.Aad, cipher));
            Assert.All(plain, b => Assert.Equal(0, b));
            cipher[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void A_public_key_has_one_form_and_a_point_off_the_curve_is_none()
    {
        using var key = SealingKey.Derive(Hex(Vectors[0].IkmR));
        Assert.True(SealingPublicKey.TryParse(key.Public.ToPem(), out var pem) && pem.Equals(key.Public));
        Assert.True(SealingPublicKey.TryParse(key.Public.ToString(), out var base64) && base64.Digest == Sha256Digest.Of(key.Public.Info));
        Assert.True(SealingPublicKey.TryRead(key.Public.Info, out _));

        var moved = key.Public.Info.ToArray();
        moved[^1] ^= 1;
        Assert.False(SealingPublicKey.TryRead(moved, out _));
        Assert.False(SealingPublicKey.TryRead(key.Public.Info[..90], out _));
        Assert.False(SealingPublicKey.TryParse(key.Public.ToPem().Replace("PUBLIC", "OTHER", StringComparison.Ordinal), out _));
        Assert.False(SealingPublicKey.TryParse(null, out _));
    }

    [Fact]
    public void A_private_key_is_the_same_after_its_file()
    {
        using var key = SealingKey.Create();
        using var plain = SealingKey.Import(key.Export());
        using var locked = SealingKey.Import(key.Export("correct horse"), "correct horse");
        Assert.Equal(key.Public, plain.Public);
        Assert.Equal(key.Public, locked.Public);
        Assert.ThrowsAny<System.Security.Cryptography.CryptographicException>(() => SealingKey.Import(key.Export("correct horse"), "wrong horse"));
        using var signing = SigningKey.Create();
        Assert.ThrowsAny<System.Security.Cryptography.CryptographicException>(() => SealingKey.OfScalar(new byte[32]));
        Assert.ThrowsAny<System.Security.Cryptography.CryptographicException>(() => SealingKey.Import("no key"u8));
    }

    static byte[] Hex(string text) => Convert.FromHexString(text);
}
