using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta;

public sealed class PatchDamageTests
{
    /// <summary>What the decoder promises as its bound for one worker, and the output of a hostile patch.</summary>
    const long MostAllocated = 64 << 20;

    [Fact]
    public void A_patch_that_ends_early_is_named_so_at_every_point()
    {
        var (old, made) = PatchTrial.SmallPair(1);
        var patch = PatchTrial.Make(old, made).Patch;
        var memory = new PatchMemory();
        for (var length = 0; length < patch.Length; length++)
            Assert.Throws<MalformedPatchException>(() => PatchTrial.Apply(patch[..length], new PatchApplication { Memory = memory }, old.Bytes));
    }

    [Fact]
    public void A_flipped_bit_is_found_or_does_no_harm()
    {
        var (old, made) = PatchTrial.SmallPair(2);
        var patch = PatchTrial.Make(old, made).Patch;
        var random = new Random(3);
        var memory = new PatchMemory();
        for (var i = 0; i < 10_000; i++)
        {
            var damaged = (byte[])patch.Clone();
            damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            AssertRefusedOrExact(damaged, old.Bytes, made.Bytes, memory);
        }
    }

    [Theory]
    [InlineData(false, "20000")]
    [InlineData(true, "8000")]
    public void A_hostile_patch_with_right_checksums_ends_in_the_typed_error_within_its_memory(bool ofBlocks, string usual)
    {
        var cases = int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? usual, CultureInfo.InvariantCulture);
        var (old, made) = ofBlocks ? PatchTrial.BlockPair(4) : PatchTrial.SmallPair(4);
        var (patch, explanation) = PatchTrial.Make(old, made);
        Assert.Contains(explanation.Parts, part => part.Technique.EndsWith(ofBlocks ? "Q4_K" : "BFloat16", StringComparison.Ordinal));
        var records = Records.Of(patch);
        var random = new Random(5);
        var memory = new PatchMemory(); // what one patch leaves in it must not help or harm the next
        for (var i = 0; i < cases; i++)
        {
            var hostile = records.Mutated(random);
            if (i % 100 == 0)
                memory = new(); // and what a patch takes is seen from nothing
            var before = GC.GetAllocatedBytesForCurrentThread();
            AssertRefusedOrExact(hostile, old.Bytes, made.Bytes, memory);
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < MostAllocated, $"case {i} took {allocated} bytes of memory");
        }
    }

    [Fact]
    public void A_wrong_old_file_is_named_before_anything_is_written()
    {
        var (old, made) = PatchTrial.SmallPair(6);
        var patch = PatchTrial.Make(old, made).Patch;
        var other = (byte[])old.Bytes.Clone();
        other[^1] ^= 1;
        var output = new MemoryStream();
        var fault = Assert.Throws<WrongBaseException>(() => PatchDecoder.Apply(new MemoryStream(patch), [new MemorySource(other)], output));
        Assert.Equal(0, fault.Index);
        Assert.Contains("SHA-256", fault.Message, StringComparison.Ordinal);
        Assert.Equal(0, output.Length);
        Assert.Throws<WrongBaseException>(() => PatchTrial.Apply(patch, old.Bytes[..^1]));
        Assert.Throws<WrongBaseException>(() => PatchTrial.Apply(patch));
        Assert.Throws<WrongBaseException>(() => PatchTrial.Apply(patch, old.Bytes, old.Bytes));
    }

    [Fact]
    public void A_wrong_old_file_that_was_trusted_is_found_at_the_frame()
    {
        var (old, made) = PatchTrial.SmallPair(7);
        var patch = PatchTrial.Make(old, made).Patch;
        var other = (byte[])old.Bytes.Clone();
        for (var i = 100; i < other.Length; i++)
            other[i] ^= 0x10;
        Assert.Throws<MalformedPatchException>(() => PatchTrial.Apply(patch, new PatchApplication { TrustOldFiles = true }, other));
    }

    static void AssertRefusedOrExact(byte[] patch, byte[] old, byte[] made, PatchMemory? memory = null)
    {
        byte[] result;
        try
        {
            result = PatchTrial.Apply(patch, new PatchApplication { Memory = memory }, old);
        }
        catch (Exception fault) when (fault is MalformedPatchException or WrongBaseException)
        {
            return;
        }
        Assert.True(made.AsSpan().SequenceEqual(result), "a damaged patch made another file");
    }

    /// <summary>A patch taken apart, so that it can be put together wrongly but with right checksums.</summary>
    sealed record Records(byte[] Header, List<(byte Kind, byte[] Payload, uint Sum)> List)
    {
        public static Records Of(byte[] patch)
        {
            var at = 4;
            var length = Number(patch, ref at);
            at += length + 4;
            var header = patch[..at];
            var list = new List<(byte, byte[], uint)>();
            while (at < patch.Length)
            {
                var kind = patch[at++];
                length = Number(patch, ref at);
                list.Add((kind, patch[at..(at + length)], BinaryPrimitives.ReadUInt32LittleEndian(patch.AsSpan(at + length))));
                at += length + 4;
            }
            return new(header, list);
        }

        public byte[] Mutated(Random random)
        {
            var changed = new List<(byte Kind, byte[] Payload, uint Sum)>(List);
            var count = random.Next(1, 4);
            for (var i = 0; i < count && changed.Count > 0; i++)
            {
                var at = random.Next(changed.Count);
                var (kind, payload, sum) = changed[at];
                switch (random.Next(8))
                {
                    case 0:
                        changed.RemoveAt(at);
                        break;
                    case 1:
                        changed.Insert(random.Next(changed.Count + 1), changed[at]);
                        break;
                    case 2:
                        changed[at] = ((byte)random.Next(9), payload, sum);
                        break;
                    case 3:
                        changed[at] = (kind, payload[..random.Next(payload.Length + 1)], sum);
                        break;
                    default:
                        payload = (byte[])payload.Clone();
                        for (var j = random.Next(1, 4); j > 0 && payload.Length > 0; j--) // most rules are about the first bytes
                            payload[random.Next(random.Next(2) == 0 ? Math.Min(24, payload.Length) : payload.Length)] = (byte)(random.Next(3) == 0 ? 255 : random.Next(256));
                        changed[at] = (kind, payload, sum);
                        break;
                }
            }
            var patch = new List<byte>(Header);
            foreach (var (kind, payload, sum) in changed)
            {
                patch.Add(kind);
                for (var length = payload.Length; ; length >>= 7)
                {
                    patch.Add((byte)(length >= 0x80 ? length | 0x80 : length));
                    if (length < 0x80)
                        break;
                }
                patch.AddRange(payload);
                var right = kind is 0 or 1 or 2 ? Sum(payload) : sum;
                patch.AddRange(BitConverter.GetBytes(right));
            }
            return [.. patch];
        }

        static int Number(byte[] bytes, ref int at)
        {
            var value = 0;
            for (var shift = 0; ; shift += 7)
            {
                value |= (bytes[at] & 0x7F) << shift;
                if (bytes[at++] < 0x80)
                    return value;
            }
        }

        static uint Sum(byte[] bytes)
        {
            var sum = uint.MaxValue;
            foreach (var value in bytes)
                sum = BitOperations.Crc32C(sum, value);
            return ~sum;
        }
    }
}
