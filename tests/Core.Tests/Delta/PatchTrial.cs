using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta;

/// <summary>Makes and applies patches in memory.</summary>
static class PatchTrial
{
    public static (byte[] Patch, PatchExplanation Explanation) Make(SyntheticFile old, SyntheticFile made, PatchLevel level = PatchLevel.Default)
    {
        using var patch = new MemoryStream();
        var explanation = PatchEncoder.Create([old.Source], made.Source, patch, new() { Level = level });
        return (patch.ToArray(), explanation);
    }

    public static byte[] Apply(byte[] patch, params IEnumerable<byte[]> old) => Apply(patch, new PatchApplication(), old);

    public static byte[] Apply(byte[] patch, PatchApplication application, params IEnumerable<byte[]> old)
    {
        using var made = new MemoryStream();
        PatchDecoder.Apply(new MemoryStream(patch), [.. old.Select(bytes => new MemorySource(bytes))], made, application);
        return made.ToArray();
    }

    /// <summary>A small pair with copies, differences, a pool and a new tensor: patches of a few kilobytes that use most kinds of records.</summary>
    public static (SyntheticFile Old, SyntheticFile New) SmallPair(int seed)
    {
        var random = new Random(seed);
        var kept = SyntheticTensor.Of("kept", ElementType.Float32, [16, 16], SyntheticTensor.Normal(random, 16, 16, 1));
        var moving = SyntheticTensor.Normal(random, 64, 64, 0.02);
        var quantised = SyntheticTensor.Normal(random, 32, 64, 0.02);
        var old = new SyntheticFile(
            """{"version":"1","note":"the first"}""", kept, SyntheticTensor.Of("moving", ElementType.BFloat16, [64, 64], moving),
            SyntheticTensor.Of("quantised", ElementType.Q8_0, [32, 64], quantised));
        var made = new SyntheticFile(
            """{"version":"2","note":"the second one"}""",
            SyntheticTensor.Of("moving", ElementType.BFloat16, [64, 64], SyntheticTensor.Tuned(random, moving, 64, 64, 2, 1e-3, 1e-5)), kept,
            SyntheticTensor.Of("quantised", ElementType.Q8_0, [32, 64], SyntheticTensor.Tuned(random, quantised, 32, 64, 0, 0, 1e-4)),
            SyntheticTensor.Of("added", ElementType.Float16, [16, 16], SyntheticTensor.Normal(random, 16, 16, 1)));
        return (old, made);
    }

    /// <summary>A small pair of blocks with scales and minima, with scales alone, and with uneven values.</summary>
    public static (SyntheticFile Old, SyntheticFile New) BlockPair(int seed, int rows = 20)
    {
        var random = new Random(seed);
        var values = SyntheticTensor.Normal(random, rows, 256, 0.02);
        var tuned = SyntheticTensor.Tuned(random, values, rows, 256, 0, 0, 3e-4);
        ElementType[] types = [ElementType.Q4_K, ElementType.Q6_K, ElementType.Q5_1, ElementType.IQ4_XS, ElementType.MXFP4];
        SyntheticFile Of(string header, float[] numbers) => new(header, types.Select(type => SyntheticTensor.Of($"{type}", type, [rows, 256], numbers)));
        return (Of("{}", values), Of("{ a header that grows }", tuned));
    }
}
