using Coppice.Delta.Bytes;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta.Bytes;

/// <summary>Files beyond what is held whole: old blocks are found by sampled strings, and memory does not follow the files.</summary>
public sealed class LargeFileTests
{
    [Fact]
    public void Moved_blocks_of_large_files_are_found()
    {
        var bytes = new byte[36 << 20];
        new Random(9).NextBytes(bytes);
        var old = new MemorySource(bytes);
        var made = new MemorySource((byte[])[.. bytes.AsSpan(31 << 20, 600_000), .. bytes.AsSpan((7 << 20) + 12_345, 600_000), .. bytes.AsSpan(1_200_000, 300_000)]);
        var encoder = new ByteEncoder([old], made, new() { Effort = ByteEffort.Fast });
        var decoder = new ByteDecoder([old], made);
        var output = new byte[500_000];
        var sent = 0;
        for (var start = 0; start < made.Length; start += output.Length)
        {
            var frame = encoder.Encode(start, output.Length);
            sent += frame.Payload.Length;
            decoder.Decode(frame.Payload.AsSpan(), start, output);
            Assert.True(made.Bytes.Span.Slice(start, output.Length).SequenceEqual(output), $"the frame at byte {start} came back changed");
        }
        Assert.InRange(sent, 1, 3 * 120);
    }
}
