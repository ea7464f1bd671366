using Coppice.Rollouts;

namespace Coppice.Protocol;

/// <summary>Checks a rollout before it starts: the same on the operator's machine and on the server.</summary>
public static class RolloutDraft
{
    const int MaxWindows = 64;

    /// <summary>Everything that is wrong with it, by field.</summary>
    public static IEnumerable<Problem> Check(StartRollout request)
    {
        foreach (var problem in RolloutRules.Check(request.Selector, request.Phases))
            yield return problem;
        foreach (var problem in GateRules.Check(request.Gates, "gates"))
            yield return problem;
        if (request.Policy.MaxFailures < 0)
            yield return new("policy.maxFailures", $"{request.Policy.MaxFailures} is negative; give zero or more.");
        if (request.Policy.OnFailure is not (PhaseAction.Hold or PhaseAction.Revert))
            yield return new("policy.onFailure", $"{request.Policy.OnFailure.ToString().ToLowerInvariant()} does not stop a rollout; give hold or revert.");
        if (request.Policy.OnUndecided is not (PhaseAction.Wait or PhaseAction.Hold or PhaseAction.Revert))
            yield return new("policy.onUndecided", $"{request.Policy.OnUndecided.ToString().ToLowerInvariant()} is nothing that can be done without a verdict; give wait, hold or revert.");
        if (request.Policy.DecideWithin is { } within)
        {
            if (request.Policy.OnUndecided == PhaseAction.Wait)
                yield return new("policy.decideWithin", "means nothing where an operator is waited for; give onUndecided: hold or revert, or leave it out.");
            else if (within <= TimeSpan.Zero || within > RolloutTerms.Longest)
                yield return new("policy.decideWithin", $"{Duration.Format(within)} is not a time to decide in; give more than 0 and at most {RolloutTerms.Longest.Days} days, as 24h, or leave it out for {Duration.Format(RolloutPolicy.DefaultDecideWithin)}.");
        }

        if (request.Policy.MaxFailures is null && request.Gates.IsEmpty && !request.Phases.IsDefault && request.Phases.Any(phase => phase.Gates is null or { IsEmpty: true }))
            yield return new("policy.maxFailures", "is null, and a phase has no gate: nothing would ever stop it. Give a number of failures, or gates.");
        if (request.Windows.Length > MaxWindows)
            yield return new("windows", $"{request.Windows.Length} are too many; give at most {MaxWindows}.");
        if (request.Salt is { Length: 0 or > StartRollout.MaxSalt })
            yield return new("salt", $"has {request.Salt.Length} characters; give 1 to {StartRollout.MaxSalt}, or leave it out.");
        if (request.Why.Length > Reason.MaxLength)
            yield return new("why", $"has {request.Why.Length} characters; give at most {Reason.MaxLength}.");
        if (request.Confidence is { } confidence && confidence is not (> 0.5 and < 1)) // also catches NaN
            yield return new("confidence", $"{confidence} is no confidence; give more than 0.5 and less than 1, as 0.99, or leave it out for {RolloutTerms.DefaultConfidence}.");
        if (request.Deadline is { } deadline && (deadline <= TimeSpan.Zero || deadline > RolloutTerms.Longest))
            yield return new("deadline", $"{Duration.Format(deadline)} is no time to be silent for; give more than 0 and at most {RolloutTerms.Longest.Days} days, as 24h, or leave it out for {Duration.Format(RolloutTerms.DefaultDeadline)}.");
        if (request.Spread is { } spread && (spread <= TimeSpan.Zero || spread > RolloutTerms.Longest))
            yield return new("spread", $"{Duration.Format(spread)} is no time to spread devices over; give more than 0 and at most {RolloutTerms.Longest.Days} days, or leave it out.");
        if (request.Consent is { Length: 0 or > RolloutTerms.MaxQuestion })
            yield return new("consent", $"has {request.Consent.Length} characters; ask in 1 to {RolloutTerms.MaxQuestion}.");
        if (request.Requires.Length > RolloutTerms.MaxArms)
            yield return new("requires", $"{request.Requires.Length} are too many; give at most {RolloutTerms.MaxArms}.");
        for (var i = 0; i < request.Requires.Length; i++)
        {
            if (request.Requires[i].Model == request.Model)
                yield return new($"requires[{i}].model", "is the rollout's own model; name another one of the device.");
        }

        foreach (var problem in RolloutRules.CheckMembers(request.Model, request.With.IsEmpty ? null : request.With.Select(member => member.Model), arms: !request.Arms.IsEmpty))
            yield return problem;
        foreach (var problem in CheckArms(request))
            yield return problem;
        foreach (var problem in CheckReach(request))
            yield return problem;
    }

    /// <summary>Whether somebody reports what gates on metrics look at: the models of the set, and shadows.</summary>
    static IEnumerable<Problem> CheckReach(StartRollout request)
    {
        foreach (var (gates, where) in (request.Phases.IsDefault ? [] : request.Phases).Select((phase, i) => (phase.Gates ?? [], $"phases[{i}].gates")).Prepend((request.Gates, "gates")))
        {
            for (var i = 0; i < gates.Length; i++)
            {
                if (gates[i].IsOfShadows && request.Arms.All(arm => arm.Shadow != true))
                    yield return new($"{where}[{i}].metric", $"'{gates[i].Metric}' is what shadows report, and no arm is one; give an arm shadow: true, or leave the gate out.");
                if (gates[i].Model is { } model && model != request.Model && request.With.All(member => member.Model != model))
                    yield return new($"{where}[{i}].model", $"the rollout brings no release of {model}; name {string.Join(" or ", request.With.Select(member => member.Model).Prepend(request.Model))}.");
            }
        }
    }

    static IEnumerable<Problem> CheckArms(StartRollout request)
    {
        if (request.Arms.IsEmpty)
        {
            if (request.Experiment is not null)
                yield return new("experiment", "compares arms, and there are none; give arms.");
            yield break;
        }

        // The manifests are not known here; any digest will do for the check.
        foreach (var problem in RolloutRules.Check([.. request.Arms.Select(Drafted)]))
            yield return problem;
        for (var i = 0; i < request.Arms.Length; i++)
        {
            if (request.Arms[i] is { Shadow: true, Release: null })
                yield return new($"arms[{i}].shadow", $"'{request.Arms[i].Name}' names no release, and a shadow runs one; give release.");
            if (request.Arms[i] is { Shadow: not true, ShadowShare: not null })
                yield return new($"arms[{i}].shadowShare", $"'{request.Arms[i].Name}' is no shadow: what it brings answers all requests. Give shadow: true, or leave it out.");
        }

        if (request.Experiment is not { } terms)
        {
            yield return new("experiment", "is missing; say by which metric the arms are compared.");
            yield break;
        }

        if (request.Arms.All(arm => arm.Name != terms.Control))
            yield return new("experiment.control", $"'{terms.Control}' is not an arm; name one of {string.Join(", ", request.Arms.Select(arm => arm.Name))}.");
        else if (request.Arms.First(arm => arm.Name == terms.Control).Shadow == true)
            yield return new("experiment.control", $"'{terms.Control}' is a shadow, and the others are compared with what answers; name an arm that is none.");
        if (terms.Metric.Length is 0 or > GateRules.MaxName)
            yield return new("experiment.metric", $"has {terms.Metric.Length} characters; give 1 to {GateRules.MaxName}.");
        if (terms.SharpAt is { } sharpAt && !(sharpAt >= Gate.LeastDevices && double.IsFinite(sharpAt)))
            yield return new("experiment.sharpAt", $"{sharpAt} is too few devices; give {Gate.LeastDevices} or more, or leave it out for {Numerics.MeanSequence.SharpAt}.");
        if (request.Arms.All(arm => arm.Release != request.Release))
            yield return new("release", $"no arm brings {request.Release}; name the release of one.");

        static Arm Drafted(ArmDraft arm) => arm is { Shadow: true, Release: { } release }
            ? new(arm.Name, arm.Weight) { Shadow = new(release, default) { Share = arm.ShadowShare } }
            : new(arm.Name, arm.Weight, arm.Release, arm.Release is null ? null : default(Trust.Sha256Digest));
    }
}
