using System.Globalization;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Mirror.Tests.Bundles;

public sealed class BundleFuzzTests
{
    static int Cases => int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    static byte[] Index()
    {
        var digest = Sha256Digest.Of([1]);
        return BundleIndex.Of(
            [
                ("metadata/1.root.json", 1, digest), ("metadata/timestamp.json", 1, digest), ($"targets/releases/plant/bearing/{digest}.1.0.0.json", 1, digest),
                (RepositoryLayout.GrantFile(digest), 1, digest), (RepositoryLayout.BlobFile(digest), 1, digest), (RepositoryLayout.PatchFile([Sha256Digest.Of([2])], digest), 1, digest),
                (RepositoryLayout.PatchIndexFile(digest), 1, digest),
            ]).Write();
    }

    [Fact]
    public void Whatever_the_bytes_of_an_index_it_is_read_or_refused_with_one_error_within_bounded_memory()
    {
        var good = Index();
        var random = new Random(20261127);
        int read = 0, refused = 0;
        for (var i = 0; i < Cases; i++)
        {
            var bytes = Mutated(good, random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var length = BundleIndex.IndexBytes(bytes);
                var index = BundleIndex.Read(bytes.AsSpan(0, BundleIndex.HeaderBytes), bytes.AsSpan(BundleIndex.HeaderBytes, Math.Min(length, bytes.Length - BundleIndex.HeaderBytes)));
                Assert.All(index.Entries, entry => Assert.DoesNotContain("..", entry.Path.Split('/')));
                read++;
            }
            catch (MalformedFileException)
            {
                refused++;
            }
            catch (Exception problem)
            {
                Assert.Fail($"case {i}: {problem.GetType().Name}: {problem.Message}\n{Convert.ToHexString(bytes)}");
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 100_000 + (100 * bytes.Length), $"case {i}: {allocated} bytes for an index of {bytes.Length}");
        }

        Assert.True(refused > Cases / 4 && read > Cases / 200, $"{refused} refused, {read} read of {Cases}: the mutations miss the point");
    }

    static byte[] Mutated(byte[] good, Random random)
    {
        var bytes = good.ToList();
        for (var changes = random.Next(1, 4); changes > 0; changes--)
        {
            var at = random.Next(8, bytes.Count);
            switch (random.Next(4))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes.RemoveRange(at, Math.Min(bytes.Count - at, random.Next(1, 20)));
                    break;
                case 2:
                    bytes.Insert(at, (byte)"./\\a0-%"[random.Next(7)]);
                    break;
                default:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
            }

            if (bytes.Count <= BundleIndex.HeaderBytes)
                return [.. bytes];
        }

        var mutated = bytes.ToArray();
        if (random.Next(4) > 0) // mostly with lengths and digest put right, so that what lies behind them is reached
        {
            BitConverter.TryWriteBytes(mutated.AsSpan(12), mutated.Length - BundleIndex.HeaderBytes);
            Sha256Digest.Of(mutated.AsSpan(BundleIndex.HeaderBytes)).CopyTo(mutated.AsSpan(16));
        }

        return mutated;
    }
}
