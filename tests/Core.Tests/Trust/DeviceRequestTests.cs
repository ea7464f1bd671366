using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class DeviceRequestTests
{
    static int Cases => int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    static string Problem(byte[] der)
    {
        Assert.False(DeviceRequest.TryRead(der, out _, out var problem));
        return problem;
    }

    [Fact]
    public void Keys_come_back_from_their_files_and_the_public_parts_have_one_form()
    {
        using var key = DeviceKey.Create();
        using var again = DeviceKey.Import(key.Export());
        using var sealing = SealingKey.Create();
        using var sealingAgain = SealingKey.Import(sealing.Export());

        Assert.Equal(key.Public, again.Public);
        Assert.Equal(sealing.Public.ToString(), sealingAgain.Public.ToString());
        Assert.True(DevicePublicKey.TryParse(sealing.Public.ToString(), out _));
        Assert.True(DevicePublicKey.TryParse(key.Public.ToString(), out var read));
        Assert.Equal(key.Public.Digest, read.Digest);
        Assert.True(read.Verify("said"u8, again.Sign("said"u8)));
        Assert.False(read.Verify("said otherwise"u8, again.Sign("said"u8)));
        Assert.StartsWith("-----BEGIN PRIVATE KEY-----", Encoding.ASCII.GetString(key.Export()), StringComparison.Ordinal); // PKCS#8
        foreach (var damaged in (string[])[" " + key.Public, key.Public.ToString()[..^4], "AAAA" + key.Public.ToString()[4..], key.Public.ToString().Replace('M', 'N')])
            Assert.False(DevicePublicKey.TryParse(damaged, out _), damaged);
        using var other = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        Assert.False(DevicePublicKey.TryRead(other.ExportSubjectPublicKeyInfo(), out _));
        Assert.Throws<CryptographicException>(() => DeviceKey.Import(Encoding.ASCII.GetBytes(other.ExportPkcs8PrivateKeyPem())));
        Assert.Throws<CryptographicException>(() => SealingKey.Import("nothing"u8));
    }

    [Fact]
    public void A_request_names_the_device_and_proves_the_key()
    {
        using var key = DeviceKey.Create();

        Assert.True(DeviceRequest.TryRead(key.RequestCertificate("till-1"), out var request, out var problem), problem);
        Assert.Equal(("till-1", key.Public), (request.Device, request.Key));
    }

    [Fact]
    public void A_request_of_another_kind_is_refused_with_the_reason()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var large = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        using var rsa = RSA.Create(2048);
        byte[] Of(string name, ECDsa by) => new CertificateRequest(name, by, HashAlgorithmName.SHA256).CreateSigningRequest();

        Assert.Contains("not on P-256", Problem(Of("CN=till-1", large)), StringComparison.Ordinal);
        Assert.Contains("not on P-256", Problem(new CertificateRequest("CN=till-1", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1).CreateSigningRequest()), StringComparison.Ordinal);
        foreach (var name in (string[])["CN=Till 1", "CN=till-1, O=plant", "O=till-1", "CN=till-1 + CN=till-2", "CN=" + new string('a', 65), "CN=.."])
            Assert.Contains("subject", Problem(Of(name, key)), StringComparison.Ordinal);
        var good = Of("CN=till-1", key);
        Assert.Contains("follow", Problem([.. good, 0]), StringComparison.Ordinal);
        Assert.Contains("PKCS#10", Problem([.. good[..^1], (byte)(good[^1] ^ 1)]), StringComparison.Ordinal); // the signature
        Assert.Contains("give a PKCS#10", Problem([]), StringComparison.Ordinal);
        Assert.Contains("give a PKCS#10", Problem(new byte[3000]), StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_the_bytes_a_request_is_read_or_refused_and_nothing_else_and_memory_is_bounded()
    {
        using var key = DeviceKey.Create();
        var file = key.RequestCertificate("till-1");
        var random = new Random(2986);
        var read = 0;
        for (var i = 0; i < Cases; i++)
        {
            var bytes = Mutated(file, random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            if (DeviceRequest.TryRead(bytes, out var request, out var problem))
            {
                read++;
                Assert.Equal(("till-1", key.Public), (request.Device, request.Key)); // nobody else signs as this key
            }
            else
                Assert.NotEmpty(problem);
            DevicePublicKey.TryRead(bytes.AsSpan(0, Math.Min(bytes.Length, DevicePublicKey.Bytes)), out _);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 100_000, $"case {i}: {Convert.ToHexString(bytes)}");
        }

        Assert.InRange(read, 1, Cases / 2);
    }

    [Fact]
    public void A_key_is_a_point_of_P_256_written_in_the_one_way_there_is()
    {
        using var key = DeviceKey.Create();
        var info = key.Public.Info.ToArray();
        Assert.True(DevicePublicKey.TryRead(info, out var read));
        Assert.Equal(key.Public, read);
        Assert.True(read.Verify("data"u8, key.Sign("data"u8)));

        var random = new Random(7);
        for (var i = 0; i < 300; i++) // every byte, of head and of coordinates: half of all x have a point, but not with this y
        {
            var other = (byte[])info.Clone();
            other[i % info.Length] ^= (byte)random.Next(1, 256);
            Assert.False(DevicePublicKey.TryRead(other, out _));
        }

        Assert.False(DevicePublicKey.TryRead([.. info, 0], out _));
        Assert.False(DevicePublicKey.TryRead(info.AsSpan()[..^1], out _));
        Array.Clear(info, info.Length - 64, 64);
        Assert.False(DevicePublicKey.TryRead(info, out _));
    }

    static byte[] Mutated(byte[] file, Random random)
    {
        var bytes = file.ToList();
        for (var changes = random.Next(4); changes > 0 && bytes.Count > 0; changes--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(5))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, Math.Min(1 + random.Next(20), bytes.Count - at));
                    break;
                case 3:
                    bytes.InsertRange(at, Enumerable.Repeat((byte)random.Next(256), random.Next(random.Next(20) == 0 ? 3000 : 20)));
                    break;
                default:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
            }
        }

        return [.. bytes];
    }
}
