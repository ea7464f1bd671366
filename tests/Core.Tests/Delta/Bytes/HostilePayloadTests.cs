using System.Globalization;
using Coppice.Delta;
using Coppice.Delta.Bytes;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta.Bytes;

public sealed class HostilePayloadTests
{
    static readonly int Cases = int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    [Fact]
    public void A_changed_payload_makes_other_bytes_or_one_typed_exception()
    {
        var random = new Random(17);
        var starts = new List<(byte[][] Olds, byte[] Payload)>();
        foreach (var shape in (string[])["edits", "moves", "inserts", "text", "huge repeats", "shifted numbers"])
            foreach (var effort in Enum.GetValues<ByteEffort>())
            {
                var (olds, made) = RoundTripTests.Make(shape, random);
                starts.Add((olds, Frames.Encode(olds, made[..Math.Min(made.Length, 600)], 600, new() { Effort = effort })[0]));
            }
        var output = new byte[600 + 64];
        var decoders = starts.Select(start => new ByteDecoder([.. start.Olds.Select(old => new MemorySource(old))], new MemorySource(default))).ToArray();
        for (var i = 0; i < Cases; i++)
        {
            var chosen = random.Next(starts.Count);
            var payload = Change(starts[chosen].Payload, random);
            output.AsSpan(600).Fill(0xA5);
            try
            {
                decoders[chosen].Decode(payload, 0, output.AsSpan(0, random.Next(1, 601)));
            }
            catch (MalformedPatchException)
            {
                // the only exception there may be
            }
            Assert.True(output.AsSpan(600).IndexOfAnyExcept((byte)0xA5) < 0, "bytes after the frame were written");
        }
    }

    [Fact]
    public void A_payload_cut_anywhere_is_malformed_or_of_other_bytes()
    {
        var (olds, made) = RoundTripTests.Make("inserts", new Random(2));
        foreach (var effort in Enum.GetValues<ByteEffort>())
        {
            var payload = Frames.Encode(olds, made[..3_000], 3_000, new() { Effort = effort })[0];
            var decoder = new ByteDecoder([new MemorySource(olds[0])], new MemorySource(default));
            var output = new byte[3_000];
            for (var length = 0; length < payload.Length; length++)
            {
                try
                {
                    decoder.Decode(payload.AsSpan(0, length), 0, output);
                    Assert.False(length < payload.Length - 4 && made.AsSpan(0, 3_000).SequenceEqual(output), $"{length} of {payload.Length} bytes made the whole frame");
                }
                catch (MalformedPatchException)
                {
                    // expected
                }
            }
        }
    }

    [Fact]
    public void Bytes_after_the_payload_are_malformed()
    {
        var (olds, made) = RoundTripTests.Make("edits", new Random(2));
        foreach (var effort in Enum.GetValues<ByteEffort>())
        {
            var payload = Frames.Encode(olds, made, made.Length, new() { Effort = effort })[0];
            var decoder = new ByteDecoder([new MemorySource(olds[0])], new MemorySource(default));
            Assert.Throws<MalformedPatchException>(() => decoder.Decode([.. payload, 1, 2, 3, 4, 5, 6, 7, 8], 0, new byte[made.Length]));
        }
    }

    [Fact]
    public void Decoding_allocates_no_more_than_its_declared_tables_whatever_the_payload_says()
    {
        var random = new Random(23);
        var output = new byte[4_096];
        var most = 0L;
        for (var i = 0; i < 64; i++)
        {
            var payload = new byte[random.Next(1, 400)];
            random.NextBytes(payload);
            payload[0] = (byte)(payload[0] & 0xFC | i % 3);
            var decoder = new ByteDecoder([new MemorySource(new byte[5_000])], new MemorySource(default));
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                decoder.Decode(payload, 0, output);
            }
            catch (MalformedPatchException)
            {
                // whether it decodes does not matter here
            }
            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.InRange(most, 0, 14L << 20);
    }

    static byte[] Change(byte[] payload, Random random)
    {
        var changed = payload.ToList();
        for (var edits = random.Next(1, 5); edits > 0; edits--)
        {
            var at = random.Next(changed.Count + 1);
            switch (random.Next(5))
            {
                case 0 when at < changed.Count:
                    changed[at] = (byte)random.Next(256);
                    break;
                case 1 when at < changed.Count:
                    changed[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2 when at < changed.Count:
                    changed.RemoveRange(at, Math.Min(random.Next(1, 9), changed.Count - at));
                    break;
                case 3:
                    changed.InsertRange(at, Enumerable.Range(0, random.Next(1, 9)).Select(_ => (byte)random.Next(256)));
                    break;
                default:
                    if (changed.Count > 3)
                        changed[random.Next(4)] = (byte)random.Next(256); // headers
                    break;
            }
        }
        return [.. changed];
    }
}
