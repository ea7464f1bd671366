using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta;

public sealed class PatchResumeTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Applying_goes_on_after_every_frame(bool ofBlocks)
    {
        var (old, made) = ofBlocks ? PatchTrial.BlockPair(10, rows: 300) : LargerPair();
        var patch = PatchTrial.Make(old, made).Patch;
        var points = new List<PatchProgress> { default };
        PatchTrial.Apply(patch, new PatchApplication { Progress = points.Add }, old.Bytes);
        Assert.True(points.Count > 6);
        foreach (var point in points)
        {
            using var output = new MemoryStream();
            output.Write(made.Bytes.AsSpan(0, (int)point.NewOffset));
            output.Write(new byte[50]); // what a write that was cut off may leave behind
            PatchDecoder.Apply(new MemoryStream(patch), [new MemorySource(old.Bytes)], output, new() { ResumeAt = point });
            Assert.Equal(made.Bytes, output.ToArray());
        }
    }

    [Fact]
    public void A_wrong_beginning_is_found_at_the_end()
    {
        var (old, made) = PatchTrial.SmallPair(2);
        var patch = PatchTrial.Make(old, made).Patch;
        var points = new List<PatchProgress>();
        PatchTrial.Apply(patch, new PatchApplication { Progress = points.Add }, old.Bytes);
        using var output = new MemoryStream(new byte[made.Bytes.Length]);
        Assert.Throws<MalformedPatchException>(
            () => PatchDecoder.Apply(new MemoryStream(patch), [new MemorySource(old.Bytes)], output, new() { ResumeAt = points[1] }));
    }

    internal static (SyntheticFile Old, SyntheticFile New) LargerPair()
    {
        var random = new Random(1);
        var values = SyntheticTensor.Normal(random, 600, 256, 0.02);
        var (old, made) = PatchTrial.SmallPair(1);
        var tensors = (SyntheticFile file, float[] v) => new SyntheticFile(
            System.Text.Encoding.UTF8.GetString(file.Bytes.AsSpan(0, 30)), SyntheticTensor.Of("large", ElementType.Float16, [600, 256], v),
            SyntheticTensor.Of("small", ElementType.BFloat16, [40, 64], v[..2560]), SyntheticTensor.Of("same", ElementType.Float32, [100, 10], values[..1000]));
        return (tensors(old, values), tensors(made, SyntheticTensor.Tuned(random, values, 600, 256, 0, 0, 1e-4)));
    }
}
