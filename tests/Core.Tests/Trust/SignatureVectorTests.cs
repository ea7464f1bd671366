using System.Numerics;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class SignatureVectorTests
{
    // RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc).
    [Theory]
    [InlineData(
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")]
    [InlineData(
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")]
    [InlineData(
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")]
    [InlineData(
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704")]
    public void The_vectors_of_RFC_8032_verify_and_no_byte_of_them_may_change(string key, string message, string signature)
    {
        var (keyBytes, data, signed) = (Convert.FromHexString(key), Convert.FromHexString(message), Convert.FromHexString(signature));
        Assert.True(Ed25519.Verify(keyBytes, data, signed));

        foreach (var part in (byte[][])[keyBytes, signed])
        {
            for (var i = 0; i < part.Length; i++)
            {
                var bit = (byte)(1 << (i % 8));
                part[i] ^= bit;
                Assert.False(Ed25519.Verify(keyBytes, data, signed), $"byte {i} of the {(part == signed ? "signature" : "key")}");
                part[i] ^= bit;
            }
        }
        Assert.False(Ed25519.Verify(keyBytes, [.. data, 0], signed));
    }

    [Theory]
    [InlineData("wycheproof-ed25519.json", "ed25519", "ed25519", 151)]
    [InlineData("wycheproof-ecdsa-p256-sha256.json", "ecdsa", "ecdsa-sha2-nistp256", 484)]
    [InlineData("wycheproof-rsa-pss-2048-sha256.json", "rsa", "rsassa-pss-sha256", 108)]
    public void Every_Wycheproof_vector_is_judged_as_published(string file, string keyType, string scheme, int count)
    {
        var vectors = SignatureVector.Read(file);
        Assert.Equal(count, vectors.Count);

        var wrong = from vector in vectors
                    where new PublicKey(keyType, scheme, vector.Key).Verify(vector.Message, vector.Signature) != vector.Valid
                    select $"{vector.Id}: {vector.Comment}";
        Assert.Empty(wrong);
    }

    [Fact]
    public void The_same_signature_with_S_plus_L_is_refused()
    {
        var key = Convert.FromHexString("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        var signature = Convert.FromHexString(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
        var order = (BigInteger.One << 252) + BigInteger.Parse("27742317777372353535851937790883648493");
        (new BigInteger(signature.AsSpan(32), isUnsigned: true) + order).TryWriteBytes(signature.AsSpan(32), out _, isUnsigned: true);

        Assert.False(Ed25519.Verify(key, [], signature));
    }

    // The eight points of small order and their other encodings (libsodium, ed25519_ref10.c, has_small_order).
    [Theory]
    [InlineData("0100000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000080")]
    [InlineData("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")]
    [InlineData("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85")]
    [InlineData("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")]
    [InlineData("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa")]
    [InlineData("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
    [InlineData("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
    public void A_key_of_small_order_verifies_nothing(string key)
    {
        // R = neutral, S = 0 satisfies the equation for such a key whenever its order divides the challenge.
        var signature = new byte[64];
        signature[0] = 1;
        for (byte message = 0; message < 64; message++)
            Assert.False(Ed25519.Verify(Convert.FromHexString(key), [message], signature));
    }
}
