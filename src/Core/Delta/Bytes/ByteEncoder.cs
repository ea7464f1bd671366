using System.Runtime.InteropServices;
using Coppice.Formats;

namespace Coppice.Delta.Bytes;

/// <summary>Codes ranges of a new file against old files and against the new file's earlier bytes.</summary>
public sealed class ByteEncoder
{
    readonly ByteEncoderOptions _options;
    readonly int _own;
    readonly MatchText _text;
    readonly Planner _planner;
    readonly StrongEncoder _strong;

    /// <param name="olds">The old files, the most alike first; may be empty, at most 255.</param>
    /// <param name="made">The whole new file.</param>
    /// <param name="options">What may be spent; by default balanced.</param>
    /// <exception cref="ArgumentException">There are too many old files.</exception>
    public ByteEncoder(IReadOnlyList<IByteSource> olds, IByteSource made, ByteEncoderOptions? options = null)
    {
        if (olds.Count > ByteDecoder.MostOlds)
            throw new ArgumentException($"{olds.Count} old files are given, and {ByteDecoder.MostOlds} is the most; leave out the least alike.", nameof(olds));
        _options = options ?? new();
        _own = olds.Count;
        var parts = new List<TextPart>();
        var start = 0;
        for (var i = 0; i <= olds.Count; i++)
        {
            var length = checked((int)(i < olds.Count ? olds[i] : made).Length);
            parts.Add(new(i, 0, start, length));
            start += length;
        }
        _text = new MatchText(parts, (part, into) => (part.Source < olds.Count ? olds[part.Source] : made).Read(part.Offset, into), 6);
        _planner = new Planner(_text, olds.Count);
        _strong = new StrongEncoder(new StrongFrame(olds.Count, new SourceWindow(olds, made)));
        _text.IndexTo(parts[^1].Start);
    }

    /// <summary>Codes the bytes of the new file from <paramref name="start"/> on.</summary>
    /// <param name="start">The first byte. Frames may skip bytes and come in any order; in rising order matches are found best.</param>
    /// <param name="length">1 to <see cref="ByteDecoder.LongestFrame"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty, too long or not inside the new file.</exception>
    public ByteFrame Encode(long start, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, ByteDecoder.LongestFrame);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start + length, _text.Parts[^1].Length);

        var place = (int)(_text.Parts[^1].Start + start);
        _text.IndexTo(place);
        var frame = _text.Slice(place, length);
        var plan = _planner.Plan(place, length, PlanCosts.Strong(frame));
        _ = _options;
        var payload = _strong.Encode(plan, frame, start, out var agreeing);
        if (payload.Length > length)
            return new([(byte)FrameKind.Stored, .. frame], new(length, length + 1, 0, 0, 0, length, 0));
        return new(ImmutableCollectionsMarshal.AsImmutableArray(payload), Count(plan, length, payload.Length, agreeing));
    }

    ByteStatistics Count(List<Command> plan, int length, int payload, long agreeing)
    {
        long old = 0, own = 0, literals = 0;
        foreach (var command in plan)
        {
            literals += command.Literals;
            if (command.Source == _own)
                own += command.Copy;
            else
                old += command.Copy;
        }
        return new(length, payload, old, own, agreeing, literals - agreeing, plan.Count);
    }
}
