using System.Text.Json;
using Coppice.Formats;
using Coppice.Tests;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Core.Tests.Trust.Sealing;

public sealed class SealedFileTests
{
    const int Segment = SealHeader.MinSegment;

    static readonly ModelKey Model = ModelKey.Of(Sha256Digest.Of("model"u8).ToArray());

    /// <summary>Lengths around the ends of segments.</summary>
    public static TheoryData<int> Lengths => [0, 1, Segment - 1, Segment, Segment + 1, (2 * Segment) - 1, 2 * Segment, 3 * Segment, (3 * Segment) + 57];

    [Fact]
    public void A_second_implementation_makes_the_same_bytes()
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(RepositoryRoot.Path, "tests", "Vectors", "sealed-file.json")));
        var tests = document.RootElement.GetProperty("tests").EnumerateArray().ToList();
        Assert.Equal(9, tests.Count);
        foreach (var test in tests)
        {
            byte[] made;
            if (test.GetProperty("kind").GetString() == "blob")
            {
                var plain = Plain(test.GetProperty("plain").GetInt32());
                using var key = Model.Content(Sha256Digest.Of(plain));
                Assert.Equal(test.GetProperty("id").GetString(), key.Id.ToString());
                made = Seal(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain), Segment), plain);
                Assert.Equal(test.GetProperty("sealed").GetString(), Sha256Digest.Of(made).ToString());
            }
            else
            {
                var (from, to) = (Sha256Digest.Parse(test.GetProperty("from").GetString()), Sha256Digest.Parse(test.GetProperty("to").GetString()));
                using var fromKey = Model.Content(from);
                using var toKey = Model.Content(to);
                using var key = toKey.OfPatch([(from, test.GetProperty("fromSealed").GetBoolean() ? fromKey : null)], to);
                made = Seal(key, SealHeader.OfPatch(key.Id, [from], to, Convert.FromHexString(test.GetProperty("salt").GetString()!)), "a patch"u8.ToArray());
            }

            Assert.Equal(test.GetProperty("length").GetInt32(), made.Length);
            if (test.TryGetProperty("bytes", out var bytes))
                Assert.Equal(bytes.GetString(), Convert.ToHexStringLower(made));
        }
    }

    [Theory, MemberData(nameof(Lengths))]
    public async Task What_is_sealed_opens_whole_from_any_place_and_however_it_is_read(int length)
    {
        var plain = Plain(length);
        using var key = Model.Content(Sha256Digest.Of(plain));
        var header = SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain), Segment);
        var made = Seal(key, header, plain);
        Assert.Equal(SealHeader.SealedLength(length, Segment), made.Length);
        Assert.Equal(length, SealHeader.PlainLength(made.Length, Segment));
        Assert.Equal(header, SealHeader.Read(made));
        Assert.Equal(made, Written(key, header, plain));

        Assert.Equal(plain, Open(key, made, length, 0));
        foreach (var from in new[] { 0, 1, length / 2, length - 1, Segment - 1, Segment, Segment + 1 }.Where(from => from >= 0 && from < length))
        {
            Assert.Equal(plain[from..], Open(key, made, length, from));
            var parts = new MemoryStream(made[(int)SealHeader.SegmentAt(from / Segment, Segment)..]);
            await using var stream = new OpeningStream(new Dribble(parts, 7), new(key, header), length, from);
            var whole = new MemoryStream();
            await stream.CopyToAsync(whole);
            Assert.Equal(plain[from..], whole.ToArray());
        }

        using var source = new SealedSource(new MemorySource(made), key);
        Assert.Equal(length, source.Length);
        var random = new Random(1);
        for (var i = 0; i < 50; i++)
        {
            var offset = random.Next(length + 1);
            var into = new byte[random.Next(length - offset + 1)];
            source.Read(offset, into);
            Assert.Equal(plain[offset..(offset + into.Length)], into);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => source.Read(length, new byte[1]));
    }

    [Fact]
    public void Every_flipped_bit_is_noticed()
    {
        var plain = Plain(Segment + 9);
        using var key = Model.Content(Sha256Digest.Of(plain));
        var made = Seal(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain), Segment), plain);
        var places = Enumerable.Range(0, SealHeader.ByteCount * 8).Concat(Enumerable.Range(0, 400).Select(i => (SealHeader.ByteCount * 8) + (i * 83 % ((made.Length - SealHeader.ByteCount) * 8))));
        foreach (var bit in places)
        {
            var changed = (byte[])made.Clone();
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<BrokenSealException>(() => ReadAll(changed, key));
        }
    }

    [Fact]
    public void A_file_cut_at_any_place_or_lengthened_does_not_open_as_a_whole()
    {
        var plain = Plain((2 * Segment) + 100);
        using var key = Model.Content(Sha256Digest.Of(plain));
        var made = Seal(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain), Segment), plain);
        for (var length = 0; length < made.Length; length += length < 200 ? 1 : 41)
            Assert.Throws<BrokenSealException>(() => ReadAll(made[..length], key));
        foreach (var segments in new[] { 1, 2 }) // at the very end of a segment
            Assert.Throws<BrokenSealException>(() => ReadAll(made[..(int)SealHeader.SegmentAt(segments, Segment)], key));
        Assert.Throws<BrokenSealException>(() => ReadAll([.. made, 0], key));
        Assert.Throws<BrokenSealException>(() => ReadAll([.. made, .. new byte[SealHeader.TagBytes + 1]], key));
    }

    [Fact]
    public void A_download_that_ends_early_gives_whole_segments_and_then_the_rest()
    {
        var plain = Plain((3 * Segment) + 5);
        using var key = Model.Content(Sha256Digest.Of(plain));
        var made = Seal(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain), Segment), plain);
        var first = Open(key, made[..(int)(SealHeader.SegmentAt(2, Segment) + 77)], plain.Length, 0);
        Assert.Equal(2 * Segment, first.Length);
        byte[] both = [.. first, .. Open(key, made, plain.Length, first.Length)];
        Assert.Equal(plain, both);
    }

    [Fact]
    public void Segments_in_another_order_twice_or_of_another_file_do_not_open()
    {
        var (plain, other) = (Plain(3 * Segment), Plain((3 * Segment) + 1)[1..]);
        using var key = Model.Content(Sha256Digest.Of(plain));
        using var otherKey = Model.Content(Sha256Digest.Of(other));
        var made = Seal(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain), Segment), plain);
        byte[] Part(byte[] file, int index) => file[(int)SealHeader.SegmentAt(index, Segment)..(int)SealHeader.SegmentAt(index + 1, Segment)];
        byte[] header = made[..SealHeader.ByteCount];

        Assert.Throws<BrokenSealException>(() => ReadAll([.. header, .. Part(made, 1), .. Part(made, 0), .. Part(made, 2)], key));
        Assert.Throws<BrokenSealException>(() => ReadAll([.. header, .. Part(made, 0), .. Part(made, 0), .. Part(made, 2)], key));
        Assert.Throws<BrokenSealException>(() => ReadAll([.. header, .. Part(made, 2)], key));
        var foreign = Seal(otherKey, SealHeader.OfBlob(otherKey.Id, Sha256Digest.Of(other), Segment), other);
        Assert.Throws<BrokenSealException>(() => ReadAll([.. header, .. Part(made, 0), .. Part(foreign, 1), .. Part(made, 2)], key));
        Assert.Throws<BrokenSealException>(() => ReadAll(foreign, key));

        // Even under one key: the same number in a file with another header is another segment.
        var wrong = Seal(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of(other), Segment), other);
        Assert.Throws<BrokenSealException>(() => ReadAll([.. header, .. Part(made, 0), .. Part(wrong, 1), .. Part(made, 2)], key));
    }

    [Fact]
    public void Equal_files_of_a_model_are_sealed_equally_and_those_of_two_models_are_not()
    {
        var plain = Plain(100);
        using var other = ModelKey.Of(Sha256Digest.Of("another model"u8).ToArray());
        using var one = Model.Content(Sha256Digest.Of(plain));
        using var again = Model.Content(Sha256Digest.Of(plain));
        using var two = other.Content(Sha256Digest.Of(plain));
        byte[] SealWith(ContentKey key) => Seal(key, SealHeader.OfBlob(key.Id, Sha256Digest.Of(plain), Segment), plain);
        Assert.Equal(SealWith(one), SealWith(again));
        Assert.NotEqual(one.Id, two.Id);
        Assert.Throws<BrokenSealException>(() => ReadAll(SealWith(one), two));
    }

    [Fact]
    public void A_patch_is_read_only_by_who_may_read_both_files()
    {
        var (from, to) = (Sha256Digest.Of("old"u8), Sha256Digest.Of("new"u8));
        using var fromKey = Model.Content(from);
        using var toKey = Model.Content(to);
        using var both = toKey.OfPatch([(from, fromKey)], to);
        using var newOnly = toKey.OfPatch([(from, null)], to);
        using var turned = fromKey.OfPatch([(to, toKey)], from);
        using var alone = toKey.OfPatch([], to);
        using var twice = toKey.OfPatch([(from, fromKey), (to, null)], to);
        Assert.Equal(5, new[] { both.Id, newOnly.Id, turned.Id, alone.Id, twice.Id }.Distinct().Count());

        var header = SealHeader.OfPatch(both.Id, [from], to, new byte[16], Segment);
        Assert.NotEqual(Seal(both, header, Plain(9)), Seal(both, SealHeader.OfPatch(both.Id, [from], to, [1, .. new byte[15]], Segment), Plain(9)));
        Assert.Throws<BrokenSealException>(() => new SegmentCipher(newOnly, header));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("correct horse")]
    public void A_models_key_is_the_same_after_its_file(string? password)
    {
        var text = Model.Export(password);
        using var read = ModelKey.Import(text, password);
        using var before = Model.Content(default);
        using var after = read.Content(default);
        Assert.Equal(before.Id, after.Id);
        Assert.Equal(password is null, text.Contains(System.Buffers.Text.Base64Url.EncodeToString(Sha256Digest.Of("model"u8).ToArray()), StringComparison.Ordinal));
        if (password is not null)
            Assert.ThrowsAny<System.Security.Cryptography.CryptographicException>(() => ModelKey.Import(text, "wrong"));
        Assert.ThrowsAny<System.Security.Cryptography.CryptographicException>(() => ModelKey.Import(text[..^3], password));
    }

    static byte[] Plain(int length)
    {
        var plain = new byte[length];
        for (var i = 0; i < length; i++)
            plain[i] = (byte)((i * 31) + (i >> 8));
        return plain;
    }

    internal static byte[] Seal(ContentKey key, SealHeader header, byte[] plain)
    {
        using var stream = new SealingStream(new Dribble(new MemoryStream(plain), 1000), new(key, header));
        var made = new MemoryStream();
        stream.CopyTo(made);
        return made.ToArray();
    }

    static byte[] Written(ContentKey key, SealHeader header, byte[] plain)
    {
        var made = new MemoryStream();
        using var cipher = new SegmentCipher(key, header);
        using var writer = new SealingWriteStream(made, cipher);
        for (var at = 0; at < plain.Length; at += 1000)
            writer.Write(plain.AsSpan(at, Math.Min(1000, plain.Length - at)));
        writer.Complete();
        return made.ToArray();
    }

    static byte[] Open(ContentKey key, byte[] made, long plainLength, int from)
    {
        var header = SealHeader.Read(made);
        var rest = made[Math.Min(made.Length, (int)SealHeader.SegmentAt(from / header.Segment, header.Segment))..];
        using var stream = new OpeningStream(new MemoryStream(rest), new(key, header), plainLength, from);
        var plain = new MemoryStream();
        stream.CopyTo(plain);
        return plain.ToArray();
    }

    static void ReadAll(byte[] made, ContentKey key)
    {
        using var source = new SealedSource(new MemorySource(made), key);
        source.Read(0, new byte[source.Length]);
    }

    /// <summary>Gives a few bytes at a time.</summary>
    internal sealed class Dribble(Stream inner, int most) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, Math.Min(count, most));

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }
    }
}
