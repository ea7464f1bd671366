using System.Diagnostics.CodeAnalysis;
using Coppice.Formats;

namespace Coppice.Delta.Bytes;

/// <summary>Makes ranges of a new file from old files, the new file's earlier bytes and frames.</summary>
/// <remarks>
/// Memory is fixed whatever a payload says: tables of at most 8 MiB, kept from frame to frame, and small buffers.
/// A frame depends on the old files and on new bytes before it, on no other frame's state; so decoding can stop and go on at any frame.
/// Not for use by two threads at once.
/// </remarks>
public sealed class ByteDecoder
{
    /// <summary>The most bytes a frame may make: 1 MiB, so that the smallest device can gather them.</summary>
    public const int LongestFrame = 1 << 20;

    /// <summary>The most old files a frame may take bytes from.</summary>
    public const int MostOlds = 255;

    readonly SourceWindow _window;
    IByteSource _made;
    StrongFrame? _strong;
    FastFrame? _fast;

    /// <param name="olds">The old files, in the encoder's order.</param>
    /// <param name="made">The new file so far. Every byte before a frame can be read when the frame is decoded.</param>
    /// <exception cref="ArgumentException">There are too many old files.</exception>
    public ByteDecoder(IReadOnlyList<IByteSource> olds, IByteSource made)
    {
        _window = new SourceWindow(olds, made);
        Use(olds, made);
    }

    /// <summary>Takes other files from now on, with the tables that are there.</summary>
    /// <param name="olds">The old files, in the encoder's order.</param>
    /// <param name="made">The new file so far.</param>
    /// <exception cref="ArgumentException">There are too many old files.</exception>
    [MemberNotNull(nameof(_made))]
    public void Use(IReadOnlyList<IByteSource> olds, IByteSource made)
    {
        if (olds.Count > MostOlds)
            throw new ArgumentException($"{olds.Count} old files are given, and {MostOlds} is the most.", nameof(olds));
        _made = made;
        _window.Use(olds, made);
    }

    /// <summary>Makes the bytes of a frame.</summary>
    /// <param name="payload">The frame as <see cref="ByteEncoder.Encode"/> gave it.</param>
    /// <param name="start">Where the frame begins in the new file.</param>
    /// <param name="output">The frame's length, 1 to <see cref="LongestFrame"/> bytes; overwritten, also when the payload turns out malformed.</param>
    /// <exception cref="MalformedPatchException">The payload is not one of a frame of this length against these files.</exception>
    /// <exception cref="ArgumentException">The output has no or too many bytes, or the bytes before the frame are not there.</exception>
    public void Decode(ReadOnlySpan<byte> payload, long start, Span<byte> output)
    {
        if (output.Length is 0 or > LongestFrame)
            throw new ArgumentException($"A frame makes 1 to {LongestFrame} bytes, not {output.Length}.", nameof(output));
        if (start < 0 || start > _made.Length)
            throw new ArgumentException($"The frame begins at byte {start}, and {_made.Length} bytes of the new file are there; decode in order.", nameof(start));
        if (payload.IsEmpty)
            throw new MalformedPatchException(0, $"byte frame: the frame is empty, and {output.Length} bytes are wanted; fetch the patch again.");

        _window.Reset();
        switch ((FrameKind)(payload[0] & 3))
        {
            case FrameKind.Stored when payload[0] == 0 && payload.Length == output.Length + 1:
                payload[1..].CopyTo(output);
                break;
            case FrameKind.Strong:
                var header = StrongHeader.Read(payload, out var length);
                var coder = new ArithmeticReader(payload[length..], length);
                _strong ??= new StrongFrame(_window);
                _strong.Begin(header);
                _strong.Decode(ref coder, output, start);
                coder.Finish();
                break;
            case FrameKind.Fast:
                _fast ??= new FastFrame(_window);
                _fast.Decode(payload, output, start);
                break;
            default:
                throw new MalformedPatchException(0, $"byte frame: a first byte of {payload[0]} names no kind of frame that makes {output.Length} of {payload.Length} bytes; update this program or fetch the patch again.");
        }
    }
}
