using Coppice.Rollouts;

namespace Coppice.Protocol;

/// <summary>Names of the figures in reports, and what of them a gate takes.</summary>
public static class ReportFigures
{
    /// <summary>How often the release took its host down; with a report of kind refused or takenBack.</summary>
    public const string Crashes = "crashes";

    /// <summary>Share of right answers on the device's own labelled data, else on the release's.</summary>
    public const string Accuracy = "accuracy";

    /// <summary>The share of devices that keep a release, as an experiment's metric.</summary>
    public const string Settled = "settled";

    /// <summary>The same figure of the release that serves on the device, measured on the same samples or requests; null when the report has none.</summary>
    public static double? Serving(string metric, IReadOnlyDictionary<string, double> measures) =>
        metric.Length > 0 && measures.TryGetValue($"serving{char.ToUpperInvariant(metric[0])}{metric[1..]}", out var value) ? value : null;

    /// <summary>A device's figure of a metric; null when the report has none.</summary>
    /// <remarks><c>accuracy</c> is <c>deviceAccuracy</c>, else <c>releaseAccuracy</c>; <c>errorRate</c> is <c>errors</c> over <c>runs</c>.</remarks>
    public static double? Value(string metric, IReadOnlyDictionary<string, double> measures) => measures.TryGetValue(metric, out var value) ? value : metric switch
    {
        Accuracy when measures.TryGetValue("deviceAccuracy", out var own) => own,
        Accuracy when measures.TryGetValue("releaseAccuracy", out var release) => release,
        "errorRate" when measures.TryGetValue("runs", out var runs) && runs > 0 && measures.TryGetValue("errors", out var errors) => errors / runs,
        _ => null,
    };

    /// <summary>What a report adds to a gate; null for nothing.</summary>
    /// <param name="gate">A metric gate.</param>
    /// <param name="measures">The report's figures.</param>
    /// <param name="before">The same device's figures with the release before; null when there are none.</param>
    public static double? Contribution(Gate gate, IReadOnlyDictionary<string, double> measures, IReadOnlyDictionary<string, double>? before)
    {
        if (gate.Kind != GateKind.Metric || Value(gate.Metric!, measures) is not { } value)
            return null;
        // A trial runs the serving release on the same samples, and a shadow on the same requests: there is no nearer reference.
        var reference = Serving(gate.Metric!, measures) ?? (before is null ? null : Value(gate.Metric!, before));
        return gate.Contribution(value, reference);
    }
}
