using Coppice.Cli.Quickstart;
using Coppice.Numerics;

namespace Coppice.Cli.Tests.Quickstart;

public sealed class FaultClassifierTests
{
    static (BearingWindows Windows, float[] Features) Record(int count, ulong seed)
    {
        var random = new SeededRandom(seed);
        var windows = BearingWindows.Record([BearingMachine.Of(random), BearingMachine.Of(random)], count, random);
        return (windows, FaultClassifierFeatures.Extract(windows.Samples));
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(4, 3, 16)]
    [InlineData(9, 5, 37)]
    [InlineData(3, 7, 48)]
    public void A_product_of_any_size_is_the_sum_in_order(int rows, int inner, int columns)
    {
        var random = new SeededRandom(1);
        var a = Enumerable.Range(0, rows * inner).Select(_ => (float)random.NextGaussian()).ToArray();
        var b = Enumerable.Range(0, inner * columns).Select(_ => (float)random.NextGaussian()).ToArray();
        var expected = new float[rows * columns];
        for (var i = 0; i < expected.Length; i++)
        {
            for (var k = 0; k < inner; k++)
                expected[i] += a[i / columns * inner + k] * b[k * columns + i % columns];
        }
        var product = new float[rows * columns];

        FaultClassifierKernels.Multiply(a, b, product, inner);

        Assert.Equal(expected, product);
        Assert.Throws<ArgumentException>(() => FaultClassifierKernels.Multiply(a, b, new float[rows * columns + 1], inner));
    }

    [Fact]
    public void Gradients_are_those_of_finite_differences_of_a_loss_in_double_precision()
    {
        var (windows, features) = Record(8, 3);
        var network = FaultClassifierNetwork.Untrained(features, new(4));
        var rows = network.Standardise(features);
        var labels = windows.Labels.ToArray();
        float[][] parameters = [.. Enumerable.Range(0, 3).SelectMany(layer => (float[][])[network.Weights(layer), network.Biases(layer)])];
        float[][] gradients = [.. parameters.Select(array => new float[array.Length])];
        var exact = parameters.Select(array => array.Select(value => (double)value).ToArray()).ToArray();
        var random = new SeededRandom(5);

        var loss = network.LossAndGradients(rows, labels, gradients);

        Assert.Equal(Loss(exact, rows, labels), loss, 1e-5);
        for (var p = 0; p < exact.Length; p++)
        {
            var steepest = Enumerable.Range(0, exact[p].Length).OrderByDescending(i => Math.Abs(gradients[p][i])).Take(3);
            var any = Enumerable.Range(0, 6).Select(_ => random.NextInt32(exact[p].Length));
            foreach (var i in steepest.Concat(any))
            {
                const double step = 1e-6;
                var kept = exact[p][i];
                exact[p][i] = kept + step;
                var above = Loss(exact, rows, labels);
                exact[p][i] = kept - step;
                var below = Loss(exact, rows, labels);
                exact[p][i] = kept;

                Assert.Equal((above - below) / (2 * step), gradients[p][i], 1e-6 + 1e-4 * Math.Abs(gradients[p][i]));
            }
        }
        Assert.All(gradients, gradient => Assert.Contains(gradient, value => Math.Abs(value) > 1e-3)); // or the tolerance alone would pass
    }

    /// <summary>Mean cross-entropy, written down once more from its definition.</summary>
    static double Loss(double[][] parameters, float[] rows, int[] labels)
    {
        var total = 0.0;
        for (var row = 0; row < labels.Length; row++)
        {
            var values = rows.Skip(row * FaultClassifierFeatures.Count).Take(FaultClassifierFeatures.Count).Select(value => (double)value).ToArray();
            for (var layer = 0; layer < 3; layer++)
            {
                var next = (double[])parameters[2 * layer + 1].Clone();
                for (var i = 0; i < values.Length; i++)
                {
                    for (var o = 0; o < next.Length; o++)
                        next[o] += values[i] * parameters[2 * layer][i * next.Length + o];
                }
                values = layer < 2 ? [.. next.Select(value => Math.Max(value, 0))] : next;
            }
            total += Math.Log(values.Sum(Math.Exp)) - values[labels[row]];
        }
        return total / labels.Length;
    }

    [Fact]
    public void Training_brings_the_loss_down_and_a_copy_is_left_alone()
    {
        var (windows, features) = Record(192, 7);
        var network = FaultClassifierNetwork.Untrained(features, new(8));
        var before = network.Copy();
        var probabilities = before.FromFeatures(features);

        new FaultClassifierTraining(Epochs: 12, Rate: 1e-3).Run(network, features, windows.Labels, new(9));

        Assert.Equal(probabilities, before.FromFeatures(features));
        Assert.InRange(before.Accuracy(features, windows.Labels), 0, 0.6);
        Assert.InRange(network.Accuracy(features, windows.Labels), 0.95, 1);
    }

    [Fact]
    public void Features_do_not_depend_on_the_sensor_gain()
    {
        var (windows, features) = Record(8, 11);
        var louder = windows.Samples.ToArray().Select(sample => 4 * sample).ToArray();

        var again = FaultClassifierFeatures.Extract(louder);

        for (var i = 0; i < features.Length; i++)
            Assert.Equal(features[i], again[i], 1e-3);
    }

    [Fact]
    public void Silence_has_features_too() =>
        Assert.All(FaultClassifierFeatures.Extract(new float[BearingSimulation.WindowLength]), feature => Assert.True(float.IsFinite(feature)));

    [Fact]
    public void A_tone_in_the_envelope_is_felt_at_its_bin()
    {
        // 2 kHz whose amplitude swings at 100 Hz: bin (100 - 12.5) / 6.25 = 14 of the envelope's spectrum.
        var window = new float[BearingSimulation.WindowLength];
        for (var i = 0; i < window.Length; i++)
        {
            var t = (double)i / BearingSimulation.SampleRate;
            window[i] = (float)((1 + 0.5 * Math.Cos(2 * Math.PI * 100 * t)) * Math.Cos(2 * Math.PI * 2000 * t));
        }

        var spectrum = FaultClassifierFeatures.Extract(window)[..FaultClassifierFeatures.EnvelopeBins];

        Assert.Equal(14, Array.IndexOf(spectrum, spectrum.Max()));
        // A swing of 0.5, less what the band-pass takes 100 Hz beside its middle.
        var taps = FaultClassifierFeatures.BandTaps;
        var (whole, beside) = (0.0, 0.0);
        for (var tap = 0; tap < taps; tap++)
        {
            var hamming = 0.54 - 0.46 * Math.Cos(2 * Math.PI * tap / (taps - 1));
            whole += hamming;
            beside += hamming * Math.Cos(2 * Math.PI * 100 / BearingSimulation.SampleRate * (tap - (taps - 1) / 2.0));
        }
        Assert.Equal(2 * Math.Log(0.5 * beside / whole), spectrum[14], 0.02);
    }
}
