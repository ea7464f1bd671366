using static Coppice.Cli.Quickstart.BearingSimulation;
using static Coppice.Cli.Quickstart.FaultClassifierKernels;

namespace Coppice.Cli.Quickstart;

/// <summary>What the classifier looks at: the spectrum of the envelope, the slow vibration, and three levels. None depends on the sensor's gain.</summary>
/// <remarks>
/// The envelope is the size of the signal after a band-pass to the resonance as a pair of filters in quadrature (envelope analysis, Randall
/// and Antoni 2011, section 4). Every step is an ONNX operator on constants that this type holds, so the graph computes the same numbers.
/// </remarks>
public static class FaultClassifierFeatures
{
    /// <summary>Taps and stride of the band-pass; it gives <see cref="EnvelopeLength"/> values at 1600 Hz.</summary>
    public const int BandTaps = 32, BandStride = 4;

    /// <summary>Taps and stride of the low-pass; it gives <see cref="SlowLength"/> values at 800 Hz.</summary>
    public const int SlowTaps = 64, SlowStride = 8;

    /// <summary>Values of the envelope, and of the slow vibration.</summary>
    public const int EnvelopeLength = (WindowLength - BandTaps) / BandStride + 1, SlowLength = (WindowLength - SlowTaps) / SlowStride + 1;

    /// <summary>Frequencies of the envelope's spectrum: 6.25 Hz apart, 12.5 to 456.25 Hz.</summary>
    public const int EnvelopeBins = 72;

    /// <summary>Frequencies of the slow vibration's spectrum: 6.25 Hz apart, 12.5 to 106.25 Hz.</summary>
    public const int SlowBins = 16;

    /// <summary>Numbers that describe a window.</summary>
    public const int Count = EnvelopeBins + SlowBins + 3;

    /// <summary>Added before a root or a division, so that silence gives numbers too; far below any sensor's noise power in g².</summary>
    public const float Silence = 1e-9f;

    /// <summary>Added before a logarithm of relative power, so that an empty bin is not minus infinity.</summary>
    public const float Floor = 1e-4f;

    const double BandHertz = 2000;
    const double SlowHertz = 120;
    const double BinHertz = 6.25;
    const int FirstBin = 2;

    /// <summary>2 × <see cref="BandTaps"/>: the band-pass in phase, then in quadrature; a Hamming window about 2000 Hz.</summary>
    public static ReadOnlySpan<float> Band => BandFilters;

    /// <summary><see cref="SlowTaps"/>: a low-pass of 120 Hz, a windowed sinc.</summary>
    public static ReadOnlySpan<float> Slow => SlowFilter;

    /// <summary><see cref="EnvelopeLength"/> × 2 <see cref="EnvelopeBins"/>: a Fourier transform under a Hann window, cosines then sines.</summary>
    public static ReadOnlySpan<float> EnvelopeTransform => EnvelopeFourier;

    /// <summary><see cref="SlowLength"/> × 2 <see cref="SlowBins"/>: the same for the slow vibration.</summary>
    public static ReadOnlySpan<float> SlowTransform => SlowFourier;

    static readonly float[] BandFilters = MakeBand();
    static readonly float[] SlowFilter = MakeSlow();
    static readonly float[] EnvelopeFourier = MakeFourier(EnvelopeLength, EnvelopeBins, (double)SampleRate / BandStride);
    static readonly float[] SlowFourier = MakeFourier(SlowLength, SlowBins, (double)SampleRate / SlowStride);

    /// <summary>The features of windows.</summary>
    /// <param name="windows">n × <see cref="WindowLength"/> samples.</param>
    /// <returns>n × <see cref="Count"/>: envelope spectrum, slow spectrum, power of the envelope's swing, its fourth power, and slow power against it.</returns>
    public static float[] Extract(ReadOnlySpan<float> windows)
    {
        const int batch = 32;
        var count = windows.Length / WindowLength;
        var features = new float[count * Count];
        var envelopes = new float[batch * EnvelopeLength];
        var slows = new float[batch * SlowLength];
        var envelopeSpectra = new float[batch * 2 * EnvelopeBins];
        var slowSpectra = new float[batch * 2 * SlowBins];
        var shifted = new float[Math.Max(BandTaps * EnvelopeLength, SlowTaps * SlowLength)];
        var filtered = new float[2 * EnvelopeLength];
        Span<float> levels = stackalloc float[batch * 3];
        Span<float> slowPowers = stackalloc float[batch];

        for (var start = 0; start < count; start += batch)
        {
            var size = Math.Min(batch, count - start);
            for (var i = 0; i < size; i++)
            {
                var window = windows.Slice((start + i) * WindowLength, WindowLength);
                var envelope = envelopes.AsSpan(i * EnvelopeLength, EnvelopeLength);
                var slow = slows.AsSpan(i * SlowLength, SlowLength);
                Convolve(window, BandFilters, BandTaps, BandStride, shifted, filtered);
                Convolve(window, SlowFilter, SlowTaps, SlowStride, shifted, slow);
                for (var t = 0; t < EnvelopeLength; t++)
                {
                    var (inPhase, quadrature) = (filtered[t], filtered[t + EnvelopeLength]);
                    envelope[t] = MathF.Sqrt(inPhase * inPhase + quadrature * quadrature + Silence);
                }

                var mean = Mean(envelope);
                float second = 0, fourth = 0, slowPower = 0;
                foreach (ref var value in envelope)
                {
                    value = value / mean - 1;
                    second += value * value;
                    fourth += value * value * value * value;
                }
                foreach (var value in slow)
                    slowPower += value * value;
                slowPowers[i] = slowPower / SlowLength + Silence;
                levels[3 * i] = MathF.Log(second / EnvelopeLength + Floor);
                levels[3 * i + 1] = MathF.Log(fourth / EnvelopeLength + Floor);
                levels[3 * i + 2] = MathF.Log(slowPowers[i] / (mean * mean));
            }

            Multiply(envelopes.AsSpan(0, size * EnvelopeLength), EnvelopeFourier, envelopeSpectra.AsSpan(0, size * 2 * EnvelopeBins), EnvelopeLength);
            Multiply(slows.AsSpan(0, size * SlowLength), SlowFourier, slowSpectra.AsSpan(0, size * 2 * SlowBins), SlowLength);
            for (var i = 0; i < size; i++)
            {
                var row = features.AsSpan((start + i) * Count, Count);
                LogPower(envelopeSpectra.AsSpan(i * 2 * EnvelopeBins, 2 * EnvelopeBins), 1, row[..EnvelopeBins]);
                LogPower(slowSpectra.AsSpan(i * 2 * SlowBins, 2 * SlowBins), slowPowers[i], row.Slice(EnvelopeBins, SlowBins));
                levels.Slice(3 * i, 3).CopyTo(row[(EnvelopeBins + SlowBins)..]);
            }
        }
        return features;
    }

    static void LogPower(ReadOnlySpan<float> spectrum, float whole, Span<float> features)
    {
        for (var bin = 0; bin < features.Length; bin++)
        {
            var (cosine, sine) = (spectrum[bin], spectrum[bin + features.Length]);
            features[bin] = MathF.Log((cosine * cosine + sine * sine) / whole + Floor);
        }
    }

    /// <summary>Filters × shifted copies of the window, one row for each tap, so that it is a matrix product.</summary>
    static void Convolve(ReadOnlySpan<float> window, ReadOnlySpan<float> filters, int taps, int stride, Span<float> shifted, Span<float> result)
    {
        var length = (WindowLength - taps) / stride + 1;
        for (var tap = 0; tap < taps; tap++)
        {
            var row = shifted.Slice(tap * length, length);
            for (var t = 0; t < length; t++)
                row[t] = window[t * stride + tap];
        }
        Multiply(filters, shifted[..(taps * length)], result, taps);
    }

    static float Mean(ReadOnlySpan<float> values)
    {
        var sum = 0f;
        foreach (var value in values)
            sum += value;
        return sum / values.Length;
    }

    static float[] MakeBand()
    {
        var filters = new float[2 * BandTaps];
        for (var tap = 0; tap < BandTaps; tap++)
        {
            var window = 0.54 - 0.46 * Math.Cos(2 * Math.PI * tap / (BandTaps - 1));
            var (sine, cosine) = Math.SinCos(2 * Math.PI * BandHertz / SampleRate * (tap - (BandTaps - 1) / 2.0));
            filters[tap] = (float)(window * cosine * 2 / BandTaps);
            filters[tap + BandTaps] = (float)(window * sine * 2 / BandTaps);
        }
        return filters;
    }

    static float[] MakeSlow()
    {
        var filter = new double[SlowTaps];
        for (var tap = 0; tap < SlowTaps; tap++)
        {
            var window = 0.54 - 0.46 * Math.Cos(2 * Math.PI * tap / (SlowTaps - 1));
            var argument = 2 * Math.PI * SlowHertz / SampleRate * (tap - (SlowTaps - 1) / 2.0); // an even number of taps never meets 0
            filter[tap] = window * Math.Sin(argument) / argument;
        }
        var sum = filter.Sum();
        return [.. filter.Select(tap => (float)(tap / sum))];
    }

    static float[] MakeFourier(int length, int bins, double rate)
    {
        var transform = new float[length * 2 * bins];
        for (var t = 0; t < length; t++)
        {
            var window = (0.5 - 0.5 * Math.Cos(2 * Math.PI * t / (length - 1))) * 4 / length; // a cosine of amplitude 1 gives power 1
            for (var bin = 0; bin < bins; bin++)
            {
                var (sine, cosine) = Math.SinCos(2 * Math.PI * (bin + FirstBin) * BinHertz / rate * t);
                transform[t * 2 * bins + bin] = (float)(window * cosine);
                transform[t * 2 * bins + bins + bin] = (float)(window * sine);
            }
        }
        return transform;
    }
}
