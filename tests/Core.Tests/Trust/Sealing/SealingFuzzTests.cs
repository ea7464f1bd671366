using System.Globalization;
using Coppice.Formats;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Core.Tests.Trust.Sealing;

/// <summary>Whatever bytes stand in place of a sealed file, a grant or a key: they open as they were sealed, or one typed refusal says so, within bounded memory.</summary>
public sealed class SealingFuzzTests
{
    static int Cases => int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    [Fact]
    public void A_sealed_file_opens_to_what_was_sealed_or_not_at_all()
    {
        var plain = new byte[3000];
        new Random(3).NextBytes(plain);
        using var key = new ContentKey(Sha256Digest.Of("key"u8).ToArray());
        var made = SealedFileTests.Seal(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain), SealHeader.MinSegment), plain);
        var random = new Random(20300101);
        var (refused, whole) = (0, 0);
        for (var i = 0; i < Cases; i++)
        {
            var bytes = Mutated(made, random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                using var source = new SealedSource(new MemorySource(bytes), key);
                var read = new byte[source.Length];
                source.Read(0, read);
                Assert.Equal(plain, read);
                whole++;
            }
            catch (BrokenSealException)
            {
                refused++;
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 100_000 + (8 * bytes.Length), $"case {i}: {allocated} bytes for a file of {bytes.Length}"); // whatever segment the header speaks of
        }

        Assert.True(refused > Cases / 2 && whole > 0, $"{refused} refused, {whole} whole of {Cases}: the mutations miss the point");
    }

    [Fact]
    public void A_file_of_grants_reads_as_one_or_not_at_all()
    {
        using var device = SealingKey.Create();
        using var key = new ContentKey(Sha256Digest.Of("key"u8).ToArray());
        using var other = new ContentKey(Sha256Digest.Of("other"u8).ToArray());
        using var group = SealingKey.Create();
        var made = GrantFile.Of(device.Public.Digest).With([Grant.Of(key, device.Public), Grant.Of(other, device.Public), Grant.Of(group, device.Public)]).Write();
        var random = new Random(20300102);
        var (refused, read) = (0, 0);
        for (var i = 0; i < Cases; i++)
        {
            var bytes = Mutated(made, random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var file = GrantFile.Read(bytes);
                Assert.Equal(bytes, file.Write());
                read++;
                if (i % 64 == 0 && file.Find(GrantKind.Content, key.Id) is { } grant)
                    OpensToItself(grant, device, key);
            }
            catch (BrokenSealException)
            {
                refused++;
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 100_000 + (20 * bytes.Length), $"case {i}: {allocated} bytes for a file of {bytes.Length}");
        }

        Assert.True(refused > Cases / 4 && read > Cases / 100, $"{refused} refused, {read} read of {Cases}: the mutations miss the point");
    }

    [Fact]
    public void A_public_key_is_one_or_not_at_all()
    {
        using var device = SealingKey.Create();
        var random = new Random(20300103);
        var pem = System.Text.Encoding.ASCII.GetBytes(device.Public.ToPem());
        var info = device.Public.Info.ToArray();
        for (var i = 0; i < Cases; i++)
        {
            if (i % 2 == 0 && SealingPublicKey.TryParse(System.Text.Encoding.Latin1.GetString(Mutated(pem, random)), out var parsed))
                Assert.Equal(91, parsed.Info.Length);
            else if (SealingPublicKey.TryRead(Mutated(info, random), out var read))
                Assert.Equal(91, read.Info.Length);
        }
    }

    static void OpensToItself(Grant grant, SealingKey device, ContentKey key)
    {
        try
        {
            using var opened = grant.OpenContent(device);
            Assert.Equal(key.Id, opened.Id);
        }
        catch (BrokenSealException)
        {
        }
    }

    static byte[] Mutated(byte[] file, Random random)
    {
        var bytes = (byte[])file.Clone();
        for (var changes = random.Next(1, 4); changes > 0 && bytes.Length > 0; changes--)
        {
            var at = random.Next(2) == 0 ? random.Next(bytes.Length) : random.Next(Math.Min(bytes.Length, 96)); // half of it where sizes and counts stand
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes = bytes[..at];
                    break;
                case 3:
                    bytes = [.. bytes[..at], .. bytes[Math.Min(bytes.Length, at + random.Next(200))..]];
                    break;
                case 4:
                    bytes = [.. bytes, .. bytes[at..]];
                    break;
                default:
                    var from = random.Next(file.Length);
                    var count = Math.Min(random.Next(64), Math.Min(file.Length - from, bytes.Length - at));
                    file.AsSpan(from, count).CopyTo(bytes.AsSpan(at));
                    break;
            }
        }

        return bytes;
    }
}
