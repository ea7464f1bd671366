using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Bytes;

/// <summary>Weighs the log odds of several predictors into one, and learns the weights from what came: logistic mixing.</summary>
/// <remarks>
/// Integers only, and additions that wrap, so the order in which lanes are summed changes nothing: every processor gets the same odds.
/// Inputs are log odds in 1/256, cut to ±2047; weights are in 1/65536, cut to ±2^19, so no product leaves 32 bits.
/// </remarks>
sealed class Mixer
{
    public const int Lanes = 8;

    readonly int _sets;
    int _width;
    int[] _weights = [];
    int _set;
    int _odds;
    int _uses;

    /// <param name="inputs">Predictors; padded to whole vectors.</param>
    /// <param name="sets">How many sets of weights there are to choose from.</param>
    public Mixer(int inputs, int sets)
    {
        _sets = sets;
        Reset(inputs);
    }

    public int Width => _width;

    /// <summary>Begins afresh, perhaps with another number of inputs.</summary>
    public void Reset(int inputs)
    {
        _width = (inputs + Lanes - 1) / Lanes * Lanes;
        if (_weights.Length < _width * _sets)
            _weights = new int[_width * _sets];
        _weights.AsSpan(0, _width * _sets).Fill(Math.Min(65536, 65536 * 5 / 4 / Math.Max(1, inputs) + 6000));
        _uses = 0;
    }

    /// <summary>The mixed log odds, in 1/256, cut to ±<see cref="Logistic.Limit"/>.</summary>
    /// <param name="inputs">As many as <see cref="Width"/>; the padding is zero.</param>
    /// <param name="set">Which weights to use.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Mix(int[] inputs, int set)
    {
        _set = set * _width;
        ref var input = ref MemoryMarshal.GetArrayDataReference(inputs);
        ref var weight = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_weights), _set); // sets are below the number of sets
        var sum = Vector256<int>.Zero;
        for (var i = 0; i < _width; i += Lanes)
            sum += Vector256.ShiftRightArithmetic(Vector256.LoadUnsafe(ref input, (nuint)i) * Vector256.LoadUnsafe(ref weight, (nuint)i), 8);
        _odds = Math.Clamp(Vector256.Sum(sum) >> 8, -Logistic.Limit, Logistic.Limit);
        return _odds;
    }

    /// <summary>Moves the weights of the last set used towards those that would have predicted the bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Learn(int[] inputs, int bit)
    {
        // The error is in 1/4096. Weights move fast in a frame's first bits and more slowly with every doubling; rates found by trial.
        var error = ((bit << 16) - Logistic.SquashInside(_odds)) >> 4;
        var rate = Math.Max(2, _uses < 4096 ? 22 - (_uses >> 10) : 19 - Interval.Length((uint)_uses >> 12));
        if (_uses < int.MaxValue)
            _uses++;
        var step = Vector256.Create(error * rate);
        var round = Vector256.Create(1 << 13);
        var most = Vector256.Create(1 << 19);
        ref var input = ref MemoryMarshal.GetArrayDataReference(inputs);
        ref var weight = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_weights), _set);
        for (var i = 0; i < _width; i += Lanes)
        {
            var moved = Vector256.LoadUnsafe(ref weight, (nuint)i)
                + Vector256.ShiftRightArithmetic(Vector256.LoadUnsafe(ref input, (nuint)i) * step + round, 14);
            Vector256.Min(Vector256.Max(moved, -most), most).StoreUnsafe(ref weight, (nuint)i);
        }
    }
}

/// <summary>Corrects a prediction by what came of the same prediction before, per context.</summary>
sealed class Correction
{
    const int Steps = 25; // log odds from -3072 to 3072 in steps of 256
    readonly ushort[] _table;
    int _index;
    int _weight;

    public Correction(int contexts)
    {
        _table = new ushort[contexts * Steps];
        Reset();
    }

    public void Reset()
    {
        var table = _table.AsSpan();
        for (var i = 0; i < Steps; i++)
            table[i] = (ushort)Logistic.Squash((i - Steps / 2) * 256);
        for (var filled = Steps; filled < table.Length;)
        {
            var count = Math.Min(filled, table.Length - filled);
            table[..count].CopyTo(table[filled..]);
            filled += count;
        }
    }

    /// <summary>The corrected probability of a 1 in 1/65536.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Refine(int odds, int context)
    {
        var place = odds + (Steps / 2) * 256;
        var low = Math.Min(place >> 8, Steps - 2);
        _weight = place - (low << 8);
        _index = context * Steps + low;
        return (_table[_index] * (256 - _weight) + _table[_index + 1] * _weight) >> 8;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Learn(int bit)
    {
        ref var slot = ref _table[_weight < 128 ? _index : _index + 1];
        slot = (ushort)(slot + (((bit << 16) - bit - slot) >> 6));
    }
}
