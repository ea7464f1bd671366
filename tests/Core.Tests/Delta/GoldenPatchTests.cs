using System.Security.Cryptography;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Tests;

namespace Coppice.Core.Tests.Delta;

/// <summary>The published vector in <c>tests/Golden/delta</c>: what every decoder on every processor must make of this patch.</summary>
public sealed class GoldenPatchTests
{
    static string Folder => Path.Combine(RepositoryRoot.Path, "tests", "Golden", "delta");

    [Theory]
    [InlineData("old.bin", "new.bin", "patch.cpp3", true)]
    [InlineData("old.bin", "new.bin", "patch.cpp3", false)]
    [InlineData("blocks.old.gguf", "blocks.new.gguf", "blocks.cpp3", true)]
    [InlineData("blocks.old.gguf", "blocks.new.gguf", "blocks.cpp3", false)]
    public void The_published_patch_makes_the_published_file(string from, string to, string by, bool vectors)
    {
        var (old, made, patch) = (File.ReadAllBytes(Path.Combine(Folder, from)), File.ReadAllBytes(Path.Combine(Folder, to)), File.ReadAllBytes(Path.Combine(Folder, by)));
        Assert.Equal(made, PatchTrial.Apply(patch, new PatchApplication { Vectors = vectors }, old));
        Assert.Equal(SHA256.HashData(made), PatchInspector.Read(new MemoryStream(patch)).Header.NewDigest);
    }

    [Fact]
    public void The_published_patch_uses_every_technique()
    {
        var (_, patch) = PatchInspector.Read(new MemoryStream(File.ReadAllBytes(Path.Combine(Folder, "patch.cpp3"))));
        foreach (var technique in (string[])["rank", "pruned", "transposed", "cast from Float32", "alone", "records of 8", "copy", "bytes"])
            Assert.Contains(patch.Parts, part => part.Technique.Contains(technique, StringComparison.Ordinal));
        foreach (var kind in (string[])["Float32", "Float16", "BFloat16", "Float8E5M2", "Int8", "Q8_0", "Q4_0"])
            Assert.Contains(patch.Parts, part => part.Technique.EndsWith(kind, StringComparison.Ordinal));
    }

    /// <summary>The files were quantised by ggml: a layout that is not ggml's would show as a patch that is larger.</summary>
    [Fact]
    public void Blocks_that_ggml_made_are_coded_by_their_codes_in_less_than_a_quarter()
    {
        var (_, patch) = PatchInspector.Read(new MemoryStream(File.ReadAllBytes(Path.Combine(Folder, "blocks.cpp3"))));
        foreach (var type in SyntheticBlocks.Types)
        {
            var part = Assert.Single(patch.Parts, part => part.Technique.EndsWith(type.ToString(), StringComparison.Ordinal));
            Assert.StartsWith("difference", part.Technique, StringComparison.Ordinal);
            Assert.InRange(part.PatchBytes, 0, part.Length / 4);
        }
    }

    /// <summary>Writes the vector anew, which a change of the format needs: <c>COPPICE_WRITE_GOLDEN=1</c>.</summary>
    [Fact]
    public void A_new_vector_is_written_only_when_it_is_asked_for()
    {
        var (old, made) = Pair();
        using var patch = new MemoryStream();
        PatchEncoder.Create([old.Source], made.Source, patch);
        Assert.Equal(made.Bytes, PatchTrial.Apply(patch.ToArray(), old.Bytes));
        var (oldBlocks, newBlocks) = (new MemorySource(File.ReadAllBytes(Path.Combine(Folder, "blocks.old.gguf"))), new MemorySource(File.ReadAllBytes(Path.Combine(Folder, "blocks.new.gguf"))));
        using var blocks = new MemoryStream();
        PatchEncoder.Create(oldBlocks, newBlocks, blocks);
        if (Environment.GetEnvironmentVariable("COPPICE_WRITE_GOLDEN") != "1")
            return;
        File.WriteAllBytes(Path.Combine(Folder, "blocks.cpp3"), blocks.ToArray());
        File.WriteAllBytes(Path.Combine(Folder, "old.bin"), old.Bytes);
        File.WriteAllBytes(Path.Combine(Folder, "new.bin"), made.Bytes);
        File.WriteAllBytes(Path.Combine(Folder, "patch.cpp3"), patch.ToArray());
    }

    static (SyntheticFile Old, SyntheticFile New) Pair()
    {
        var random = new Random(20);
        var weights = SyntheticTensor.Normal(random, 128, 64, 0.02);
        var tuned = SyntheticTensor.Tuned(random, weights, 128, 64, 2, 2e-3, 1e-5);
        var other = SyntheticTensor.Normal(random, 128, 32, 0.02);
        var near = SyntheticTensor.Tuned(random, other, 128, 32, 0, 0, 2e-4);
        var turned = new float[128 * 32];
        for (var i = 0; i < turned.Length; i++)
            turned[i % 32 * 128 + i / 32] = near[i];
        ElementType[] types = [ElementType.BFloat16, ElementType.Float16, ElementType.Float32, ElementType.Int8, ElementType.Q8_0, ElementType.Q4_0];
        SyntheticTensor Of(string name, ElementType type, float[] values) => SyntheticTensor.Of(name, type, [128, values.Length / 128], values);
        var old = new SyntheticFile(
            "{\"version\":1}",
            [
                .. types.Select(type => Of($"tuned.{type}", type, weights)), Of("pruned", ElementType.Float16, other), Of("retrained", ElementType.Float16, other),
                Of("turned", ElementType.BFloat16, other), Of("cast", ElementType.Float32, other), Of("eighths", ElementType.Float8E5M2, other),
                Of("doubles", ElementType.Float64, other[..1024]), Of("same", ElementType.UInt8, other),
            ]);
        var made = new SyntheticFile(
            "{\"version\":2}",
            [
                .. types.Select(type => Of($"tuned.{type}", type, tuned)),
                Of("pruned", ElementType.Float16, Array.ConvertAll(other, value => Math.Abs(value) < 0.01f ? 0 : value)),
                Of("retrained", ElementType.Float16, SyntheticTensor.Normal(random, 128, 32, 0.02)),
                SyntheticTensor.Of("turned", ElementType.BFloat16, [32, 128], turned), Of("cast", ElementType.BFloat16, other),
                Of("eighths", ElementType.Float8E5M2, near), Of("doubles", ElementType.Float64, near[..1024]), Of("same", ElementType.UInt8, other),
            ]);
        return (old, made);
    }
}
