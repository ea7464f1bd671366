using System.Collections.Immutable;
using System.Globalization;
using Coppice.Numerics;

namespace Coppice.Rollouts;

/// <summary>What a gate says.</summary>
public enum GateStanding
{
    /// <summary>It cannot be told yet. No data is never a pass.</summary>
    Unknown,

    /// <summary>It holds.</summary>
    Good,

    /// <summary>It does not hold.</summary>
    Bad,
}

/// <summary>What devices have reported for a metric gate, positive where worse, on the gate's scale.</summary>
/// <param name="Gate">The gate's <see cref="Gate.Name"/>.</param>
/// <param name="Treated">Of the phase's devices.</param>
/// <param name="Control">Of the control; none unless the gate is against control.</param>
public sealed record GateFigures(string Gate, Moments Treated, Moments Control);

/// <summary>What somebody outside said of a phase.</summary>
/// <param name="Check">The check's name.</param>
/// <param name="Good">Its result.</param>
/// <param name="Why">In words for a person.</param>
public sealed record CheckResult(string Check, bool Good, string Why);

/// <summary>A gate's standing and what it rests on.</summary>
/// <param name="Gate">The gate's name.</param>
/// <param name="Standing">Good, bad or not known yet.</param>
/// <param name="Why">In words for a person.</param>
public sealed record GateVerdict(string Gate, GateStanding Standing, string Why)
{
    /// <summary>The arm that it is about; null for all devices of the phase.</summary>
    public string? Arm { get; init; }

    /// <summary>Devices it rests on.</summary>
    public long Devices { get; init; }

    /// <summary>The share or mean as it was seen, in the metric's own scale.</summary>
    public double? Seen { get; init; }

    /// <summary>Lowest it may be, wrong at any moment with at most the phase's α.</summary>
    public double? Low { get; init; }

    /// <summary>Highest it may be, wrong at any moment with at most the rollout's α.</summary>
    public double? High { get; init; }

    /// <summary>Always-valid p-value of "the gate holds", corrected for the phase's gates by Holm.</summary>
    public double? P { get; init; }

    /// <summary>What <see cref="P"/> must not go below: the α of this phase.</summary>
    public double? Alpha { get; init; }

    /// <summary>Devices still needed at the present rate; null when it is decided, or when no number would do.</summary>
    public long? DevicesNeeded { get; init; }

    /// <summary>Time still needed at the present pace.</summary>
    public TimeSpan? TimeNeeded { get; init; }

    /// <summary>The gate as a person tells it from others: <c>failures</c>, <c>failures of b</c>.</summary>
    public string Name() => Arm is null ? Gate : $"{Gate} of {Arm}";
}

/// <summary>Judges gates by figures alone.</summary>
/// <remarks>
/// Bad is told by always-valid p-values, so that looking after each report costs nothing: with α for the rollout, α ÷ phases for a phase, and
/// Holm's correction over the phase's gates (of an experiment, over each gate of each arm), a release that keeps every limit is stopped by any gate, in any phase, with chance at most α. A device that is
/// still under way counts as one that did well, because failing is faster than settling. Good is told by the upper bound at α, each such
/// device counted as one that did badly. A phase with nothing left to tell, small as it may be, is judged by its plain counts.
/// </remarks>
static class GateJudge
{
    public static ImmutableArray<GateVerdict> Judge(PhaseEvidence evidence, bool explain)
    {
        var alpha = 1 - evidence.Confidence;
        var phaseAlpha = alpha / evidence.Phases;
        var drafts = evidence.Gates.SelectMany(gate => Drafts(gate, evidence, alpha, phaseAlpha, explain)).ToList();
        var tested = drafts.Where(draft => draft.P is not null).ToList();
        var corrected = Hypotheses.Holm([.. tested.Select(draft => draft.P!.Value)]);
        var verdicts = ImmutableArray.CreateBuilder<GateVerdict>();
        foreach (var draft in drafts)
        {
            if (tested.IndexOf(draft) is >= 0 and var at)
            {
                var p = corrected[at];
                verdicts.Add(p <= phaseAlpha
                    ? draft with { Standing = GateStanding.Bad, P = p, Alpha = phaseAlpha, DevicesNeeded = null, TimeNeeded = null, Why = draft.Why.Split(';')[0] + Text($"; that is too much by p = {p:g2}, below {phaseAlpha:0.####}") }
                    : draft with { P = p, Alpha = phaseAlpha });
            }
            else
            {
                verdicts.Add(draft);
            }
        }

        return verdicts.ToImmutable();
    }

    /// <summary>One for each arm that the gate is about; one for all devices where there are none.</summary>
    static IEnumerable<GateVerdict> Drafts(Gate gate, PhaseEvidence evidence, double alpha, double phaseAlpha, bool explain)
    {
        var arms = gate.Kind == GateKind.Check ? [] : evidence.ByArm.Where(arm => arm.Shadow == true || !gate.IsOfShadows).ToList();
        return arms.Count == 0
            ? [Draft(gate, evidence, alpha, phaseAlpha, explain)]
            : arms.Select(arm => Draft(gate, evidence with { Counts = arm.Counts, Figures = arm.Figures }, alpha, phaseAlpha, explain) with { Arm = arm.Arm });
    }

    static GateVerdict Draft(Gate gate, PhaseEvidence evidence, double alpha, double phaseAlpha, bool explain) => gate.Kind switch
    {
        GateKind.Check => Check(gate, evidence),
        GateKind.Metric => Metric(gate, evidence, alpha, phaseAlpha, explain),
        _ => Share(gate, evidence, alpha, phaseAlpha, explain),
    };

    static GateVerdict Check(Gate gate, PhaseEvidence evidence) => evidence.Checks.FirstOrDefault(check => check.Check == gate.Check) is { } result
        ? new(gate.Name(), result.Good ? GateStanding.Good : GateStanding.Bad, result.Why)
        : new(gate.Name(), GateStanding.Unknown, "nobody has said yet");

    static GateVerdict Share(Gate gate, PhaseEvidence evidence, double alpha, double phaseAlpha, bool explain)
    {
        var counts = evidence.Counts;
        var max = gate.Max!.Value;
        var (hits, word) = gate.Kind switch
        {
            GateKind.TakenBack => (counts.TakenBack, "took it back"),
            GateKind.Crashes => (counts.Crashed, "crashed with it"),
            GateKind.Silence => (counts.Silent, "went silent"),
            _ => (counts.Failures, "failed"),
        };
        // Silence is a gate of its own: the others look at devices that can still speak.
        var tries = (long)counts.Settled + counts.Failures + counts.Underway + (gate.Kind == GateKind.Silence ? counts.Silent : 0);
        var verdict = new GateVerdict(gate.Name(), GateStanding.Unknown, "no device has begun yet") { Devices = tries };
        if (tries == 0)
            return verdict;

        var sharp = 5 / max;
        long worst = hits + counts.Underway;
        verdict = verdict with
        {
            Seen = (double)hits / tries,
            Low = explain ? RateSequence.LowerBound(hits, tries, phaseAlpha, sharp) : null,
            High = explain ? RateSequence.UpperBound(worst, tries, alpha, sharp) : null,
            P = RateSequence.PAbove(hits, tries, max, sharp),
        };
        var seen = Text($"{hits} of {tries} devices {word}{(counts.Underway > 0 ? $", {counts.Underway} are under way" : "")}");
        if (counts.Settled == 0)
            return verdict with { Why = $"{seen}; none has settled" };
        if (RateSequence.PBelow(worst, tries, max, sharp) <= alpha)
            return verdict with { Standing = GateStanding.Good, Why = Text($"{seen}; at most {verdict.High:P1} do, {max:P1} may") };
        if (evidence.IsExhausted && hits <= max * tries && counts.Underway == 0)
            return verdict with { Standing = GateStanding.Good, Why = Text($"{seen}, and no other is to come; too few to be sure of {max:P1}, and none too many") };

        var needed = explain ? SharesNeeded(hits, tries, max, sharp, alpha) : null;
        return verdict with
        {
            Why = Text($"{seen}; it may be up to {verdict.High:P1}, {max:P1} may{(needed is { } more ? $", {more} more devices would tell" : "")}"),
            DevicesNeeded = needed,
            TimeNeeded = Time(needed, tries, evidence.InPhase),
        };
    }

    static GateVerdict Metric(Gate gate, PhaseEvidence evidence, double alpha, double phaseAlpha, bool explain)
    {
        var figures = evidence.Figures.FirstOrDefault(known => known.Gate == gate.Name()) ?? new(gate.Name(), default, default);
        var control = gate.Against == Reference.Control;
        var devices = control ? Math.Min(figures.Treated.Count, figures.Control.Count) : figures.Treated.Count;
        var verdict = new GateVerdict(gate.Name(), GateStanding.Unknown, control && figures.Control.Count == 0 && figures.Treated.Count > 0 ? "no device of the control has reported it" : "no device has reported it") { Devices = devices };
        if (devices == 0)
            return verdict;

        var mean = figures.Treated.Mean - (control ? figures.Control.Mean : 0);
        var error = Math.Sqrt(figures.Treated.VarianceOfMean + (control ? figures.Control.VarianceOfMean : 0));
        var samples = figures.Treated.Count + (control ? figures.Control.Count : 0);
        verdict = verdict with { Seen = Shown(gate, mean) };
        if (devices < Gate.LeastDevices)
        {
            if (evidence.IsExhausted && mean <= gate.Margin)
                return verdict with { Standing = GateStanding.Good, Why = $"{Seen(gate, mean)} over {devices} devices, and no other is to come" };
            return verdict with
            {
                Why = $"{Seen(gate, mean)} over {devices} devices; fewer than {Gate.LeastDevices} say nothing",
                DevicesNeeded = Gate.LeastDevices - devices,
                TimeNeeded = Time(Gate.LeastDevices - devices, devices, evidence.InPhase),
            };
        }

        var high = mean + MeanSequence.OneSidedWidth(error, samples, alpha, Gate.SharpAt);
        var low = mean - MeanSequence.OneSidedWidth(error, samples, phaseAlpha, Gate.SharpAt);
        var (first, second) = (Shown(gate, low), Shown(gate, high));
        verdict = verdict with
        {
            Low = Math.Min(first, second),
            High = Math.Max(first, second),
            P = MeanSequence.PAbove(mean - gate.Margin, error, samples, MeanSequence.Rho(2 * phaseAlpha, Gate.SharpAt)),
        };
        var seen = $"{Seen(gate, mean)} over {devices} devices";
        if (high <= gate.Margin)
            return verdict with { Standing = GateStanding.Good, Why = $"{seen}; at worst {Seen(gate, high)}, {Seen(gate, gate.Margin)} is allowed" };
        if (evidence.IsExhausted && mean <= gate.Margin)
            return verdict with { Standing = GateStanding.Good, Why = $"{seen}, and no other is to come; too few to be sure of {Seen(gate, gate.Margin)}" };
        var needed = !explain ? null : MeansNeeded(mean, error * Math.Sqrt(samples), samples, gate.Margin, alpha);
        return verdict with
        {
            Why = $"{seen}; it may be {Seen(gate, high)}, {Seen(gate, gate.Margin)} is allowed{(needed is { } more ? $", {more} more devices would tell" : "")}",
            DevicesNeeded = needed,
            TimeNeeded = Time(needed, devices, evidence.InPhase),
        };
    }

    /// <summary>From the scale of contributions to the metric's own: a change, or a mean against a limit.</summary>
    static double Shown(Gate gate, double value)
    {
        var change = gate.HigherIsWorse ? value : -value;
        return gate.Against is not (null or Reference.Limit) && gate.IsRatio ? SpecialFunctions.ExpMinusOne(change) : change;
    }

    static string Seen(Gate gate, double value) => gate.Against is null or Reference.Limit ? Text($"{Shown(gate, value):g4}") : gate.IsRatio ? Text($"{Shown(gate, value):+0.0%;-0.0%;0%}") : Text($"{Shown(gate, value):+0.####;-0.####;0}");

    /// <summary>The least further devices after which the share would be known to be small enough, were it to stay as it is.</summary>
    static long? SharesNeeded(long hits, long tries, double max, double sharp, double alpha)
    {
        var rate = (double)hits / tries;
        if (rate >= max)
            return null;
        return Least(tries, n => RateSequence.PBelow((long)Math.Ceiling(rate * n), n, max, sharp) <= alpha);
    }

    static long? MeansNeeded(double mean, double deviation, long samples, double margin, double alpha) =>
        mean >= margin ? null : Least(samples, n => mean + MeanSequence.OneSidedWidth(deviation / Math.Sqrt(n), n, alpha, Gate.SharpAt) <= margin);

    /// <summary>Doubles, then halves; null past ten million.</summary>
    static long? Least(long from, Func<long, bool> enough)
    {
        const long Most = 10_000_000;
        var step = 1L;
        while (!enough(from + step))
        {
            if (step > Most)
                return null;
            step *= 2;
        }

        var (low, high) = (step / 2, step);
        while (high - low > 1)
        {
            var middle = (low + high) / 2;
            (low, high) = enough(from + middle) ? (low, middle) : (middle, high);
        }

        return high;
    }

    static TimeSpan? Time(long? needed, long seen, TimeSpan over) =>
        needed is { } more && seen > 0 && over > TimeSpan.Zero && (double)more / seen * over.TotalDays < 10_000 ? TimeSpan.FromMinutes(Math.Ceiling((double)more / seen * over.TotalMinutes)) : null;

    static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
