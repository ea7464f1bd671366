using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Core.Tests.Protocol;

public sealed class DevicePassportTests : IDisposable
{
    static readonly DevicePassport Passport = new("till-1", "nonce", ImmutableDictionary<string, string>.Empty.Add("site", "oslo").Add("ring", "canary"));

    readonly SigningKey first = SigningKey.Create();
    readonly SigningKey second = SigningKey.Create();
    readonly SigningKey thief = SigningKey.Create();

    public void Dispose()
    {
        first.Dispose();
        second.Dispose();
        thief.Dispose();
    }

    RoleSigners Both(long threshold) => new([first.Public, second.Public], threshold);

    [Fact]
    public void What_was_signed_is_read()
    {
        var read = DevicePassport.Open(Passport.Sign(first), Both(1));

        Assert.Equal(("till-1", "nonce"), (read.Device, read.Nonce));
        Assert.Equal(Passport.Labels.OrderBy(label => label.Key), read.Labels.OrderBy(label => label.Key));
    }

    [Fact]
    public void A_passport_that_others_or_too_few_signed_is_refused()
    {
        Assert.Equal(Distrust.TooFewSignatures, Assert.Throws<UntrustedMetadataException>(() => DevicePassport.Open(Passport.Sign(thief), Both(1))).Reason);
        Assert.Equal(Distrust.TooFewSignatures, Assert.Throws<UntrustedMetadataException>(() => DevicePassport.Open(Passport.Sign(first, first, thief), Both(2))).Reason);
        Assert.NotNull(DevicePassport.Open(Passport.Sign(second, first), Both(2)));
    }

    [Fact]
    public void Another_document_of_the_same_key_is_no_passport()
    {
        var other = DsseEnvelope.Sign(InTotoStatement.PayloadType, """{"device":"till-1","nonce":"nonce","labels":{"site":"bergen"}}"""u8.ToArray(), first).Write();
        var odd = DsseEnvelope.Sign(DevicePassport.PayloadType, """{"device":"till-1"}"""u8.ToArray(), first).Write();

        Assert.Equal(Distrust.WrongType, Assert.Throws<UntrustedMetadataException>(() => DevicePassport.Open(other, Both(1))).Reason);
        Assert.Equal(Distrust.Malformed, Assert.Throws<UntrustedMetadataException>(() => DevicePassport.Open(odd, Both(1))).Reason);
    }

    [Fact]
    public void Every_flipped_bit_is_refused_or_changes_nothing()
    {
        var signed = Passport.Sign(first);
        for (var bit = 0; bit < signed.Length * 8; bit += 3)
        {
            var flipped = signed.ToArray();
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            try
            {
                Assert.Equal(DevicePassport.DigestOf(Passport.Labels), DevicePassport.DigestOf(DevicePassport.Open(flipped, Both(1)).Labels));
            }
            catch (UntrustedMetadataException)
            {
            }
        }
    }

    [Fact]
    public void Labels_have_one_digest_in_any_order_and_another_when_anything_moves()
    {
        static Sha256Digest Of(params (string Name, string Value)[] labels) => DevicePassport.DigestOf(labels.ToDictionary(label => label.Name, label => label.Value));

        Assert.Equal(Of(("a", "1"), ("b", "2")), Of(("b", "2"), ("a", "1")));
        Assert.NotEqual(Of(("a", "1b")), Of(("a1", "b")));
        Assert.NotEqual(Of(("a", ""), ("b", "")), Of(("a", "b")));
        Assert.Equal(Sha256Digest.Of([]), Of());
        Assert.Equal(Sha256Digest.Of([1, 0, 0, 0, (byte)'a', 1, 0, 0, 0, (byte)'1']), Of(("a", "1")));
    }
}
