using System.Globalization;
using System.Text;
using Coppice.Delivery;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Core.Tests.Delivery;

public sealed class PatchIndexTests
{
    static readonly int Cases = int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    static BlobName Blob(int name, long length) => new(Sha256Digest.Of(BitConverter.GetBytes(name)), length);

    static PatchIndex Sample() => new(1, Blob(0, 1000), [new([Blob(1, 900)], 50), new([Blob(1, 900), Blob(2, 30)], 20), new([], 700)]);

    static string Problems(PatchIndex index) => string.Join("; ", index.Check());

    [Fact]
    public void It_reads_back_as_it_was_written()
    {
        Assert.True(DocumentJson.TryRead(DocumentJson.Write(Sample()), out PatchIndex? read, out var problems), string.Join("; ", problems));
        Assert.Equal(DocumentJson.Write(Sample()), DocumentJson.Write(read));
        Assert.Equal((Sample().To, 3, 2), (read.To, read.Patches.Length, read.Patches[1].From.Length));
    }

    [Fact]
    public void A_patch_is_found_under_what_it_is_made_from()
    {
        var (a, b, to) = (Blob(1, 1).Digest, Blob(2, 1).Digest, Blob(0, 1).Digest);
        Assert.Equal($"patches/{a}/{to}.cpp", new PatchEntry([Blob(1, 1)], 5).File(to));
        Assert.Equal($"patches/{a}-{b}/{to}.cpp", new PatchEntry([Blob(1, 1), Blob(2, 1)], 5).File(to));
        Assert.Equal($"patches/alone/{to}.cpp", new PatchEntry([], 5).File(to));
        Assert.All(RepositoryLayout.PatchFile([a, b, to], to).Split('/'), part => Assert.InRange(part.Length, 1, 255)); // names of a file system
    }

    [Fact]
    public void What_cannot_be_is_refused()
    {
        Assert.Empty(Problems(Sample()));
        Assert.Contains("schema", Problems(Sample() with { Schema = 2 }), StringComparison.Ordinal);
        Assert.Contains("to", Problems(Sample() with { To = Blob(0, -1) }), StringComparison.Ordinal);
        Assert.Contains("length", Problems(Sample() with { Patches = [new([Blob(1, 1)], 0)] }), StringComparison.Ordinal);
        Assert.Contains("length", Problems(Sample() with { Patches = [new([Blob(1, 1)], long.MaxValue)] }), StringComparison.Ordinal);
        Assert.Contains("at most", Problems(Sample() with { Patches = [new([Blob(1, 1), Blob(2, 1), Blob(3, 1), Blob(4, 1)], 9)] }), StringComparison.Ordinal);
        Assert.Contains("makes", Problems(Sample() with { Patches = [new([Blob(0, 1000)], 9)] }), StringComparison.Ordinal);
        Assert.Contains("patches", Problems(Sample() with { Patches = [.. Enumerable.Range(1, 129).Select(i => new PatchEntry([Blob(i, 1)], 9))] }), StringComparison.Ordinal);
        Assert.Contains("patches", Problems(Sample() with { Patches = default }), StringComparison.Ordinal);
    }

    [Fact]
    public void The_largest_index_fits_its_bound() => Assert.InRange(
        DocumentJson.Write(new PatchIndex(1, Blob(0, 1L << 50), [.. Enumerable.Range(0, PatchIndex.MaxPatches).Select(i => new PatchEntry([Blob(3 * i + 1, 1L << 50), Blob(3 * i + 2, 1L << 50), Blob(3 * i + 3, 1L << 50)], 1L << 50))])).Length,
        1, PatchIndex.MaxBytes);

    [Fact]
    public void A_damaged_index_is_read_or_refused_and_nothing_else()
    {
        var seed = DocumentJson.Write(Sample());
        var words = new[] { "null", "-1", "9223372036854775807", "[]", "{}", "1e99", "\"\"", "[[[[", ",", "]" }.Select(Encoding.ASCII.GetBytes).ToArray();
        var refused = 0;
        for (var i = 0; i < Cases; i++)
        {
            var random = new Random(i);
            var bytes = seed.ToList();
            for (var changes = random.Next(1, 4); changes > 0; changes--)
            {
                var at = random.Next(bytes.Count);
                if (random.Next(2) == 0)
                    bytes[at] = (byte)random.Next(256);
                else
                    bytes.InsertRange(at, words[random.Next(words.Length)]);
            }

            if (DocumentJson.TryRead([.. bytes], out PatchIndex? index, out _))
                Assert.Empty(index.Check());
            else
                refused++;
        }

        Assert.InRange(refused, Cases / 2, Cases);
    }
}
