using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Core.Tests.Trust.Sealing;

public sealed class GrantTests : IDisposable
{
    readonly SealingKey _device = SealingKey.Create();
    readonly SealingKey _stranger = SealingKey.Create();
    readonly SealingKey _group = SealingKey.Create();
    readonly ContentKey _key = new(Sha256Digest.Of("content"u8).ToArray());

    public void Dispose()
    {
        _device.Dispose();
        _stranger.Dispose();
        _group.Dispose();
        _key.Dispose();
    }

    [Fact]
    public void Only_the_key_that_it_was_sealed_to_opens_a_grant()
    {
        var grant = Grant.Of(_key, _device.Public);
        using var opened = grant.OpenContent(_device);
        Assert.Equal(_key.Id, opened.Id);
        Assert.Throws<BrokenSealException>(() => grant.OpenContent(_stranger));
        Assert.DoesNotContain(Convert.ToHexString(Sha256Digest.Of("content"u8).ToArray()), Convert.ToHexString(grant.Bytes), StringComparison.Ordinal);
        Assert.NotEqual(grant.Bytes.ToArray(), Grant.Of(_key, _device.Public).Bytes.ToArray());
    }

    [Fact]
    public void A_member_opens_what_is_granted_to_its_group()
    {
        var (member, content) = (Grant.Of(_group, _device.Public), Grant.Of(_key, _group.Public));
        using var group = member.OpenGroup(_device);
        using var opened = content.OpenContent(group);
        Assert.Equal(_key.Id, opened.Id);
        Assert.Throws<BrokenSealException>(() => member.OpenGroup(_stranger));
        Assert.Throws<BrokenSealException>(() => member.OpenContent(_device));
        Assert.Throws<BrokenSealException>(() => content.OpenGroup(group));
    }

    [Fact]
    public void A_grant_under_the_name_of_another_key_is_refused()
    {
        using var other = new ContentKey(Sha256Digest.Of("other"u8).ToArray());
        var renamed = Grant.Of(_key, _device.Public).Bytes.ToArray();
        other.Id.CopyTo(renamed.AsSpan(1));
        Assert.Throws<BrokenSealException>(() => Grant.Read(renamed).OpenContent(_device));
    }

    [Fact]
    public void Every_changed_byte_of_a_grant_is_noticed()
    {
        var bytes = Grant.Of(_key, _device.Public).Bytes.ToArray();
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 0x40;
            Assert.Throws<BrokenSealException>(() => Grant.Read(bytes).OpenContent(_device));
            bytes[i] ^= 0x40;
        }
    }

    [Fact]
    public void A_file_holds_each_grant_once_and_reads_as_it_was_written()
    {
        using var other = new ContentKey(Sha256Digest.Of("other"u8).ToArray());
        var (first, again) = (Grant.Of(_key, _device.Public), Grant.Of(_key, _device.Public));
        var file = GrantFile.Of(_device.Public.Digest).With([first, Grant.Of(_group, _device.Public)]).With([again, Grant.Of(other, _device.Public)]);
        Assert.Equal(3, file.Grants.Length);
        var read = GrantFile.Read(file.Write());
        Assert.Equal(_device.Public.Digest, read.Recipient);
        Assert.Equal(file.Write(), read.Write());
        Assert.Equal(again.Bytes, read.Find(GrantKind.Content, _key.Id)!.Bytes);
        Assert.Null(read.Find(GrantKind.Group, _key.Id));
        Assert.Equal(4 + 32 + 4 + (3 * Grant.ByteCount), file.Write().Length);
    }
}
