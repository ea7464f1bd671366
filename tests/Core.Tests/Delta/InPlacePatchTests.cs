using Coppice.Delta;

namespace Coppice.Core.Tests.Delta;

public sealed class InPlacePatchTests
{
    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void A_crash_at_any_write_leaves_a_file_that_goes_on_to_the_new_one(bool ofBlocks, bool torn)
    {
        var (old, made) = ofBlocks ? PatchTrial.BlockPair(9, rows: 1600) : Pair();
        var patch = PatchTrial.Make(old, made, PatchLevel.Fast).Patch;
        for (var crash = 0; ; crash++)
        {
            var power = new Power { WritesLeft = crash, Torn = torn };
            var (target, journal) = (new MemoryPatchFile(power, old.Bytes), new MemoryPatchFile(power, []));
            try
            {
                InPlacePatch.Apply(() => new MemoryStream(patch), target, journal);
                Assert.Equal(made.Bytes, target.Durable);
                Assert.True(crash > 4);
                return; // every write has been the last one once
            }
            catch (PowerCutException)
            {
                target.Restart();
                journal.Restart();
                power.WritesLeft = int.MaxValue;
                InPlacePatch.Apply(() => new MemoryStream(patch), target, journal);
                Assert.True(made.Bytes.AsSpan().SequenceEqual(target.Durable), $"the crash at write {crash} left another file");
            }
        }
    }

    [Fact]
    public void Tensors_in_another_order_are_kept_until_they_are_needed()
    {
        var random = new Random(3);
        var tensors = Enumerable.Range(0, 5).Select(i => SyntheticTensor.Of(
            $"t{i}", Coppice.Formats.ElementType.Float32, [900, 256], SyntheticTensor.Normal(random, 900, 256, 1))).ToArray();
        var (old, made) = (new SyntheticFile("{}", tensors), new SyntheticFile("{ }", tensors.Reverse()));
        var patch = PatchTrial.Make(old, made, PatchLevel.Fast).Patch;
        var (target, journal) = (new MemoryPatchFile(new(), old.Bytes), new MemoryPatchFile(new(), []));
        InPlacePatch.Apply(() => new MemoryStream(patch), target, journal);
        Assert.Equal(made.Bytes, target.Durable);

        (target, journal) = (new(new(), old.Bytes), new(new(), []));
        Assert.Throws<IOException>(() => InPlacePatch.Apply(() => new MemoryStream(patch), target, journal, mostJournal: 5 << 20));
    }

    [Fact]
    public void Another_file_is_refused_and_not_touched()
    {
        var (old, made) = PatchTrial.SmallPair(1);
        var patch = PatchTrial.Make(old, made).Patch;
        var other = (byte[])old.Bytes.Clone();
        other[5] ^= 1;
        var (target, journal) = (new MemoryPatchFile(new(), other), new MemoryPatchFile(new(), []));
        Assert.Throws<WrongBaseException>(() => InPlacePatch.Apply(() => new MemoryStream(patch), target, journal));
        Assert.Equal(other, target.Durable);
    }

    [Fact]
    public void A_file_that_is_new_already_stays()
    {
        var (old, made) = PatchTrial.SmallPair(1);
        var patch = PatchTrial.Make(old, made).Patch;
        var (target, journal) = (new MemoryPatchFile(new(), made.Bytes), new MemoryPatchFile(new(), []));
        InPlacePatch.Apply(() => new MemoryStream(patch), target, journal);
        Assert.Equal(made.Bytes, target.Durable);
    }

    /// <summary>More than two groups, a header that grows, so that everything moves, and a new length.</summary>
    static (SyntheticFile Old, SyntheticFile New) Pair()
    {
        var random = new Random(2);
        var values = SyntheticTensor.Normal(random, 5000, 256, 0.02);
        var tuned = SyntheticTensor.Tuned(random, values, 5000, 256, 0, 0, 1e-4);
        return (
            new("{\"v\":1}", SyntheticTensor.Of("a", Coppice.Formats.ElementType.Float32, [5000, 256], values)),
            new("{\"v\":2, \"note\":\"this header is longer than the one before\"}", SyntheticTensor.Of("a", Coppice.Formats.ElementType.Float32, [5000, 256], tuned)));
    }

    sealed class PowerCutException : Exception;

    sealed class Power
    {
        public int WritesLeft { get; set; } = int.MaxValue;
        public bool Torn { get; init; }
    }

    /// <summary>A file that loses what was not flushed, or keeps a part of the last write, when the power goes.</summary>
    sealed class MemoryPatchFile(Power power, byte[] bytes) : IPatchFile
    {
        byte[] seen = (byte[])bytes.Clone();

        public byte[] Durable { get; private set; } = (byte[])bytes.Clone();

        public long Length => seen.Length;

        public void Read(long offset, Span<byte> into) => seen.AsSpan((int)offset, into.Length).CopyTo(into);

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            var cut = power.WritesLeft-- == 0;
            if (cut && power.Torn)
                bytes = bytes[..(bytes.Length / 2)];
            if (!cut || power.Torn)
            {
                if (seen.Length < offset + bytes.Length)
                    Array.Resize(ref seen, (int)offset + bytes.Length);
                bytes.CopyTo(seen.AsSpan((int)offset));
            }
            if (cut)
                throw new PowerCutException();
        }

        public void SetLength(long length)
        {
            if (power.WritesLeft-- == 0)
                throw new PowerCutException();
            Array.Resize(ref seen, (int)length);
        }

        public void Flush() => Durable = (byte[])seen.Clone();

        /// <summary>After a torn cut everything written so far is there; after a clean one only what was flushed.</summary>
        public void Restart()
        {
            if (power.Torn)
                Durable = (byte[])seen.Clone();
            seen = (byte[])Durable.Clone();
        }
    }
}
