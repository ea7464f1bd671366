using System.Collections.Immutable;
using System.Diagnostics;
using Coppice.Agent.Quality;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Inference;
using Coppice.Quality;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Updates;

/// <summary>Loads the release beside the serving one, on this device and its data, and holds it to its limits.</summary>
sealed class TrialStep(UpdateContext context) : IUpdateStep
{
    public async Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var target = state.Target ?? throw new UnreachableException("tries without a target");
        var slot = target.Slot;
        state = ShadowCare.Pause(context, state); // one release is loaded beside the serving one, and what crashes is known
        if (context.RefusedBeside(state, target) is { } refused)
            return refused;
        if (state.Serving is { Settled: true } serving && serving.Folder == slot.Folder)
            return new(Outcome.Done, state, $"{slot} serves here already");
        if (slot.Set is not null && target.Measures is not null && context.Host.CanServe(slot))
            return new(Outcome.Done, state, $"{slot} has passed, and waits for the rest of its set");
        if (state.Previous is { Settled: true } before && before.Folder == slot.Folder)
            return new(Outcome.Done, state with { Target = target with { Slot = slot with { TrialLatency = before.TrialLatency } } }, $"{slot} has settled here before");
        if (state.ExposureOf(slot).Crashes >= CrashRule.Limit)
            return context.Refuse(state, slot, $"the process ended {state.ExposureOf(slot).Crashes} times while it was loaded or tried", crash: true);

        var (manifest, variant) = await Task.Run(() => context.Loader.Check(slot, cancel), cancel);
        var trial = manifest.Trial ?? new Trial();
        if (variant.Runtime is null)
            return Judge(state, target, trial, new TrialReport(null!, new(null, null, null, null, null, null), 0, [], []), manifest, variant);

        // What ends the process from here on is counted against the release.
        state = context.Expose(state, slot);
        try
        {
            var data = new TrialData(ReadBlob(trial.Evaluation), ReadBlob(trial.Golden), context.DeviceData());
            var report = await Task.Run(() => context.Trial(() => context.Loader.Open(slot, variant)!, context.Host.Serving?.Session, data, cancel), cancel);
            return Judge(context.Unexpose(state, slot), target, trial, report, manifest, variant);
        }
        catch (InferenceException e) when (e.Fault == InferenceFault.Runtime) // this device's native library, not the release
        {
            return new(Outcome.Later, context.Unexpose(state, slot), e.Message);
        }
        catch (InferenceException e)
        {
            return context.Refuse(context.Unexpose(state, slot), slot, $"it does not load or run: {e.Message}");
        }
    }

    StepResult Judge(UpdateState state, Target target, Trial trial, TrialReport report, ReleaseManifest manifest, Variant variant)
    {
        var slot = target.Slot with { TrialLatency = report.Measures.LatencyP95 };
        state = state with { Target = target with { Slot = slot, Measures = Figures(report) } };
        var broken = report.Faults.AddRange(TrialVerdict.Judge(trial.Limits, report.Measures));
        if (!broken.IsEmpty)
        {
            report.Session?.Dispose();
            return context.Refuse(state, slot, string.Join("; ", broken));
        }

        if (target.Shadow is null)
            context.Host.Prepare(context.Loader.Wrap(slot, manifest, variant, report.Session));
        else
            report.Session?.Dispose(); // it is loaded again in a thread of its own
        var told = $"{slot}: {(report.Samples > 0 ? $"{report.Samples} labelled samples, " : "")}no limit broken{string.Concat(report.Notes.Select(note => "; " + note))}";
        return new(Outcome.Done, state, told) { Event = (AgentEventKind.Passed, told) };
    }

    static ImmutableDictionary<string, double> Figures(TrialReport report)
    {
        var measured = report.Measures;
        (string Name, double? Value)[] figures =
        [
            ("releaseAccuracy", measured.ReleaseAccuracy), ("deviceAccuracy", measured.DeviceAccuracy), ("servingAccuracy", measured.ServingAccuracy),
            ("goldenError", measured.GoldenError), ("latencyP95Ms", measured.LatencyP95?.TotalMilliseconds), ("memoryBytes", measured.Memory),
        ];
        return figures.Where(figure => figure.Value is { } value && double.IsFinite(value)).ToImmutableDictionary(figure => figure.Name, figure => figure.Value!.Value);
    }

    byte[]? ReadBlob(ReleaseFile? file)
    {
        if (file is null)
            return null;
        var bytes = context.Disk.ReadSmall(DataFolder.Blob(file.Digest), (int)Math.Min(file.Length, Array.MaxLength));
        if (bytes is null || Sha256Digest.Of(bytes) != file.Digest)
        {
            context.Blobs.Drop(file.Digest);
            throw new DamagedSlotException($"{file.Name} of the trial is not on this disk as it was fetched; it is fetched again.");
        }

        return bytes;
    }
}
