using System.Runtime.CompilerServices;

namespace Coppice.Delta.Bytes;

/// <summary>Predicts whether a new byte is the old byte at its place, from where the last differences were.</summary>
sealed class Agreement
{
    const int Contexts = 7;
    const int Bits = 14;
    const int Far = 4095;

    readonly uint[] _slots = new uint[Contexts << Bits];
    readonly int[] _chosen = new int[Contexts];
    readonly Mixer _mixer = new(Contexts + 1, 64);
    readonly int[] _inputs;
    int _run;
    int _gap;
    int _gapBefore;
    uint _history;

    public Agreement()
    {
        _inputs = new int[_mixer.Width];
        Reset();
    }

    public void Reset()
    {
        _slots.AsSpan().Fill(AdaptiveBits.Fresh);
        _mixer.Reset(Contexts + 1);
        _inputs.AsSpan().Clear();
        _run = _gap = _gapBefore = 0;
        _history = 0;
    }

    /// <summary>Takes note of bytes that were copied, and so agreed.</summary>
    public void Copied(int count)
    {
        _run = (int)Math.Min(Far, (long)_run + count);
        _history = count >= 32 ? uint.MaxValue : (_history << count) | ((1u << count) - 1);
    }

    /// <param name="coder">Writes, reads or measures.</param>
    /// <param name="agrees">1 when the bytes are the same; ignored when reading.</param>
    /// <param name="old">The old byte in bits 0 to 7, its neighbours above.</param>
    /// <param name="last">The new byte before.</param>
    /// <param name="phase">The place in the new file, modulo 8.</param>
    /// <param name="inRun">Bytes since the last copy.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Code<TCoder>(ref TCoder coder, int agrees, int old, int last, int phase, int inRun)
        where TCoder : struct, IBitCoder, allows ref struct
    {
        var start = Math.Min(inRun, 3);
        Choose(0, (uint)(Math.Min(_run, Far) | start << 12));
        Choose(1, Hash((uint)_run, (uint)_gap));
        Choose(2, _history & 0x3FFF);
        Choose(3, (uint)(old & 255) | (_history & 63) << 8);
        Choose(4, Hash((uint)old, (uint)last));
        Choose(5, Hash((uint)(phase | start << 3), (uint)Math.Min(_run, 127)));
        Choose(6, Hash((uint)(_run | phase << 13), (uint)(_gap << 13 | _gapBefore)));
        _inputs[Contexts] = 256;

        var set = Math.Min(Interval.Length((uint)_run), 12) | start << 4;
        var odds = _mixer.Mix(_inputs, set);
        agrees = coder.Code(agrees, Logistic.Squash(odds));
        _mixer.Learn(_inputs, agrees);
        foreach (var slot in _chosen)
            AdaptiveBits.Update(ref _slots[slot], agrees, 1023);

        _history = (_history << 1) | (uint)agrees;
        if (agrees != 0)
        {
            _run = Math.Min(Far, _run + 1);
        }
        else
        {
            _gapBefore = _gap;
            _gap = _run;
            _run = 0;
        }
        return agrees;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    void Choose(int context, uint index)
    {
        var slot = context << Bits | (int)(index & ((1 << Bits) - 1));
        _chosen[context] = slot;
        _inputs[context] = Logistic.Inputs[(int)(_slots[slot] >> 20)];
    }

    static uint Hash(uint a, uint b) => (a * 0x9E3779B1u + b * 0x85EBCA6Bu + 0x27D4EB2Fu) * 0x2C1B3C6Du >> (32 - Bits);
}
