using Coppice.Numerics;
using static Coppice.Cli.Quickstart.FaultClassifierKernels;

namespace Coppice.Cli.Quickstart;

/// <summary>The trained part of the classifier: three dense layers, ReLU between them, softmax at the end.</summary>
/// <remarks>Weights are mutable and belong to whoever trains; <see cref="Copy"/> before training on.</remarks>
public sealed class FaultClassifierNetwork
{
    /// <summary>Values between the layers, from features to classes.</summary>
    public static ReadOnlySpan<int> Widths => [FaultClassifierFeatures.Count, 192, 160, Classes];

    /// <summary>Classes of <see cref="BearingState"/>.</summary>
    public const int Classes = 4;

    /// <summary>Number of dense layers.</summary>
    public const int Layers = 3;

    readonly float[][] weights;
    readonly float[][] biases;

    FaultClassifierNetwork(float[] mean, float[] scale, float[][] weights, float[][] biases) =>
        (Mean, Scale, this.weights, this.biases) = (mean, scale, weights, biases);

    /// <summary>Subtracted from each feature.</summary>
    public float[] Mean { get; }

    /// <summary>Multiplied with each feature after that.</summary>
    public float[] Scale { get; }

    /// <summary>Inputs × outputs of a layer, row-major.</summary>
    public float[] Weights(int layer) => weights[layer];

    /// <summary>One for each output of a layer.</summary>
    public float[] Biases(int layer) => biases[layer];

    /// <summary>An untrained network: He's initialisation; features brought to mean 0 and variance 1 over a data set.</summary>
    /// <param name="features">n × <see cref="FaultClassifierFeatures.Count"/>; sets the scaling.</param>
    /// <param name="random">The first weights.</param>
    public static FaultClassifierNetwork Untrained(ReadOnlySpan<float> features, SeededRandom random)
    {
        var (mean, scale) = Scaling(features);
        var weights = new float[Layers][];
        var biases = new float[Layers][];
        for (var layer = 0; layer < Layers; layer++)
        {
            var (inputs, outputs) = (Widths[layer], Widths[layer + 1]);
            var spread = Math.Sqrt(2.0 / inputs);
            weights[layer] = new float[inputs * outputs];
            foreach (ref var weight in weights[layer].AsSpan())
                weight = (float)(spread * random.NextGaussian());
            biases[layer] = new float[outputs];
        }
        return new(mean, scale, weights, biases);
    }

    /// <summary>A network with the same numbers, which trains on its own.</summary>
    public FaultClassifierNetwork Copy() =>
        new(Mean, Scale, [.. weights.Select(layer => (float[])layer.Clone())], [.. biases.Select(layer => (float[])layer.Clone())]);

    /// <summary>The probability of each class for windows of samples: what the exported model computes.</summary>
    /// <param name="windows">n × <see cref="BearingSimulation.WindowLength"/>.</param>
    /// <returns>n × <see cref="Classes"/>.</returns>
    public float[] Probabilities(ReadOnlySpan<float> windows) => FromFeatures(FaultClassifierFeatures.Extract(windows));

    /// <summary>The probability of each class for features.</summary>
    public float[] FromFeatures(ReadOnlySpan<float> features)
    {
        var values = Standardise(features);
        for (var layer = 0; layer < Layers; layer++)
            values = Forward(layer, values);
        Softmax(values);
        return values;
    }

    /// <summary>Share of windows whose likeliest class is their label.</summary>
    public double Accuracy(ReadOnlySpan<float> features, ReadOnlySpan<int> labels)
    {
        var probabilities = FromFeatures(features);
        var right = 0;
        for (var i = 0; i < labels.Length; i++)
        {
            var row = probabilities.AsSpan(i * Classes, Classes);
            var best = 0;
            for (var c = 1; c < Classes; c++)
            {
                if (row[c] > row[best])
                    best = c;
            }
            right += best == labels[i] ? 1 : 0;
        }
        return (double)right / labels.Length;
    }

    /// <summary>Features brought to the scale the layers were trained at.</summary>
    public float[] Standardise(ReadOnlySpan<float> features)
    {
        var values = features.ToArray();
        for (var i = 0; i < values.Length; i += Mean.Length)
        {
            for (var f = 0; f < Mean.Length; f++)
                values[i + f] = (values[i + f] - Mean[f]) * Scale[f];
        }
        return values;
    }

    /// <summary>Mean cross-entropy of rows, and its gradient with respect to every weight and bias.</summary>
    /// <param name="rows">n × <see cref="FaultClassifierFeatures.Count"/>, standardised.</param>
    /// <param name="labels">n classes.</param>
    /// <param name="gradients">For each layer its weights, then its biases; overwritten.</param>
    public double LossAndGradients(float[] rows, ReadOnlySpan<int> labels, float[][] gradients)
    {
        Span<float[]> values = new float[Layers + 1][];
        values[0] = rows;
        for (var layer = 0; layer < Layers; layer++)
            values[layer + 1] = Forward(layer, values[layer]);

        var delta = values[Layers];
        Softmax(delta);
        var loss = 0.0;
        for (var i = 0; i < labels.Length; i++)
        {
            loss -= Math.Log(Math.Max(delta[i * Classes + labels[i]], 1e-30));
            delta[i * Classes + labels[i]] -= 1;
        }
        foreach (ref var value in delta.AsSpan())
            value /= labels.Length;

        for (var layer = Layers - 1; layer >= 0; layer--)
            delta = Backward(layer, values[layer], delta, gradients[2 * layer], gradients[2 * layer + 1]);
        return loss / labels.Length;
    }

    float[] Forward(int layer, float[] inputs)
    {
        var results = new float[inputs.Length / Widths[layer] * Widths[layer + 1]];
        Multiply(inputs, weights[layer], results, Widths[layer]);
        AddToRows(results, biases[layer]);
        if (layer < Layers - 1)
        {
            foreach (ref var value in results.AsSpan())
                value = MathF.Max(value, 0);
        }
        return results;
    }

    /// <summary>The gradient with respect to a layer's inputs; empty for the first layer, where nobody asks for it.</summary>
    float[] Backward(int layer, float[] inputs, float[] delta, float[] weightGradient, float[] biasGradient)
    {
        var (width, outputs) = (Widths[layer], Widths[layer + 1]);
        var batch = delta.Length / outputs;
        var transposed = new float[inputs.Length];
        Transpose(inputs, transposed, width);
        Multiply(transposed, delta, weightGradient, batch);
        Array.Clear(biasGradient);
        for (var i = 0; i < delta.Length; i++)
            biasGradient[i % outputs] += delta[i];
        if (layer == 0)
            return [];

        var turned = new float[weights[layer].Length];
        Transpose(weights[layer], turned, outputs);
        var below = new float[inputs.Length];
        Multiply(delta, turned, below, outputs);
        for (var i = 0; i < below.Length; i++)
            below[i] = inputs[i] > 0 ? below[i] : 0; // ReLU let nothing through where it gave 0
        return below;
    }

    static void Softmax(Span<float> rows)
    {
        for (; !rows.IsEmpty; rows = rows[Classes..])
        {
            var largest = rows[0];
            for (var c = 1; c < Classes; c++)
                largest = MathF.Max(largest, rows[c]);
            var sum = 0f;
            for (var c = 0; c < Classes; c++)
                sum += rows[c] = MathF.Exp(rows[c] - largest);
            for (var c = 0; c < Classes; c++)
                rows[c] /= sum;
        }
    }

    static (float[] Mean, float[] Scale) Scaling(ReadOnlySpan<float> features)
    {
        const int width = FaultClassifierFeatures.Count;
        var count = features.Length / width;
        var (mean, scale) = (new float[width], new float[width]);
        for (var f = 0; f < width; f++)
        {
            double sum = 0, squares = 0;
            for (var i = f; i < features.Length; i += width)
                sum += features[i];
            mean[f] = (float)(sum / count);
            for (var i = f; i < features.Length; i += width)
                squares += (features[i] - (double)mean[f]) * (features[i] - (double)mean[f]);
            scale[f] = (float)(1 / Math.Sqrt(squares / count + 1e-6));
        }
        return (mean, scale);
    }
}
