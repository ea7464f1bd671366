using Coppice.Formats;

namespace Coppice.Core.Tests.Formats;

public sealed class ByteSourceTests
{
    static readonly byte[] Numbers = [.. Enumerable.Range(0, 300_000).Select(i => (byte)(i * 31 ^ i >> 7))];

    [Fact]
    public void All_sources_give_the_same_bytes_anywhere()
    {
        var random = new Random(5);
        IByteSource[] sources =
        [
            new MemorySource(Numbers), new StreamSource(new MemoryStream(Numbers)),
            new SliceSource(new StreamSource(new MemoryStream([1, 2, 3, .. Numbers, 4])), 3, Numbers.Length), SliceSource.Of(new MemorySource((byte[])[9, .. Numbers]), 1, Numbers.Length),
        ];
        for (var i = 0; i < 2000; i++)
        {
            var offset = random.Next(Numbers.Length);
            var into = new byte[Math.Min(random.Next(random.Next(2) == 0 ? 50 : 100_000), Numbers.Length - offset)];
            foreach (var source in sources)
            {
                Array.Clear(into);
                source.Read(offset, into);
                Assert.True(into.AsSpan().SequenceEqual(Numbers.AsSpan(offset, into.Length)));
            }
        }
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(300_000, 1)]
    [InlineData(299_999, 2)]
    [InlineData(long.MaxValue, 1)]
    public void A_range_outside_is_the_callers_fault(long offset, int count)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new MemorySource(Numbers).Read(offset, new byte[count]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StreamSource(new MemoryStream(Numbers)).Read(offset, new byte[count]));
    }

    [Fact]
    public void A_stream_that_shrinks_ends_in_an_exception_not_in_old_bytes()
    {
        var stream = new MemoryStream();
        stream.Write(Numbers);
        var source = new StreamSource(stream);
        stream.SetLength(100);

        Assert.Throws<EndOfStreamException>(() => source.Read(1000, new byte[10]));
    }
}
