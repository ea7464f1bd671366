using System.Diagnostics;
using Coppice.Agent.Quality;
using Coppice.Agent.Serving;
using Coppice.Inference;

namespace Coppice.Agent.Updates;

/// <summary>Watches the new release serve. With no traffic, a heartbeat runs it on zeros.</summary>
sealed class ProbationStep(UpdateContext context) : IUpdateStep
{
    string? watched; // the slot, and since when; a restart begins anew
    long since;
    long seen;
    bool ranOnZeros;

    public async Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var slot = state.Serving ?? throw new UnreachableException("watches nothing");
        if (slot.Instead is not null)
            return new(Outcome.Done, state, $"{slot} served before the set came");
        if (context.Host.Serving is not { } serving || serving.Slot.Folder != slot.Folder)
            throw new UnreachableException($"watches {slot}, which does not serve");
        if (watched != $"{slot.Folder} {slot.Rollout} {slot.Attempt}")
            (watched, since, seen, ranOnZeros) = ($"{slot.Folder} {slot.Rollout} {slot.Attempt}", context.Time.GetTimestamp(), 0, false);

        var counts = serving.Meter.Read();
        var beats = true;
        if (counts.Runs == seen)
        {
            beats = await Task.Run(() => Heartbeat(serving, cancel), cancel);
            counts = serving.Meter.Read();
        }

        seen = counts.Runs;
        var policy = context.Policy.Probation;
        if (serving.Metered is null || !beats)
            policy = policy with { Runs = 0 }; // only the app can run it, and it may not for days: time alone decides
        var limit = serving.Manifest.Trial?.Limits.MaxLatencyP95;
        var verdict = ProbationVerdict.Judge(policy, new(slot.TrialLatency, limit, context.Host.Standby?.Meter.Read()), counts, context.Time.GetElapsedTime(since));
        return verdict.Outcome switch
        {
            Outcome.Failed => new(Outcome.Failed, state with { Complaint = new(verdict.Why, Refuse: true) }, verdict.Why),
            _ => new(verdict.Outcome, state, verdict.Why) { Wait = verdict.Outcome == Outcome.Nothing ? Pace(policy) : null },
        };
    }

    static TimeSpan Pace(ProbationPolicy policy) => TimeSpan.FromSeconds(Math.Clamp(policy.Time.TotalSeconds / 20, 0.05, 30));

    /// <summary>Runs the release on zeros; a failure counts against it.</summary>
    /// <returns>False when zeros are no input for it: then nothing was run and nothing counted.</returns>
    bool Heartbeat(LoadedRelease serving, CancellationToken cancel)
    {
        if (serving.Metered is not { } session || TrialRunner.BlankInputs(session.Inputs) is not { } blank || !serving.TryHold())
            return false;
        try
        {
            if (!ranOnZeros && session.Inputs.Any(input => input.Shape.Contains(-1)))
                serving.Session!.Run(blank, cancel).Dispose(); // may want more than 1 of a free dimension: tried aside first
            ranOnZeros = true;
        }
        catch (InferenceException)
        {
            serving.LetGo();
            return false;
        }

        try
        {
            session.Run(blank, cancel).Dispose();
        }
        catch (InferenceException) // counted by the meter, which the verdict reads
        {
        }
        finally
        {
            serving.LetGo();
        }

        return true;
    }
}
