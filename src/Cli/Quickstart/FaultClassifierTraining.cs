using System.Runtime.CompilerServices;
using Coppice.Numerics;

namespace Coppice.Cli.Quickstart;

/// <summary>How a training run goes.</summary>
/// <param name="Epochs">Passes over the data.</param>
/// <param name="Rate">Adam's step at the start; it falls to zero along half a cosine.</param>
/// <param name="BatchSize">Windows for each step; a rest that does not fill a batch waits for the next pass.</param>
public sealed record FaultClassifierTraining(int Epochs, double Rate, int BatchSize = 64)
{
    const float FirstDecay = 0.9f, SecondDecay = 0.999f, Small = 1e-8f;
    const float WeightDecay = 0.01f;

    /// <summary>Trains a network in place with AdamW (Loshchilov and Hutter, 2019) on cross-entropy.</summary>
    /// <param name="network">Changed; the more it knows before, the less it needs.</param>
    /// <param name="features">n × <see cref="FaultClassifierFeatures.Count"/>, as extracted.</param>
    /// <param name="labels">n classes.</param>
    /// <param name="random">Order of the data.</param>
    public void Run(FaultClassifierNetwork network, ReadOnlySpan<float> features, ReadOnlySpan<int> labels, SeededRandom random)
    {
        const int width = FaultClassifierFeatures.Count;
        var rows = network.Standardise(features);
        var batches = labels.Length / BatchSize;
        var order = Enumerable.Range(0, labels.Length).ToArray();
        var batch = new float[BatchSize * width];
        var batchLabels = new int[BatchSize];
        var parameters = Enumerable.Range(0, FaultClassifierNetwork.Layers)
            .SelectMany(layer => (float[][])[network.Weights(layer), network.Biases(layer)]).ToArray();
        var gradients = SameSizes(parameters);
        var first = SameSizes(parameters);
        var second = SameSizes(parameters);

        for (int epoch = 0, step = 1; epoch < Epochs; epoch++)
        {
            random.Shuffle<int>(order);
            for (var b = 0; b < batches; b++, step++)
            {
                for (var i = 0; i < BatchSize; i++)
                {
                    var row = order[b * BatchSize + i];
                    rows.AsSpan(row * width, width).CopyTo(batch.AsSpan(i * width));
                    batchLabels[i] = labels[row];
                }
                network.LossAndGradients(batch, batchLabels, gradients);
                var rate = Rate * (1 + Math.Cos(Math.PI * step / (Epochs * batches))) / 2;
                var unbiased = rate * Math.Sqrt(1 - Math.Pow(SecondDecay, step)) / (1 - Math.Pow(FirstDecay, step));
                for (var p = 0; p < parameters.Length; p++)
                    Step(parameters[p], gradients[p], first[p], second[p], (float)unbiased, (float)rate * WeightDecay);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Step(Span<float> parameters, ReadOnlySpan<float> gradient, Span<float> first, Span<float> second, float rate, float decay)
    {
        for (var i = 0; i < parameters.Length; i++)
        {
            first[i] = FirstDecay * first[i] + (1 - FirstDecay) * gradient[i];
            second[i] = SecondDecay * second[i] + (1 - SecondDecay) * gradient[i] * gradient[i];
            parameters[i] -= rate * first[i] / (MathF.Sqrt(second[i]) + Small) + decay * parameters[i];
        }
    }

    static float[][] SameSizes(float[][] arrays) => [.. arrays.Select(array => new float[array.Length])];
}
