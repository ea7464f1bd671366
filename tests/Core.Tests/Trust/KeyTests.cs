using System.Security.Cryptography;
using System.Text;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class KeyTests
{
    const string Pem =
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWRiGr5+j+3J5SsH+Ztr5nE2H2wO7\n" +
        "BV+nO3s93gLca18qTOzHY1oWyAGDykMSsGTUBSt9D+An0KfKsD2mfSM42Q==\n-----END PUBLIC KEY-----\n";
    const string Point =
        "04591886af9fa3fb72794ac1fe66daf99c4d87db03bb055fa73b7b3dde02dc6b5f2a4cecc7635a16c80183ca4312b064d4052b7d0fe027d0a7cab03da67d2338d9";

    // compute_default_keyid of securesystemslib 1.4.0 for the key above.
    [Fact]
    public void The_key_id_is_the_one_that_securesystemslib_computes() => Assert.Equal(
        "c22dd57a38a4b3839dae9b11709221bf4a97ff6932302c4bccde0b1fd5b8a139", new PublicKey("ecdsa", "ecdsa-sha2-nistp256", Pem).ComputeKeyId());

    [Fact]
    public void A_key_as_PEM_and_as_hexadecimal_point_is_one_and_the_same()
    {
        var pem = new PublicKey("ecdsa", "ecdsa-sha2-nistp256", Pem);
        var point = new PublicKey("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", Point);

        Assert.True(pem.IsUsable && point.IsUsable);
        Assert.Equal(pem.Identity, point.Identity);
        Assert.NotEqual(pem.ComputeKeyId(), point.ComputeKeyId());
    }

    public static TheoryData<string, string, string> Unusable => new()
    {
        { "ecdsa", "ecdsa-sha2-nistp384", Pem },
        { "rsa", "rsassa-pss-sha256", Pem },
        { "ed25519", "ed25519", "00" },
        { "ed25519", "ed25519", new string('g', 64) },
        { "ecdsa", "ecdsa-sha2-nistp256", "" },
        { "ecdsa", "ecdsa-sha2-nistp256", "04" + new string('0', 128) },
        { "ecdsa", "ecdsa-sha2-nistp256", OnCurve(ECCurve.NamedCurves.nistP384) },
        { "rsa", "rsassa-pss-sha256", SmallRsa() },
        { "sphincs", "sphincs-shake-128s", "00" },
    };

    [Theory, MemberData(nameof(Unusable))]
    public void A_key_of_another_kind_form_curve_or_size_verifies_nothing(string keyType, string scheme, string value)
    {
        var key = new PublicKey(keyType, scheme, value);

        Assert.False(key.IsUsable);
        Assert.False(key.Verify("data"u8, new byte[64]));
    }

    [Fact]
    public void A_private_key_in_the_place_of_a_public_one_is_not_used()
    {
        using var key = SigningKey.Create();
        Assert.False(new PublicKey("ecdsa", "ecdsa-sha2-nistp256", Encoding.ASCII.GetString(key.Export())).IsUsable);
    }

    [Fact]
    public void A_signing_key_survives_export_in_the_clear_and_under_a_password()
    {
        using var key = SigningKey.Create();
        using var plain = SigningKey.Import(key.Export());
        using var locked = SigningKey.Import(key.Export("correct horse"), "correct horse");

        Assert.Equal(key.KeyId, plain.KeyId);
        Assert.Equal(key.KeyId, locked.KeyId);
        Assert.True(key.Public.Verify("data"u8, locked.Sign("data"u8)));
        Assert.False(key.Public.Verify("date"u8, plain.Sign("data"u8)));
        Assert.ThrowsAny<CryptographicException>(() => SigningKey.Import(key.Export("correct horse"), "wrong"));
        Assert.ThrowsAny<CryptographicException>(() => SigningKey.Import("no key"u8));
        Assert.ThrowsAny<CryptographicException>(() => SigningKey.Import(Encoding.ASCII.GetBytes(key.Public.Value)));
    }

    static string OnCurve(ECCurve curve)
    {
        using var key = ECDsa.Create(curve);
        return key.ExportSubjectPublicKeyInfoPem();
    }

    static string SmallRsa()
    {
        using var key = RSA.Create(1024);
        return key.ExportSubjectPublicKeyInfoPem();
    }
}
