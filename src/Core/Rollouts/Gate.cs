using System.Collections.Immutable;
using Coppice.Registry;

namespace Coppice.Rollouts;

/// <summary>What a gate looks at.</summary>
public enum GateKind
{
    /// <summary>Share of the phase's devices that refused the release or took it back.</summary>
    Failures,

    /// <summary>Share that served it and took it back.</summary>
    TakenBack,

    /// <summary>Share on which it took its host down.</summary>
    Crashes,

    /// <summary>Share that began and was not heard of within the rollout's deadline.</summary>
    Silence,

    /// <summary>The mean of a figure that devices report: latency, memory, accuracy, or one of the app's own.</summary>
    Metric,

    /// <summary>What somebody outside says: a test bench, a person, a monitor.</summary>
    Check,
}

/// <summary>What a metric is held against.</summary>
public enum Reference
{
    /// <summary>A fixed number, <see cref="Gate.Max"/> or <see cref="Gate.Min"/>.</summary>
    Limit,

    /// <summary>The same device's figure with the release before.</summary>
    Before,

    /// <summary>Devices that run another release of the model now.</summary>
    Control,
}

/// <summary>Something that must hold in a phase. Of several, all must be good.</summary>
/// <param name="Kind">What it looks at.</param>
public sealed record Gate(GateKind Kind)
{
    /// <summary>Least devices before a metric's mean says anything: its sequence is valid as samples grow many.</summary>
    public const int LeastDevices = 30;

    /// <summary>Devices at which a metric's sequence is sharpest.</summary>
    public const double SharpAt = 500;

    /// <summary>For shares: the largest that is allowed, above 0 and below 1. For a metric against a limit: the largest mean.</summary>
    public double? Max { get; init; }

    /// <summary>For a metric against a limit: the smallest mean.</summary>
    public double? Min { get; init; }

    /// <summary>The metric's name: <c>latencyP95Ms</c>, <c>memoryBytes</c>, <c>accuracy</c>, <c>errorRate</c>, or one of the app's own.</summary>
    public string? Metric { get; init; }

    /// <summary>Of a set, the model whose figure it is; null for the leading one.</summary>
    public ModelName? Model { get; init; }

    /// <summary>What the metric is held against.</summary>
    public Reference? Against { get; init; }

    /// <summary>By how much the mean may be higher than its reference; 0.1 is a tenth where <see cref="Ratio"/>, else 0.1 in the metric's unit.</summary>
    public double? MaxRise { get; init; }

    /// <summary>By how much the mean may be lower than its reference.</summary>
    public double? MaxDrop { get; init; }

    /// <summary>Whether changes are taken as ratios (of logarithms, so that a device twice as slow weighs as much as one twice as fast).</summary>
    public bool? Ratio { get; init; }

    /// <summary>The check's name, as the one outside gives it.</summary>
    public string? Check { get; init; }

    /// <summary>The gate as people and evidence name it; unique in a phase.</summary>
    public string Name() => Kind switch
    {
        GateKind.Metric => $"{Metric}{(Model is { } model ? $" of {model}" : "")} {(MaxRise is not null || (Against is null or Reference.Limit && Max is not null) ? "high" : "low")}{Against switch { Reference.Before => " against before", Reference.Control => " against control", _ => "" }}",
        GateKind.Check => $"check {Check}",
        GateKind.TakenBack => "taken back",
        _ => Kind.ToString().ToLowerInvariant(),
    };

    /// <summary>Whether the metric's changes are ratios: said, or known of latencies and memory.</summary>
    public bool IsRatio => Ratio ?? (Metric is { } name && (name.StartsWith("latency", StringComparison.Ordinal) || name.StartsWith("memory", StringComparison.Ordinal)));

    /// <summary>Of a release that runs beside a serving one, the share of compared requests on which it said the same as the release that answered.</summary>
    public const string Agreement = "agreement";

    /// <summary>Of the same, the largest difference from an answer that was given.</summary>
    public const string Difference = "difference";

    /// <summary>Whether it looks at what only shadows report: it is about no other arm, and about nobody once no arm is left.</summary>
    public bool IsOfShadows => Kind == GateKind.Metric && Metric is Agreement or Difference;

    /// <summary>Whether a higher mean is the worse one.</summary>
    public bool HigherIsWorse => MaxRise is not null || (Against is null or Reference.Limit && Max is not null);

    /// <summary>The bound that the mean change (or the mean, against a limit) must stay within, on the side that is worse, and in the scale of <see cref="GateFigures"/>.</summary>
    public double Margin => Against is null or Reference.Limit
        ? HigherIsWorse ? Max!.Value : -Min!.Value
        : IsRatio ? HigherIsWorse ? Math.Log(1 + MaxRise!.Value) : -Math.Log(1 - MaxDrop!.Value) : (MaxRise ?? MaxDrop)!.Value;

    /// <summary>A device's contribution to the gate's figures: the change on the scale on which they are added up, positive where worse.</summary>
    /// <param name="value">The device's figure.</param>
    /// <param name="reference">Its reference; ignored against a limit and control.</param>
    /// <returns>Null where the figures say nothing: not finite, or no ratio.</returns>
    public double? Contribution(double value, double? reference)
    {
        var sign = HigherIsWorse ? 1 : -1;
        double change;
        switch (Against)
        {
            case Reference.Before when reference is not { }:
                return null;
            case Reference.Before:
                change = IsRatio ? Math.Log(value / reference.Value) : value - reference.Value;
                break;
            case Reference.Control:
                change = IsRatio ? Math.Log(value) : value;
                break;
            default:
                change = value;
                break;
        }

        return double.IsFinite(change) ? sign * change : null;
    }
}

/// <summary>Checks gates.</summary>
public static class GateRules
{
    /// <summary>Most gates of a phase.</summary>
    public const int MaxGates = 32;

    /// <summary>Longest name of a metric or check, in characters.</summary>
    public const int MaxName = 64;

    /// <summary>Everything that is wrong with a list of gates.</summary>
    /// <param name="gates">The gates.</param>
    /// <param name="where">The list as its writer named it: <c>gates</c>, <c>phases[1].gates</c>.</param>
    public static IEnumerable<Problem> Check(ImmutableArray<Gate> gates, string where)
    {
        if (gates.Length > MaxGates)
            yield return new(where, $"{gates.Length} gates are too many; give at most {MaxGates}.");
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < Math.Min(gates.Length, MaxGates); i++)
        {
            var at = $"{where}[{i}]";
            var fine = true;
            foreach (var problem in Check(gates[i], at))
            {
                fine = false;
                yield return problem;
            }

            if (fine && !names.Add(gates[i].Name()))
                yield return new(at, $"there is a gate '{gates[i].Name()}' already; give each once.");
        }
    }

    static IEnumerable<Problem> Check(Gate gate, string at)
    {
        static string? Bad(string? name) => name is null ? "is missing" : name.Length is 0 or > MaxName || name.Any(c => char.IsControl(c)) ? $"has {name.Length} characters, or control characters" : null;

        switch (gate.Kind)
        {
            case GateKind.Check:
                if (Bad(gate.Check) is { } check)
                    yield return new($"{at}.check", $"{check}; give the check's name in 1 to {MaxName} characters.");
                if ((gate.Max ?? gate.Min ?? gate.MaxRise ?? gate.MaxDrop) is not null || (gate.Metric ?? gate.Model?.ToString()) is not null || gate.Against is not null || gate.Ratio is not null)
                    yield return new(at, "takes only check: what it asks is decided outside.");
                break;
            case GateKind.Metric:
                if (Bad(gate.Metric) is { } metric)
                    yield return new($"{at}.metric", $"{metric}; give the figure's name, as latencyP95Ms.");
                if (gate.Check is not null)
                    yield return new($"{at}.check", "says nothing of a metric; leave it out.");
                var limit = gate.Against is null or Reference.Limit;
                if (limit && (gate.Max is null) == (gate.Min is null))
                    yield return new(at, "give either max or min: the largest or the smallest mean that is allowed.");
                if (limit && (gate.MaxRise ?? gate.MaxDrop) is not null)
                    yield return new(at, "maxRise and maxDrop need a reference; give against: before or control.");
                if (limit && gate.Ratio is not null)
                    yield return new($"{at}.ratio", "needs a reference; give against: before or control, or leave it out.");
                if (!limit && (gate.MaxRise is null) == (gate.MaxDrop is null))
                    yield return new(at, "give either maxRise or maxDrop: how much worse the mean may be than its reference.");
                if (!limit && (gate.Max ?? gate.Min) is not null)
                    yield return new(at, "max and min are for a fixed limit; with a reference give maxRise or maxDrop.");
                if (gate.MaxRise is { } rise && !(rise >= 0 && double.IsFinite(rise)))
                    yield return new($"{at}.maxRise", $"{rise} is not a rise; give 0 or more.");
                if (gate.MaxDrop is { } drop && !(drop >= 0 && double.IsFinite(drop) && (!gate.IsRatio || drop < 1)))
                    yield return new($"{at}.maxDrop", $"{drop} is not a drop; give 0 or more, and less than 1 for a ratio.");
                if ((gate.Max ?? gate.Min) is { } bound && !double.IsFinite(bound))
                    yield return new(at, $"{bound} is no limit; give a number.");
                break;
            default:
                if (gate.Max is not (> 0 and < 1))
                    yield return new($"{at}.max", $"{(gate.Max is { } max ? $"{max} is" : "nothing is")} not a share that can be tested; give one above 0 and below 1, as 0.02.");
                if (gate.Min is not null || (gate.Metric ?? gate.Model?.ToString()) is not null || gate.Against is not null || gate.MaxRise is not null || gate.MaxDrop is not null || gate.Ratio is not null || gate.Check is not null)
                    yield return new(at, "takes only max.");
                break;
        }
    }
}
