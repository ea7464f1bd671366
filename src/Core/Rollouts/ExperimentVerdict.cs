using System.Collections.Immutable;
using System.Globalization;
using Coppice.Numerics;

namespace Coppice.Rollouts;

/// <summary>Which way a metric should go.</summary>
public enum Goal
{
    /// <summary>More is better.</summary>
    Higher,

    /// <summary>Less is better.</summary>
    Lower,
}

/// <summary>How an experiment is judged.</summary>
/// <param name="Metric">The primary metric, as devices report it; <c>settled</c> for the share of devices that keep the release.</param>
/// <param name="Goal">Which way is better.</param>
public sealed record ExperimentTerms(string Metric, Goal Goal)
{
    /// <summary>The arm that the others are compared with.</summary>
    public string Control { get; init => field = value ?? "control"; } = "control";

    /// <summary>The number of devices at which the intervals are sharpest: about as many as an arm will have. Null for <see cref="MeanSequence.SharpAt"/>.</summary>
    public double? SharpAt { get; init; }

    /// <summary>Whether a winner is promoted by the server; else an operator does.</summary>
    public bool Promote { get; init; }
}

/// <summary>What an arm's devices have reported.</summary>
/// <param name="Arm">Its name.</param>
/// <param name="Weight">Its part of the devices.</param>
/// <param name="Devices">Devices assigned to it that have begun; of a control, that are known.</param>
/// <param name="Failures">Of these, that refused the release or took it back.</param>
/// <param name="Figures">Of the primary metric.</param>
public sealed record ArmFigures(string Arm, double Weight, long Devices, long Failures, Moments Figures)
{
    /// <summary>Whether its release runs without answering.</summary>
    public bool? Shadow { get; init; }

    /// <summary>Whether it brings no release, so that its devices have nothing to report: they are not counted against its weight.</summary>
    public bool? Keeps { get; init; }
}

/// <summary>How an arm compares with the control.</summary>
/// <param name="Arm">Its name.</param>
/// <param name="Devices">That have reported the metric.</param>
/// <param name="Mean">Of the metric.</param>
/// <param name="Difference">Its mean less the control's; null for the control and where too little is known.</param>
/// <param name="Interval">Where the difference is, wrong at any moment with chance α at most over all arms.</param>
/// <param name="P">Always-valid p-value of "no difference", corrected for the number of arms by Holm.</param>
public sealed record ArmStanding(string Arm, long Devices, double Mean, double? Difference = null, Interval? Interval = null, double? P = null)
{
    /// <summary>Whether its release runs without answering; null for no.</summary>
    public bool? Shadow { get; init; }
}

/// <summary>How the arms of an experiment compare.</summary>
/// <param name="Arms">In the order of the plan.</param>
/// <param name="SampleRatioP">Chance of device counts this far from the weights; below <see cref="Hypotheses.SampleRatioAlarm"/> nothing is concluded.</param>
/// <param name="Why">In words for a person.</param>
public sealed record ExperimentStanding(ImmutableArray<ArmStanding> Arms, double SampleRatioP, string Why)
{
    /// <summary>The best arm that is better than the control; the control when every other is worse; null while it cannot be told.</summary>
    public string? Winner { get; init; }

    /// <summary>Compares the arms, as often as one likes.</summary>
    /// <param name="terms">How.</param>
    /// <param name="figures">What was reported, in the order of the plan.</param>
    /// <param name="confidence">1 - α for the whole experiment.</param>
    /// <param name="guardsHold">Whether every gate of the phase is good that is about the arm of this name: it does not win while a guardrail of its own is open.</param>
    public static ExperimentStanding Judge(ExperimentTerms terms, ImmutableArray<ArmFigures> figures, double confidence, Func<string, bool> guardsHold)
    {
        var alpha = 1 - confidence;
        var sharpAt = terms.SharpAt ?? MeanSequence.SharpAt;
        ImmutableArray<ArmFigures> counted = [.. figures.Where(arm => arm.Keeps != true)];
        var ratio = Hypotheses.SampleRatioP([.. counted.Select(arm => arm.Devices)], [.. counted.Select(arm => arm.Weight)]);
        var control = figures.FirstOrDefault(arm => arm.Arm == terms.Control);
        var tested = new List<(ArmFigures Arm, MeanDifference Difference, double P)>();
        foreach (var arm in figures)
        {
            if (control is null || arm == control || Math.Min(arm.Figures.Count, control.Figures.Count) < Gate.LeastDevices)
                continue;
            var difference = Hypotheses.Welch(control.Figures, arm.Figures);
            var samples = control.Figures.Count + arm.Figures.Count;
            tested.Add((arm, difference, difference.StandardError > 0 ? MeanSequence.P(difference.Estimate, difference.StandardError, samples, MeanSequence.Rho(alpha, sharpAt)) : 1));
        }

        var corrected = Hypotheses.Holm([.. tested.Select(test => test.P)]);
        var arms = figures.Select(arm => tested.FindIndex(test => test.Arm == arm) is >= 0 and var at
            ? Stand(arm, tested[at].Difference, corrected[at], control!.Figures.Count + arm.Figures.Count, alpha / (figures.Length - 1), sharpAt)
            : new ArmStanding(arm.Arm, arm.Figures.Count, arm.Figures.Mean) { Shadow = arm.Shadow }).ToImmutableArray();
        if (ratio < Hypotheses.SampleRatioAlarm)
            return new(arms, ratio, Text($"the arms have {string.Join(", ", counted.Select(arm => arm.Devices))} devices, which weights of {string.Join(", ", counted.Select(arm => arm.Weight))} give with p = {ratio:0.0e0}: assignment or reports are broken, and nothing can be concluded"));
        if (tested.Count < figures.Length - 1)
            return new(arms, ratio, $"cannot tell yet: each arm needs {Gate.LeastDevices} devices that report {terms.Metric}");

        bool Decided(ArmStanding arm) => arm.P <= alpha;
        bool Better(ArmStanding arm) => terms.Goal == Goal.Higher ? arm.Difference > 0 : arm.Difference < 0;
        var others = arms.Where(arm => arm.Difference is not null).ToList();
        var best = others.Where(arm => Decided(arm) && Better(arm)).OrderByDescending(arm => terms.Goal == Goal.Higher ? arm.Difference : -arm.Difference).FirstOrDefault();
        if (best is not null)
            return guardsHold(best.Arm)
                ? new(arms, ratio, Text($"{best.Arm} is better than {terms.Control} by {Math.Abs(best.Difference!.Value):g3} in {terms.Metric}, p = {best.P:g2}")) { Winner = best.Arm }
                : new(arms, ratio, $"{best.Arm} is better in {terms.Metric}, but a gate does not hold yet for it");
        if (others.All(arm => Decided(arm) && !Better(arm)))
            return new(arms, ratio, $"every other arm is worse than {terms.Control} in {terms.Metric}") { Winner = terms.Control };
        return new(arms, ratio, "cannot tell yet: no arm differs from the control by more than chance");
    }

    static ArmStanding Stand(ArmFigures arm, MeanDifference difference, double p, long samples, double alpha, double sharpAt)
    {
        var width = MeanSequence.HalfWidth(difference.StandardError, samples, alpha, sharpAt);
        return new(arm.Arm, arm.Figures.Count, arm.Figures.Mean, difference.Estimate, new(difference.Estimate - width, difference.Estimate + width), p) { Shadow = arm.Shadow };
    }

    static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
