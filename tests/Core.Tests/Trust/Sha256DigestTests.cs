using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class Sha256DigestTests
{
    // FIPS 180-2, appendix B.1.
    const string OfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    [Fact]
    public void The_published_digest_of_abc_reads_and_prints()
    {
        var digest = Sha256Digest.Of("abc"u8);

        Assert.Equal(OfAbc, digest.ToString());
        Assert.Equal(digest, Sha256Digest.Parse(OfAbc.ToUpperInvariant()));
        Assert.Equal(digest, new Sha256Digest(digest.ToArray()));
        Assert.Equal($"sha256/{OfAbc}", $"sha256/{digest}");
        Assert.False(digest.IsDefault);
    }

    [Theory]
    [InlineData("")]
    [InlineData("ba7816bf")]
    [InlineData(OfAbc + "0")]
    [InlineData("ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    [InlineData("ba7816bf 8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a")]
    public void Text_that_is_not_64_hexadecimal_digits_is_refused(string text)
    {
        Assert.False(Sha256Digest.TryParse(text, out _));
        Assert.Throws<FormatException>(() => Sha256Digest.Parse(text));
    }

    [Fact]
    public void Digests_sort_as_their_text_does()
    {
        var digests = Enumerable.Range(0, 200).Select(i => Sha256Digest.Of([(byte)i])).ToArray();

        Assert.Equal(
            digests.Select(digest => digest.ToString()).Order(StringComparer.Ordinal),
            digests.Order().Select(digest => digest.ToString()));
    }

    [Fact]
    public void Every_byte_counts_in_equality()
    {
        var bytes = Sha256Digest.Of("abc"u8).ToArray();
        for (var i = 0; i < bytes.Length; i++)
        {
            var other = bytes.ToArray();
            other[i] ^= 1;
            Assert.NotEqual(new Sha256Digest(bytes), new Sha256Digest(other));
        }
    }
}
