using Coppice.Formats;
using Coppice.Tests;

namespace Coppice.Core.Tests.Formats;

/// <summary>Damaged files of every format: they are read, or refused as malformed, in memory that their size bounds.</summary>
public sealed class ReaderFuzzTests
{
    const int DefaultCases = 20_000;
    const int LargestSeed = 64 * 1024;

    /// <summary>A small file may cost this much however it is damaged: the readers' windows, and what they keep of each byte.</summary>
    static long Allowance(int fileBytes) => 192 * 1024 + 64L * fileBytes;

    static int Cases => int.TryParse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES"), out var cases) ? cases : DefaultCases;

    [Fact]
    public void A_damaged_file_is_read_or_refused_and_nothing_else()
    {
        var seeds = Seeds();
        var refused = 0;
        for (var i = 0; i < Cases; i++)
        {
            var random = new Random(i);
            var (name, seed) = seeds[i % seeds.Count];
            var bytes = Damage(seed, seeds[random.Next(seeds.Count)].Bytes, random);
            IByteSource source = random.Next(4) == 0 ? new StreamSource(new MemoryStream(bytes)) : new MemorySource(bytes);

            var before = GC.GetAllocatedBytesForCurrentThread();
            ModelFile? model = null;
            try
            {
                model = ModelReader.Read(source);
            }
            catch (MalformedFileException)
            {
                refused++;
            }
            catch (Exception problem)
            {
                Assert.Fail($"case {i}, a damaged '{name}': {problem}");
            }
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated <= Allowance(bytes.Length), $"case {i}, a damaged '{name}' of {bytes.Length} bytes took {allocated} bytes of memory");
            if (model is not null)
                MapChecks.Holds(model);
        }
        Assert.InRange(refused, Cases / 10, Cases); // the damage does reach the readers
    }

    static List<(string Name, byte[] Bytes)> Seeds()
    {
        var seeds = SmallModels.All().Select(model => ($"{model.Format}", model.Bytes)).ToList();
        foreach (var file in (string[])["mnist-cnn/model.onnx", "ort-lora-example/example_lora.onnx", "stories260k-gguf/random-lora.gguf", "mlperf-tiny-kws/float.tflite"])
        {
            if (SharedFiles.TryRead($"models/{file}", out var bytes))
                seeds.Add((file, bytes));
        }
        foreach (var (name, bytes) in seeds)
            Assert.True(bytes.Length <= LargestSeed, $"'{name}' is too large to be damaged {Cases} times");
        return seeds;
    }

    static byte[] Damage(byte[] seed, byte[] other, Random random)
    {
        var bytes = (byte[])seed.Clone();
        for (var times = random.Next(1, 4); times > 0 && bytes.Length > 0; times--)
        {
            // Structure stands mostly at both ends; the middle is tensor data.
            var at = random.Next(3) switch { 0 => random.Next(Math.Min(bytes.Length, 400)), 1 => bytes.Length - 1 - random.Next(Math.Min(bytes.Length, 400)), _ => random.Next(bytes.Length) };
            switch (random.Next(7))
            {
                case 0:
                    bytes = bytes[..at];
                    break;
                case 1 or 2:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 3:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 4:
                    var from = random.Next(other.Length);
                    var count = Math.Min(random.Next(1, 64), Math.Min(other.Length - from, bytes.Length - at));
                    other.AsSpan(from, count).CopyTo(bytes.AsSpan(at));
                    break;
                case 5:
                    var cut = Math.Min(random.Next(1, 32), bytes.Length - at);
                    bytes = [.. bytes[..at], .. bytes[(at + cut)..]];
                    break;
                default: // a length, offset or count
                    var width = 1 << random.Next(4);
                    if (at + width > bytes.Length)
                        break;
                    BitConverter.GetBytes(Extremes[random.Next(Extremes.Length)]).AsSpan(0, width).CopyTo(bytes.AsSpan(at));
                    break;
            }
        }
        return bytes;
    }

    static readonly ulong[] Extremes =
        [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1UL << 32, 1UL << 62, long.MaxValue, 1UL << 63, ulong.MaxValue, ulong.MaxValue - 7];
}
