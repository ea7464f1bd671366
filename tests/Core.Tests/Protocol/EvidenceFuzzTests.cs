using System.Globalization;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Core.Tests.Protocol;

/// <summary>Statements and bills come from publishers, build jobs and sticks: whatever the bytes, one clear refusal within bounded memory.</summary>
public sealed class EvidenceFuzzTests
{
    static int Cases => int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    static readonly string[] Odd =
        ["\"\\ud800\"", "-0", "1e9", "1.5", "null", "true", "[]", "{}", "\"\"", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "[[[[", "\"sha256\"", "\"https://slsa.dev/provenance/v1\"", "\"dependsOn\""];

    static byte[] Statement()
    {
        var digest = Sha256Digest.Of([1]);
        return new BuildProvenance("plant/bearing", "1.0.0", "ci", DateTimeOffset.UnixEpoch, "0.1.0")
        {
            Source = digest,
            Rewrites = [new("quantise", [digest], Sha256Digest.Of([2])) { Parameters = [new("bits", "8")] }],
            Materials = [new("source", digest)],
        }.About([new("model.onnx", Sha256Digest.Of([2]))]).Write();
    }

    static byte[] Bom() => BomJson.Write(new(ModelName.Parse("plant/bearing"), SemanticVersion.Parse("1.0.0"),
        [new("default", [new("model.onnx", Sha256Digest.Of([2]), 1)]) { Signature = new([new TensorSpec("x", ElementType.Float32, [-1, 4])], []), Metrics = [new("accuracy", "0.9")] }]));

    static byte[] Envelope()
    {
        using var key = SigningKey.Create();
        return DsseEnvelope.Sign(InTotoStatement.PayloadType, Statement(), key).Write();
    }

    [Fact]
    public void Whatever_the_bytes_readers_of_evidence_give_a_value_or_one_typed_refusal_within_bounded_memory()
    {
        byte[][] files = [Envelope(), Statement(), Bom()];
        Func<byte[], bool>[] readers = [ReadEnvelope, ReadStatement, bytes => BomJson.TryRead(bytes, out _, out _)];
        var random = new Random(20261126);
        int read = 0, refused = 0;
        for (var i = 0; i < Cases; i++)
        {
            var kind = i % readers.Length;
            var bytes = Mutated(files[kind], files[random.Next(files.Length)], random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                _ = readers[kind](bytes) ? read++ : refused++;
            }
            catch (Exception problem)
            {
                Assert.Fail($"case {i}: {problem.GetType().Name}: {problem.Message}\n{Convert.ToHexString(bytes)}");
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 200_000 + (200 * bytes.Length), $"case {i}: {allocated} bytes for a file of {bytes.Length}");
        }

        Assert.True(refused > Cases / 4 && read > Cases / 200, $"{refused} refused, {read} read of {Cases}: the mutations miss the point");
    }

    static bool ReadEnvelope(byte[] bytes)
    {
        try
        {
            _ = BuildProvenance.Of(InTotoStatement.Read(DsseEnvelope.Read(bytes)));
            return true;
        }
        catch (UntrustedMetadataException)
        {
            return false;
        }
    }

    static bool ReadStatement(byte[] bytes)
    {
        try
        {
            _ = BuildProvenance.Of(InTotoStatement.Read(bytes));
            _ = BuildProvenance.ReadRewrites(bytes, "rewrites");
            return true;
        }
        catch (UntrustedMetadataException)
        {
            return false;
        }
    }

    static byte[] Mutated(byte[] file, byte[] other, Random random)
    {
        var bytes = file.ToList();
        for (var changes = random.Next(1, 4); changes > 0 && bytes.Count > 0; changes--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes.RemoveRange(at, Math.Min(bytes.Count - at, random.Next(1, 40)));
                    break;
                case 2:
                    bytes.InsertRange(at, bytes.GetRange(at, Math.Min(bytes.Count - at, random.Next(1, 200))));
                    break;
                case 3:
                    bytes.InsertRange(at, System.Text.Encoding.UTF8.GetBytes(Odd[random.Next(Odd.Length)]));
                    break;
                case 4:
                    var from = random.Next(other.Length);
                    bytes.InsertRange(at, other[from..Math.Min(other.Length, from + random.Next(1, 200))]);
                    break;
                default:
                    // In place of a whole value, so that the rest stays JSON.
                    var start = bytes.IndexOf((byte)'"', at);
                    var end = start < 0 ? -1 : bytes.IndexOf((byte)'"', start + 1);
                    if (end > 0)
                    {
                        bytes.RemoveRange(start, end - start + 1);
                        bytes.InsertRange(start, System.Text.Encoding.UTF8.GetBytes(Odd[random.Next(Odd.Length)]));
                    }

                    break;
            }
        }

        return [.. bytes];
    }
}
