using System.Runtime.InteropServices;
using Coppice.Formats;

namespace Coppice.Delta.Bytes;

/// <summary>Codes ranges of a new file against old files and against the new file's earlier bytes.</summary>
public sealed class ByteEncoder
{
    // Shares of the guessed cost of a literal, found by trial: steps cost more than a plan can know.
    const double FirstShare = 0.6;
    static readonly (double Share, bool Many)[] Trials = [(0.55, false), (0.55, true), (1, true)];
    const int AllPlansTo = 1 << 16;
    const int ReplanFrom = 4096;

    /// <summary>Samples say too much, about so far: they know less than the whole frame.</summary>
    const double Doubt = 1.04;

    readonly ByteEncoderOptions _options;
    readonly int _own;
    readonly IByteSource _made;
    readonly MatchWindows _windows;
    readonly StrongEncoder _strong;
    readonly FastEncoder _fast;
    MatchText? _planned;
    Planner? _planner;

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
        _made = made;
        _windows = new MatchWindows(olds, made);
        var window = new SourceWindow(olds, made);
        _strong = new StrongEncoder(new StrongFrame(window));
        _fast = new FastEncoder(olds.Count, window);
    }

    /// <summary>Codes the bytes of the new file from <paramref name="start"/> on.</summary>
    /// <param name="start">The first byte. Frames may skip bytes and come in any order; in rising order matches are found best.</param>
    /// <param name="length">1 to <see cref="ByteDecoder.LongestFrame"/>.</param>
    /// <param name="wanted">A payload that will clearly be longer than this is of no use: the search for a smaller one may end early.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty, too long or not inside the new file.</exception>
    public ByteFrame Encode(long start, int length, long wanted = long.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, ByteDecoder.LongestFrame);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, _made.Length - length);

        var text = _windows.For(start, length, out var place);
        var frame = text.Slice(place, length);
        if (_planned != text)
            (_planned, _planner) = (text, new Planner(text, _own));
        var planner = _planner!;
        var best = new ByteFrame([(byte)FrameKind.Stored, .. frame], new(length, length + 1, 0, 0, 0, length, 0));
        if (_options.Effort != ByteEffort.Small && Noise.Is(text, place, length))
            return best;
        if (_options.Effort != ByteEffort.Small)
        {
            var plan = planner.Plan(place, length, PlanCosts.Fast(frame));
            var payload = _fast.Encode(CollectionsMarshal.AsSpan(plan), frame, start);
            if (payload.Length < best.Payload.Length)
                best = new(ImmutableCollectionsMarshal.AsImmutableArray(payload), Count(plan, length, payload.Length, 0));
        }
        return _options.Effort == ByteEffort.Fast ? best : Strong(planner, place, frame, start, best, wanted);
    }

    /// <summary>The strong coding, where it is worth its time; else what there is.</summary>
    ByteFrame Strong(Planner planner, int place, Span<byte> frame, long start, ByteFrame best, long wanted)
    {
        var first = planner.Plan(place, frame.Length, PlanCosts.Strong(frame, FirstShare, true));
        List<List<Command>> plans = [first];
        var coded = Coded(first);
        if (coded > ReplanFrom)
        {
            // What literals cost is known better now. Which share of it makes the best plan is not, and samples do not tell: models learn.
            var share = _strong.LiteralShare(frame, start, PlanCosts.Strong(frame, 1, true));
            plans.Clear();
            foreach (var (part, many) in coded > AllPlansTo || coded > frame.Length - frame.Length / 16 ? Trials[..1] : Trials) // where next to nothing is copied, plans are alike
                plans.Add(planner.Plan(place, frame.Length, PlanCosts.Strong(frame, part * share, many)));
        }
        var (header, estimate) = _strong.Choose(plans[0], frame, start);

        if (estimate > wanted * Doubt)
            return best;

        var most = best.Payload.Length - 1;
        if (_options.Effort == ByteEffort.Balanced && Coded(plans[0]) > _options.StrongBytes && best.Payload[0] == (byte)FrameKind.Fast)
        {
            most = (int)(best.Payload.Length * (1 - _options.StrongGain));
            if (estimate > most * Doubt)
                return best;
        }
        foreach (var plan in plans)
        {
            var payload = _strong.Encode(plan, frame, start, header, out var agreeing);
            if (payload.Length > most)
                continue;
            best = new(ImmutableCollectionsMarshal.AsImmutableArray(payload), Count(plan, frame.Length, payload.Length, agreeing));
            most = payload.Length - 1;
        }
        return best;
    }

    static long Coded(List<Command> plan) => plan.Sum(command => (long)command.Literals);

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
