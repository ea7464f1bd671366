using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

public sealed class HeldPassportTests : IDisposable
{
    readonly LossyDisk disk = new(1);
    readonly SigningKey online = SigningKey.Create();
    readonly SigningKey mirror = SigningKey.Create();
    RoleSigners? signers;

    public HeldPassportTests() => signers = new([online.Public], 1);

    public void Dispose()
    {
        online.Dispose();
        mirror.Dispose();
    }

    HeldPassport Held() => new(disk, "till-1", () => signers);

    static string Signed(SigningKey key, string site, string nonce = "now", string device = "till-1") =>
        Convert.ToBase64String(new DevicePassport(device, nonce, ImmutableDictionary<string, string>.Empty.Add("site", site)).Sign(key));

    [Fact]
    public void What_the_server_signed_is_gone_by_told_once_and_kept_over_a_restart()
    {
        var held = Held();
        var changes = 0;
        held.Changed += () => changes++;
        Assert.Empty(held.Labels);

        held.Take(Signed(online, "oslo"), "now");
        held.Take(Signed(online, "oslo", "later"), "later");

        Assert.Equal(("oslo", "oslo", 1), (held.Labels["site"], Held().Labels["site"], changes));
    }

    public static TheoryData<string, string> Lies => new()
    {
        { "signed by the mirror", "too few" },
        { "from an earlier answer", "another question" },
        { "of another device", "another question" },
        { "of another type", "is wanted" },
        { "no base64", "base64" },
        { "no envelope", "payload" },
        { "without end", "base64" },
    };

    [Theory, MemberData(nameof(Lies))]
    public void Attack_a_mirror_that_makes_labels_up_or_shows_old_ones_changes_none(string lie, string said)
    {
        var held = Held();
        held.Take(Signed(online, "oslo"), "now");
        var passport = lie switch
        {
            "signed by the mirror" => Signed(mirror, "bergen", "next"),
            "from an earlier answer" => Signed(online, "bergen", "before"),
            "of another device" => Signed(online, "bergen", "next", "till-2"),
            "of another type" => Convert.ToBase64String(DsseEnvelope.Sign("text/plain", "{}"u8.ToArray(), online).Write()),
            "no base64" => "oslo!",
            "no envelope" => Convert.ToBase64String("{}"u8),
            _ => new('A', 2 * DevicePassport.MaxBytes),
        };

        var refused = Assert.Throws<LinkException>(() => held.Take(passport, "next"));

        Assert.Contains(said == "too few" ? "keys that sign rollout plans" : said, refused.Message, StringComparison.Ordinal);
        Assert.Equal(("oslo", "oslo"), (held.Labels["site"], Held().Labels["site"]));
    }

    [Fact]
    public void Before_the_first_look_at_the_repository_a_passport_waits_and_is_judged_at_it()
    {
        var keys = signers;
        signers = null;
        var (good, bad) = (Held(), Held());
        good.Take(Signed(online, "oslo"), "now");
        bad.Take(Signed(mirror, "bergen"), "now");
        Assert.Empty(good.Labels);
        Assert.Empty(bad.Labels);

        signers = keys;
        Assert.Empty(bad.Labels);
        Assert.Equal("oslo", good.Labels["site"]);
    }

    [Fact]
    public void A_damaged_file_is_as_none_and_the_device_says_so_by_the_labels_it_goes_by()
    {
        Held().Take(Signed(online, "oslo"), "now");
        disk.Replace(DataFolder.Passport, "{ half"u8);

        var held = Held();
        Assert.Equal(DevicePassport.DigestOf(ImmutableDictionary<string, string>.Empty), DevicePassport.DigestOf(held.Labels));
        held.Take(Signed(online, "oslo", "again"), "again");
        Assert.Equal("oslo", Held().Labels["site"]);
    }
}
