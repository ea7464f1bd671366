using System.Runtime.InteropServices;
using Coppice.Formats;

namespace Coppice.Delta.Bytes;

/// <summary>Chooses which parts of the old and new files a frame is matched against, and holds them.</summary>
/// <remarks>
/// Up to <see cref="WholeLimit"/> everything is held once, for all frames. Beyond, each frame gets its own text: the old blocks in which most of its
/// strings are found, the old bytes at the frame's own offset, and the new bytes before it; together at most 16 MiB and the frame.
/// </remarks>
sealed class MatchWindows
{
    /// <summary>Bytes of all files together up to which they are held whole: 5 bytes of memory each, 160 MiB.</summary>
    public const long WholeLimit = 32 << 20;

    const int BlockBits = 18;
    const int MostBlocks = 40;
    const int NewBefore = 2 << 20;
    const int Margin = 1 << 16;

    readonly IReadOnlyList<IByteSource> _olds;
    readonly IByteSource _made;
    readonly long _wholeLimit;
    MatchText? _whole;
    AnchorIndex? _anchors;

    public MatchWindows(IReadOnlyList<IByteSource> olds, IByteSource made, long wholeLimit = WholeLimit)
    {
        _olds = olds;
        _made = made;
        _wholeLimit = wholeLimit;
    }

    /// <summary>A text whose last part holds the frame; everything before the frame is indexed.</summary>
    /// <param name="start">Where the frame begins in the new file.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="place">Where the frame begins in the text.</param>
    public MatchText For(long start, int length, out int place)
    {
        var text = _olds.Sum(old => old.Length) + _made.Length <= _wholeLimit ? _whole ??= Whole() : Windows(start, length);
        var part = text.Parts[^1];
        place = part.Start + (int)(start - part.Offset);
        text.IndexTo(place);
        return text;
    }

    MatchText Whole()
    {
        var parts = new List<TextPart>();
        for (var source = 0; source < _olds.Count; source++)
            Add(parts, source, 0, (int)_olds[source].Length);
        Add(parts, _olds.Count, 0, (int)_made.Length);
        return new MatchText(parts, Read);
    }

    MatchText Windows(long start, int length)
    {
        var frame = new byte[length];
        _made.Read(start, frame);
        var votes = new Dictionary<(int Source, long Block), int>();
        void Vote(int source, long offset, int weight)
        {
            if (source < _olds.Count && offset >= 0 && offset < _olds[source].Length)
                CollectionsMarshal.GetValueRefOrAddDefault(votes, (source, offset >> BlockBits), out _) += weight;
        }
        _anchors ??= new AnchorIndex(_olds);
        _anchors.Find(frame, (_, source, offset) => Vote(source, offset, 2));
        for (var offset = start; offset < start + length + Margin; offset += Margin)
            Vote(0, offset, 1);

        var chosen = votes.OrderByDescending(vote => vote.Value).ThenBy(vote => vote.Key).Take(MostBlocks).Select(vote => vote.Key).ToHashSet();
        var parts = new List<TextPart>();
        foreach (var (source, block) in chosen.Order())
        {
            if (chosen.Contains((source, block - 1)))
                continue; // begun before
            var last = block;
            while (chosen.Contains((source, last + 1)))
                last++;
            var from = Math.Max(0, (block << BlockBits) - Margin);
            if (parts.Count > 0 && parts[^1] is var before && before.Source == source)
                from = Math.Max(from, before.Offset + before.Length);
            Add(parts, source, from, (int)(Math.Min(_olds[source].Length, ((last + 1) << BlockBits) + Margin) - from));
        }
        var newFrom = Math.Max(0, start - NewBefore);
        Add(parts, _olds.Count, newFrom, (int)(start + length - newFrom));
        return new MatchText(parts, Read);
    }

    static void Add(List<TextPart> parts, int source, long offset, int length) =>
        parts.Add(new(source, offset, parts.Count == 0 ? 0 : parts[^1].End, length));

    void Read(TextPart part, Span<byte> into) => (part.Source < _olds.Count ? _olds[part.Source] : _made).Read(part.Offset, into);
}
