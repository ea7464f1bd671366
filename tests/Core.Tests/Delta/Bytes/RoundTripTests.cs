using Coppice.Delta.Bytes;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta.Bytes;

public sealed class RoundTripTests
{
    [Theory]
    [InlineData("one")]
    [InlineData("equal")]
    [InlineData("noise")]
    [InlineData("zeros")]
    [InlineData("huge repeats")]
    [InlineData("edits")]
    [InlineData("moves")]
    [InlineData("inserts")]
    [InlineData("shifted numbers")]
    [InlineData("text")]
    [InlineData("unrelated")]
    [InlineData("shorter")]
    [InlineData("no old")]
    public void Every_structure_comes_back(string shape)
    {
        foreach (var effort in Enum.GetValues<ByteEffort>())
        {
            var (olds, made) = Make(shape, new Random(1 + (int)effort));
            foreach (var frame in (int[])[1 << 20, 10_007])
                Frames.RoundTrip(olds, made, frame, new() { Effort = effort });
        }
    }

    [Fact]
    public void Any_mixture_of_structures_and_any_frame_length_comes_back()
    {
        var random = new Random(11);
        string[] shapes = ["equal", "noise", "zeros", "edits", "moves", "inserts", "shifted numbers", "text"];
        for (var round = 0; round < 6; round++)
        {
            var pieces = Enumerable.Range(0, 4).Select(_ => Make(shapes[random.Next(shapes.Length)], random)).ToArray();
            byte[][] olds = [.. pieces.Take(2).SelectMany(piece => piece.Olds), [.. pieces.Skip(2).SelectMany(piece => piece.Olds[0])]];
            byte[] made = [.. pieces.SelectMany(piece => piece.Made)];
            Frames.RoundTrip(olds, made, random.Next(1, 100_000) + 2_000, new() { Effort = (ByteEffort)(round % 3) });
        }
    }

    [Fact]
    public void Frames_may_skip_bytes_that_are_made_by_other_means()
    {
        var (olds, made) = Make("edits", new Random(3));
        var source = new MemorySource(made);
        var encoder = new ByteEncoder([new MemorySource(olds[0])], source);
        var first = encoder.Encode(100, 900);
        var later = encoder.Encode(20_000, 5_000);
        var decoder = new ByteDecoder([new MemorySource(olds[0])], source);
        var output = new byte[5_000];

        decoder.Decode(later.Payload.AsSpan(), 20_000, output);
        Assert.Equal(made[20_000..25_000], output);
        decoder.Decode(first.Payload.AsSpan(), 100, output.AsSpan(0, 900));
        Assert.Equal(made[100..1_000], output[..900]);
    }

    [Fact]
    public void The_statistics_account_for_every_byte()
    {
        foreach (var shape in (string[])["edits", "noise", "moves", "text"])
        {
            var (olds, made) = Make(shape, new Random(5));
            var frame = new ByteEncoder([new MemorySource(olds[0])], new MemorySource(made)).Encode(0, made.Length);

            var counted = frame.Statistics;
            Assert.Equal(made.Length, counted.Length);
            Assert.Equal(made.Length, counted.FromOld + counted.FromNew + counted.Agreeing + counted.Coded);
            Assert.Equal(frame.Payload.Length, counted.Payload);
        }
    }

    [Fact]
    public void The_same_files_give_the_same_frames()
    {
        var (olds, made) = Make("moves", new Random(7));
        Assert.Equal(Frames.Encode(olds, made, 30_000), Frames.Encode(olds, made, 30_000));
    }

    [Theory]
    [InlineData("equal", 16)]
    [InlineData("zeros", 40)]
    [InlineData("huge repeats", 700)]
    [InlineData("edits", 280)]
    [InlineData("moves", 260)]
    [InlineData("inserts", 1_400)]
    public void A_small_change_makes_a_small_patch(string shape, int most)
    {
        var (olds, made) = Make(shape, new Random(1));
        Assert.InRange(Frames.RoundTrip(olds, made), 1, most);
    }

    [Fact]
    public void Noise_costs_one_byte_per_frame_at_most()
    {
        var (olds, made) = Make("noise", new Random(1));
        Assert.InRange(Frames.RoundTrip(olds, made, 50_000), made.Length, made.Length + (made.Length + 49_999) / 50_000);
    }

    internal static (byte[][] Olds, byte[] Made) Make(string shape, Random random)
    {
        var old = Noise(random, 30_000);
        switch (shape)
        {
            case "one":
                return ([[7]], [(byte)random.Next(256)]);
            case "equal":
                return ([old], [.. old]);
            case "noise":
                return ([[]], old);
            case "zeros":
                return ([new byte[500]], new byte[100_000]);
            case "huge repeats":
                return ([[1, 2, 3]], [.. Enumerable.Repeat(Noise(random, random.Next(1, 600)), 200).SelectMany(part => part)]);
            case "edits":
                var edited = (byte[])old.Clone();
                for (var i = 0; i < 60; i++)
                    edited[random.Next(edited.Length)]++;
                return ([old], edited);
            case "moves":
                var places = Enumerable.Range(0, 30).Select(i => old[(i * 1_000)..((i + 1) * 1_000)]).ToArray();
                random.Shuffle(places);
                return ([old], [.. places.SelectMany(part => part)]);
            case "inserts":
                var grown = old.ToList();
                for (var i = 0; i < 20; i++)
                {
                    grown.InsertRange(random.Next(grown.Count), Noise(random, random.Next(1, 80)));
                    grown.RemoveRange(random.Next(grown.Count - 100), random.Next(1, 80));
                }
                return ([old], [.. grown]);
            case "shifted numbers":
                var numbers = Enumerable.Range(0, 8_000).Select(_ => random.Next(1 << 20)).ToArray();
                var shift = random.Next(1, 5_000);
                return ([[.. numbers.SelectMany(BitConverter.GetBytes)]], [.. numbers.SelectMany(number => BitConverter.GetBytes(number + shift))]);
            case "text":
                var words = Enumerable.Range(0, 300).Select(_ => new string([.. Enumerable.Range(0, random.Next(2, 9)).Select(_ => (char)random.Next('a', 'z' + 1))])).ToArray();
                string Page(int count) => string.Join(' ', Enumerable.Range(0, count).Select(_ => words[random.Next(words.Length)]));
                return ([System.Text.Encoding.ASCII.GetBytes(Page(3_000))], System.Text.Encoding.ASCII.GetBytes(Page(3_000)));
            case "unrelated":
                return ([old], Noise(random, 15_000));
            case "shorter":
                return ([old], old[20_000..20_010]);
            case "no old":
                return ([], old[..5_000]);
            default:
                throw new ArgumentException($"No structure is called '{shape}'.", nameof(shape));
        }
    }

    static byte[] Noise(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}
