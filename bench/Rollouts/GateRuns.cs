using Coppice.Numerics;
using Coppice.Rollouts;

namespace Coppice.Bench.Rollouts;

/// <summary>Simulated phases in which a gate is looked at after everything that is heard.</summary>
public static class GateRuns
{
    /// <summary>Devices that begin between a good device's beginning and its settling.</summary>
    const int Probation = 20;

    /// <summary>Devices that begin until a silent one's deadline is over.</summary>
    const int Deadline = 40;

    /// <summary>Devices of a control.</summary>
    const int Control = 200;

    /// <summary>How far devices lie apart, on a metric gate's scale.</summary>
    public const double Spread = 0.3;

    /// <summary>A gate of each kind that devices' words decide, by name.</summary>
    public static IReadOnlyDictionary<string, Gate> Kinds { get; } = new Dictionary<string, Gate>(StringComparer.Ordinal)
    {
        ["failures"] = new(GateKind.Failures) { Max = 0.05 },
        ["takenBack"] = new(GateKind.TakenBack) { Max = 0.05 },
        ["crashes"] = new(GateKind.Crashes) { Max = 0.05 },
        ["silence"] = new(GateKind.Silence) { Max = 0.05 },
        ["metric, a ceiling"] = new(GateKind.Metric) { Metric = "errorRate", Max = 1 },
        ["metric, a floor"] = new(GateKind.Metric) { Metric = "accuracy", Min = 1 },
        ["metric against before, a ratio"] = new(GateKind.Metric) { Metric = "latencyP95Ms", Against = Reference.Before, MaxRise = 0.2 },
        ["metric against before, a difference"] = new(GateKind.Metric) { Metric = "accuracy", Against = Reference.Before, MaxDrop = 0.1 },
        ["metric against control"] = new(GateKind.Metric) { Metric = "memoryBytes", Against = Reference.Control, MaxRise = 0.2 },
    };

    /// <summary>In how many runs the gate ever says bad.</summary>
    /// <param name="gate">One of <see cref="Kinds"/>, or like it.</param>
    /// <param name="beyond">How much worse than the limit the release is: added to the share, or to the mean on the gate's scale. 0 is at the limit, which is allowed.</param>
    /// <param name="runs">How many phases.</param>
    /// <param name="devices">That begin in each.</param>
    /// <param name="seed">Decides everything.</param>
    public static int Bad(Gate gate, double beyond, int runs, int devices, ulong seed)
    {
        var random = new SeededRandom(seed);
        var bad = 0;
        for (var run = 0; run < runs; run++)
            bad += (gate.Kind == GateKind.Metric ? Metric(gate, beyond, devices, random) : Share(gate, gate.Max!.Value + beyond, devices, random)) ? 1 : 0;
        return bad;
    }

    /// <summary>A p-value of a share falls only with a bad device: looking then is looking always.</summary>
    static bool Share(Gate gate, double rate, int devices, SeededRandom random)
    {
        var (settled, underway, refused, back, silent) = (0, 0, 0, 0, 0);
        var ends = new int[devices + Deadline + 1]; // good devices that settle at each tick
        var bad = new int[devices + Deadline + 1]; // and bad ones that are found out
        for (var tick = 0; tick < devices + Deadline; tick++)
        {
            if (tick < devices)
            {
                underway++;
                if (random.NextDouble() >= rate)
                    ends[tick + Probation]++;
                else
                    bad[tick + gate.Kind switch { GateKind.Failures => 0, GateKind.Silence => Deadline, _ => Probation / 2 }]++;
            }

            settled += ends[tick];
            underway -= ends[tick] + bad[tick];
            if (bad[tick] == 0)
                continue;
            if (gate.Kind == GateKind.Failures)
                refused += bad[tick];
            else if (gate.Kind == GateKind.Silence)
                silent += bad[tick];
            else
                back += bad[tick];
            if (IsBad(gate, new(settled, underway, refused, back) { Silent = silent, Crashed = gate.Kind == GateKind.Crashes ? back : 0 }, []))
                return true;
        }

        return false;
    }

    static bool Metric(Gate gate, double beyond, int devices, SeededRandom random)
    {
        var (treated, control) = (default(Moments), default(Moments));
        if (gate.Against == Reference.Control)
        {
            for (var device = 0; device < Control; device++)
                control = control.Add(gate.Contribution(Value(gate, Spread * random.NextGaussian()), null)!.Value);
        }

        for (var device = 1; device <= devices; device++)
        {
            var before = Spread * random.NextGaussian();
            var worse = gate.Margin + beyond + Spread * random.NextGaussian();
            var limit = gate.Against is null;
            var value = limit ? (gate.HigherIsWorse ? worse : -worse) : Value(gate, (gate.Against == Reference.Before ? before : 0) + (gate.HigherIsWorse ? worse : -worse));
            treated = treated.Add(gate.Contribution(value, gate.Against == Reference.Before ? Value(gate, before) : null)!.Value);
            if (device >= Gate.LeastDevices && IsBad(gate, new(device, 0, 0, 0), [new(gate.Name(), treated, control)]))
                return true;
        }

        return false;
    }

    static double Value(Gate gate, double onScale) => gate.IsRatio ? 10 * Math.Exp(onScale) : onScale;

    static bool IsBad(Gate gate, RolloutCounts counts, System.Collections.Immutable.ImmutableArray<GateFigures> figures)
    {
        var evidence = new PhaseEvidence(RolloutState.Running, 0, 1, TimeSpan.FromHours(1), new(null, PhaseAction.Revert), new(counts.Refused, counts.TakenBack), counts)
        {
            Gates = [gate],
            Figures = figures,
            Absent = 1,
        };
        return PhaseVerdict.Judge(evidence, explain: false).Action == PhaseAction.Revert;
    }
}
