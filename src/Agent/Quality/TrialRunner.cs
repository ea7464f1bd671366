using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Quality;
using Coppice.Registry;

namespace Coppice.Agent.Quality;

/// <summary>What a trial measures on: files as JSON lines or npz; null where there is none.</summary>
/// <param name="Evaluation">The release's labelled samples.</param>
/// <param name="Golden">Inputs with the outputs of the publisher's machine.</param>
/// <param name="DeviceData">Labelled samples that this device keeps for itself.</param>
public sealed record TrialData(byte[]? Evaluation, byte[]? Golden, byte[]? DeviceData);

/// <summary>What a trial found. The session is loaded and warm: the caller serves it or disposes it.</summary>
/// <param name="Session">The candidate.</param>
/// <param name="Measures">The figures that <see cref="TrialVerdict"/> judges.</param>
/// <param name="Samples">Labelled samples that were run, of both sets.</param>
/// <param name="Faults">What of the release's own files could not be used; any of them fails the trial.</param>
/// <param name="Notes">What could not be measured through no fault of the release: the device's own data do not fit, or zeros are no input for it.</param>
public sealed record TrialReport(
    IModelSession Session, TrialMeasures Measures, int Samples, ImmutableArray<string> Faults, ImmutableArray<string> Notes);

/// <summary>Loads a staged release beside the serving one and measures it.</summary>
/// <param name="time">Measures latency.</param>
public sealed class TrialRunner(TimeProvider time)
{
    /// <summary>Runs that are not timed: the first ones allocate and choose kernels.</summary>
    const int WarmUps = 3;

    /// <summary>Timed runs at least, repeating samples where there are fewer, so that a 95th percentile means something.</summary>
    const int MinTimedRuns = 40;

    /// <summary>Most bytes of zeros for one input: a signature may say more than a device has.</summary>
    const int MaxBlankBytes = 256 << 20;

    /// <summary>Loads and measures.</summary>
    /// <param name="load">Loads the candidate.</param>
    /// <param name="serving">The release that serves now, for comparison on the same samples; null when there is none.</param>
    /// <param name="data">What to measure on.</param>
    /// <param name="cancel">Stops between runs, and in a run at the next node.</param>
    /// <exception cref="InferenceException">The candidate does not load or does not run.</exception>
    public TrialReport Run(Func<IModelSession> load, IModelSession? serving, TrialData data, CancellationToken cancel)
    {
        var before = ProcessMemory.Resident();
        var session = load();
        try
        {
            var faults = ImmutableArray.CreateBuilder<string>();
            var notes = ImmutableArray.CreateBuilder<string>();
            var loaded = ProcessMemory.Resident();
            var blank = WarmUp(session, notes, cancel);
            var memory = Math.Max(0, Math.Max(loaded, ProcessMemory.Resident()) - before);

            var signature = new TensorSignature(session.Inputs, session.Outputs);
            var golden = Read(data.Golden, signature, "golden outputs", faults);
            var evaluation = Read(data.Evaluation, signature, "evaluation set", faults);
            var own = Read(data.DeviceData, signature, "this device's own data", notes);

            var timings = new List<TimeSpan>();
            double? goldenError = golden is null ? null : GoldenError(session, golden, timings, cancel);
            double? release = evaluation is null ? null : Accuracy(session, evaluation, timings, cancel);
            double? device = own is null ? null : Accuracy(session, own, timings, cancel);
            double? incumbent = serving is null || (own ?? evaluation) is not { } common ? null : ServingAccuracy(serving, signature, common, cancel);
            TimeMore(session, (own ?? evaluation ?? golden)?.Samples.Select(sample => sample.Inputs.AsMemory()).ToList() ?? (blank is null ? [] : [blank.AsMemory()]), timings, cancel);

            return new(
                session,
                new(release, device, incumbent, goldenError, Percentile95(timings), memory),
                (evaluation?.Samples.Length ?? 0) + (own?.Samples.Length ?? 0),
                faults.ToImmutable(), notes.ToImmutable());
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    /// <summary>Reads a set in either form.</summary>
    /// <param name="bytes">JSON lines or npz; null for none.</param>
    /// <param name="signature">Of the model that will answer it.</param>
    /// <param name="what">How to call it when it cannot be read.</param>
    /// <param name="faults">Gets a line when it cannot be read.</param>
    public static EvaluationSet? Read(byte[]? bytes, TensorSignature signature, string what, ImmutableArray<string>.Builder faults)
    {
        if (bytes is null)
            return null;
        EvaluationSet? set;
        ImmutableArray<Problem> problems;
        if (Npz.Looks(bytes))
        {
            using var stream = new MemoryStream(bytes, writable: false);
            _ = Npz.TryRead(stream, signature, out set, out problems);
        }
        else
        {
            _ = EvaluationJson.TryRead(bytes, signature, out set, out problems);
        }

        if (set is null)
            faults.Add($"the {what} cannot be used: {string.Join(' ', problems)}");
        return set;
    }

    /// <summary>Zeros for every input, free dimensions 1; null where an input has no plain element type, or takes more than <see cref="MaxBlankBytes"/>.</summary>
    public static Tensor[]? BlankInputs(ImmutableArray<TensorSpec> specs)
    {
        var inputs = new Tensor[specs.Length];
        for (var i = 0; i < specs.Length; i++)
        {
            var shape = specs[i].Shape.Select(dimension => Math.Max(1, dimension)).ToArray();
            if (specs[i].Type.BitsPerElement() is not (> 0 and var bits) || shape.Aggregate(bits / 8.0, (product, dimension) => product * dimension) > MaxBlankBytes)
                return null;
            inputs[i] = Tensor.Of(specs[i].Type, shape, new byte[(shape.Aggregate(1L, (product, dimension) => product * dimension) * bits + 7) / 8]);
        }

        return inputs;
    }

    /// <summary>Runs a model on zeros. A model with free dimensions may want more than 1 of them, so a failure there is no fault: real samples tell.</summary>
    /// <returns>The zeros, where the model runs on them.</returns>
    static Tensor[]? WarmUp(IModelSession session, ImmutableArray<string>.Builder notes, CancellationToken cancel)
    {
        if (BlankInputs(session.Inputs) is not { } blank)
            return null;
        try
        {
            for (var i = 0; i < WarmUps; i++)
                session.Run(blank, cancel).Dispose();
            return blank;
        }
        catch (InferenceException e) when (session.Inputs.Any(input => input.Shape.Contains(-1)))
        {
            notes.Add($"it does not run on zeros with free dimensions of 1, and was not timed on them: {e.Message}");
            return null;
        }
    }

    double Accuracy(IModelSession session, EvaluationSet set, List<TimeSpan> timings, CancellationToken cancel)
    {
        var right = 0;
        foreach (var sample in set.Samples)
        {
            using var answer = Timed(session, sample.Inputs.AsSpan(), timings, cancel);
            right += Answer.IsRight(sample, answer) ? 1 : 0;
        }

        return right / (double)set.Samples.Length;
    }

    double GoldenError(IModelSession session, EvaluationSet set, List<TimeSpan> timings, CancellationToken cancel)
    {
        var worst = 0.0;
        foreach (var sample in set.Samples)
        {
            using var answer = Timed(session, sample.Inputs.AsSpan(), timings, cancel);
            worst = Math.Max(worst, Answer.Error(sample, answer));
        }

        return worst;
    }

    /// <summary>Null when the two releases do not take the same inputs: they cannot be compared on these samples.</summary>
    static double? ServingAccuracy(IModelSession serving, TensorSignature candidate, EvaluationSet set, CancellationToken cancel)
    {
        if (!serving.Inputs.Select(input => (input.Name, input.Type)).SequenceEqual(candidate.Inputs.Select(input => (input.Name, input.Type))))
            return null;
        var right = 0;
        foreach (var sample in set.Samples)
        {
            try
            {
                using var answer = serving.Run(sample.Inputs.AsSpan(), cancel);
                right += Answer.IsRight(sample, answer) ? 1 : 0;
            }
            catch (InferenceException)
            {
                return null; // other shapes: a candidate that takes more than the serving release does
            }
        }

        return right / (double)set.Samples.Length;
    }

    void TimeMore(IModelSession session, List<ReadOnlyMemory<Tensor>> inputs, List<TimeSpan> timings, CancellationToken cancel)
    {
        for (var i = 0; inputs.Count > 0 && timings.Count < MinTimedRuns; i++)
            Timed(session, inputs[i % inputs.Count].Span, timings, cancel).Dispose();
    }

    InferenceResult Timed(IModelSession session, ReadOnlySpan<Tensor> inputs, List<TimeSpan> timings, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        var start = time.GetTimestamp();
        var answer = session.Run(inputs, cancel);
        timings.Add(time.GetElapsedTime(start));
        return answer;
    }

    static TimeSpan? Percentile95(List<TimeSpan> timings)
    {
        if (timings.Count == 0)
            return null;
        timings.Sort();
        return timings[(int)Math.Ceiling(0.95 * timings.Count) - 1]; // nearest rank
    }
}
