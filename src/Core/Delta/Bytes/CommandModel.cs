namespace Coppice.Delta.Bytes;

/// <summary>Codes the steps of a frame with statistics that adapt.</summary>
sealed class CommandModel
{
    const int Limit = 30;
    const int Near = 1 << 12;

    readonly uint[] _relations = new uint[3 * 8];
    readonly uint[] _aligned = new uint[4];
    readonly AdaptiveNumber _source = new();
    readonly AdaptiveNumber _shift = new();
    readonly AdaptiveNumber _near = new();
    readonly AdaptiveNumber _distance = new();
    readonly AdaptiveNumber[] _copy = [new(), new()];
    readonly AdaptiveNumber[] _literals = [new(), new()];
    long[] _shifts = [];
    Relations _recent;
    int _lastAligned;
    int _state;

    /// <summary>Begins a frame.</summary>
    /// <param name="olds">Old files; one more source is the new file itself.</param>
    public void Reset(int olds)
    {
        if (_shifts.Length != olds + 1)
            _shifts = new long[olds + 1];
        _relations.AsSpan().Fill(AdaptiveBits.Fresh);
        _aligned.AsSpan().Fill(AdaptiveBits.Fresh);
        foreach (var number in (AdaptiveNumber[])[_source, _shift, _near, _distance, .. _copy, .. _literals])
            number.Reset();
        _shifts.AsSpan().Clear();
        _recent = Relations.Start;
        _lastAligned = _state = 0;
    }

    /// <summary>Codes one step.</summary>
    /// <param name="coder">Writes, reads or measures.</param>
    /// <param name="command">The step; ignored when reading.</param>
    /// <param name="position">Where in the new file the step begins.</param>
    /// <returns>The step. What was read is not checked against any length; counts are cut to 2^31 - 1.</returns>
    public Command Code<TCoder>(ref TCoder coder, Command command, long position) where TCoder : struct, IBitCoder, allows ref struct
    {
        var own = _shifts.Length - 1;
        var source = command.Source;
        var shift = command.From - position;
        var index = _recent.Find(source, shift);
        var node = 1;
        // 0: the last relation, 10: the one before, 110, 1110; 11111: near the last; 11110: a new one.
        var chosen = 0;
        for (; chosen < Relations.Count; chosen++)
        {
            if (AdaptiveBits.Code(ref coder, ref _relations[_state * 8 + node], index > chosen ? 1 : 0, Limit) == 0)
                break;
            node++;
        }
        if (chosen < Relations.Count)
        {
            (source, shift) = _recent[chosen];
        }
        else if (AdaptiveBits.Code(ref coder, ref _relations[_state * 8 + node], source == _recent[0].Source && Math.Abs(shift - _recent[0].Shift) < Near ? 1 : 0, Limit) != 0)
        {
            source = _recent[0].Source;
            var moved = shift - _recent[0].Shift;
            var coded = _near.Code(ref coder, moved >= 0 ? moved << 1 : (-1 - moved) << 1 | 1);
            shift = unchecked(_recent[0].Shift + ((coded & 1) == 0 ? coded >> 1 : -1 - (coded >> 1)));
        }
        else
        {
            var away = _source.Code(ref coder, own - source);
            if (away > own)
                throw new MalformedPatchException(0, $"byte frame: source {own - away} is named where there are {own} old files; apply the patch to the files it was made from.");
            source = own - (int)away;
            if (source == own)
            {
                shift = -1 - _distance.Code(ref coder, -1 - shift);
            }
            else
            {
                var moved = shift - _shifts[source];
                var coded = _shift.Code(ref coder, moved >= 0 ? moved << 1 : (-1 - moved) << 1 | 1);
                shift = unchecked(_shifts[source] + ((coded & 1) == 0 ? coded >> 1 : -1 - (coded >> 1)));
            }
        }
        _recent.Use(chosen, source, shift);
        _shifts[source] = shift;

        var kind = chosen == 0 ? 0 : 1;
        var copy = (int)Math.Min(int.MaxValue, _copy[kind].Code(ref coder, command.Copy));
        var literals = (int)Math.Min(int.MaxValue, _literals[kind].Code(ref coder, command.Literals));
        var aligned = 0;
        if (literals > 0)
            _lastAligned = aligned = AdaptiveBits.Code(ref coder, ref _aligned[_lastAligned + 2 * kind], command.Aligned ? 1 : 0, Limit);
        _state = literals == 0 ? 1 : 2;
        return new(source, unchecked(position + shift), copy, literals, aligned != 0);
    }
}
