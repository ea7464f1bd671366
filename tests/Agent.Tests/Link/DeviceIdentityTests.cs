using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

public sealed class DeviceIdentityTests
{
    static readonly DateTimeOffset Start = new ManualTime().GetUtcNow();

    /// <summary>A certificate of a device's key for ten days, as an authority of this test makes it.</summary>
    static string Certify(DevicePublicKey key, DateTimeOffset from)
    {
        using var authority = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(DeviceRequest.NameOf("till-1"), System.Security.Cryptography.X509Certificates.PublicKey.CreateFromSubjectPublicKeyInfo(key.Info, out _), HashAlgorithmName.SHA256);
        using var made = request.Create(new X500DistinguishedName("CN=test"), X509SignatureGenerator.CreateForECDsa(authority), from, from.AddDays(10), RandomNumberGenerator.GetBytes(8));
        return made.ExportCertificatePem();
    }

    [Fact]
    public void A_power_cut_anywhere_in_the_first_start_leaves_an_identity_or_none_and_never_half_of_one()
    {
        for (var cut = 1; ; cut++)
        {
            Assert.True(cut < 100, "the first start never gets through");
            var disk = new LossyDisk(cut) { CutAt = cut };
            DevicePublicKey? before = null;
            try
            {
                using var made = DeviceIdentity.OpenOrMake(disk, "till-1");
                before = made.Key.Public;
            }
            catch (PowerCutException)
            {
                disk.PowerOn();
            }

            using var opened = DeviceIdentity.OpenOrMake(disk, "till-1");
            Assert.True(opened.Key.Public.Verify("x"u8, opened.Key.Sign("x"u8)));
            using var again = DeviceIdentity.OpenOrMake(disk, "another");
            Assert.Equal((opened.Device, opened.Key.Public, opened.Sealing.Public.ToString()), (again.Device, again.Key.Public, again.Sealing.Public.ToString()));
            if (before is not null)
            {
                Assert.Equal(before, opened.Key.Public);
                return; // the start was through before the power went
            }
        }
    }

    [Fact]
    public void The_private_keys_are_PKCS8_files_for_their_owner_alone()
    {
        var folder = Directory.CreateTempSubdirectory("coppice-identity-").FullName;
        try
        {
            using var identity = DeviceIdentity.OpenOrMake(new FolderDisk(folder), "till-1");
            foreach (var name in (string[])[DataFolder.SigningKey, DataFolder.SealingKey])
            {
                Assert.StartsWith("-----BEGIN PRIVATE KEY-----", File.ReadAllText(Path.Combine(folder, name)), StringComparison.Ordinal);
                if (!OperatingSystem.IsWindows())
                    Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, name)));
            }

            File.Delete(Path.Combine(folder, DataFolder.SealingKey));
            Assert.Contains("sealing.key is not there", Assert.Throws<IOException>(() => DeviceIdentity.OpenOrMake(new FolderDisk(folder), null)).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void A_certificate_is_kept_over_restarts_and_one_of_another_key_is_refused()
    {
        var disk = new LossyDisk(1);
        using var identity = DeviceIdentity.OpenOrMake(disk, "till-1");
        using var other = DeviceKey.Create();

        Assert.Throws<InvalidDataException>(() => identity.Join("https://s/", Certify(other.Public, Start), null));
        Assert.Null(identity.Server);
        identity.Join("https://s/", Certify(identity.Key.Public, Start), null);
        using var again = DeviceIdentity.OpenOrMake(disk, null);
        Assert.Equal("https://s/", again.Server);
        Assert.Equal(identity.Certificate![0].Thumbprint, again.Certificate![0].Thumbprint);
    }

    [Fact]
    public void Renewal_is_due_after_two_thirds_of_the_life_and_at_most_a_twelfth_later()
    {
        var (from, to) = (Start, Start.AddDays(90));

        Assert.Equal(from.AddDays(60), DeviceIdentity.RenewalOf(from, to, 0));
        Assert.Equal(from.AddDays(67.5), DeviceIdentity.RenewalOf(from, to, 1));
    }

    [Fact]
    public async Task The_agent_renews_when_it_is_due_and_not_before_and_once()
    {
        var (disk, time) = (new LossyDisk(1), new ManualTime());
        using var identity = DeviceIdentity.OpenOrMake(disk, "till-1");
        identity.Join("https://s/", Certify(identity.Key.Public, time.GetUtcNow()), null);
        await using var server = new HostileServer((_, stream, _) =>
        {
            var json = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new RenewAnswer(Certify(identity.Key.Public, time.GetUtcNow())), DeviceMessagesContext.Default.RenewAnswer);
            return HostileServer.SayAsync(stream, $"200 OK\r\nContent-Type: application/json\r\nContent-Length: {json.Length}", json);
        });
        using var http = new HttpClient();
        var link = new DeviceLink(() => http, server.Address, null, identity, disk, new(disk), new(disk, identity.Device, () => null), time);

        Assert.False(await link.RenewAsync(default));
        time.Jump(TimeSpan.FromDays(6.6));
        Assert.False(await link.RenewAsync(default));
        time.Jump(TimeSpan.FromDays(1));
        Assert.True(await link.RenewAsync(default));
        Assert.False(await link.RenewAsync(default));
        Assert.Equal(time.GetUtcNow().AddDays(10), new DateTimeOffset(DeviceIdentity.OpenOrMake(disk, null).Certificate![0].NotAfter));
        Assert.StartsWith("POST /v1/renew ", server.Requests.Single(), StringComparison.Ordinal);
    }

    [Fact]
    public void Sendings_are_numbered_upwards_over_restarts_and_power_cuts()
    {
        var (disk, seen) = (new LossyDisk(7), new HashSet<long>());
        for (var life = 0; life < 30; life++)
        {
            try
            {
                var counter = new SendingCounter(disk, TimeProvider.System);
                disk.CutAt = disk.Changes + 1 + (life % 7);
                for (var i = 0; i < 100; i++)
                    Assert.True(seen.Add(counter.Next().Number));
            }
            catch (PowerCutException)
            {
                disk.PowerOn();
            }
        }

        Assert.True(seen.Count > 100);
    }
}
