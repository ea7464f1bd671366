using System.Collections.Immutable;
using Coppice.Inference;

namespace Coppice.Quality;

/// <summary>Samples with known answers: a release's evaluation set, a device's own labelled data, or golden inputs and outputs.</summary>
/// <param name="Samples">At least one.</param>
public sealed record EvaluationSet(ImmutableArray<Sample> Samples)
{
    /// <summary>Most samples of a set.</summary>
    public const int MaxSamples = 1_000_000;

    /// <summary>Most bytes of tensors that a set may hold in memory.</summary>
    public const long MaxBytes = 512L << 20;
}

/// <summary>One question and its answer.</summary>
/// <param name="Inputs">One tensor for each input of the model, in the model's order.</param>
/// <param name="Label">Index of the largest element that the first output should have; null when the answer is in <paramref name="Expected"/>.</param>
/// <param name="Expected">Outputs as they should be.</param>
public sealed record Sample(ImmutableArray<Tensor> Inputs, int? Label, ImmutableArray<ExpectedOutput> Expected);

/// <summary>What an output should be.</summary>
/// <param name="Output">Index among the model's outputs.</param>
/// <param name="Values">Row-major, as many as the output has elements.</param>
public sealed record ExpectedOutput(int Output, ImmutableArray<float> Values);
