using System.Collections.Immutable;
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

    /// <summary>In how many whole rollouts any gate of any arm in any phase ever says bad, when each release is at every limit at once.</summary>
    /// <remarks>All of <see cref="Kinds"/> together; of the devices a twentieth crash, and a twentieth of those that do not fall silent.</remarks>
    /// <param name="arms">Of an experiment; 0 for a rollout of one release.</param>
    /// <param name="phases">One after the other, each with devices of its own.</param>
    /// <param name="runs">How many rollouts.</param>
    /// <param name="devices">That begin in each arm in each phase.</param>
    /// <param name="seed">Decides everything.</param>
    public static int WholeBad(int arms, int phases, int runs, int devices, ulong seed)
    {
        var random = new SeededRandom(seed);
        var gates = Kinds.Values.ToImmutableArray();
        var bad = 0;
        for (var run = 0; run < runs; run++)
        {
            var control = gates.Select(gate => gate.Against == Reference.Control ? ControlOf(gate, random) : default).ToArray();
            var stopped = false;
            for (var phase = 0; phase < phases && !stopped; phase++)
                stopped = PhaseBad(gates, control, Math.Max(1, arms), arms > 0, phases, devices, random);
            bad += stopped ? 1 : 0;
        }

        return bad;
    }

    static bool PhaseBad(ImmutableArray<Gate> gates, Moments[] control, int arms, bool experiment, int phases, int devices, SeededRandom random)
    {
        var counts = new RolloutCounts[arms];
        var figures = new Moments[arms, gates.Length];
        Array.Fill(counts, new(0, 0, 0, 0));
        for (var device = 1; device <= devices; device++)
        {
            var news = device >= Gate.LeastDevices; // until then only a bad device can change a verdict to the worse
            for (var arm = 0; arm < arms; arm++)
            {
                var (silent, crashed) = (random.NextDouble() < 0.05, random.NextDouble() < 0.05);
                news |= silent || crashed;
                counts[arm] = silent ? counts[arm] with { Silent = counts[arm].Silent + 1 }
                    : crashed ? counts[arm] with { TakenBack = counts[arm].TakenBack + 1, Crashed = counts[arm].Crashed + 1 }
                    : counts[arm] with { Settled = counts[arm].Settled + 1 };
                for (var gate = 0; gate < gates.Length; gate++)
                    if (gates[gate].Kind == GateKind.Metric)
                        figures[arm, gate] = figures[arm, gate].Add(Figure(gates[gate], 0, random));
            }

            if (news && IsBad())
                return true;
        }

        return false;

        bool IsBad()
        {
            ArmEvidence Of(int arm) => new($"{arm}", counts[arm]) { Figures = [.. gates.Select((gate, i) => new GateFigures(gate.Name(), figures[arm, i], control[i])).Where((_, i) => gates[i].Kind == GateKind.Metric)] };
            var all = Enumerable.Range(0, arms).Select(Of).ToImmutableArray();
            var evidence = new PhaseEvidence(RolloutState.Running, 0, phases, TimeSpan.FromHours(1), new(null, PhaseAction.Revert), default, all[0].Counts) { Gates = gates, Figures = all[0].Figures, ByArm = experiment ? all : [], Absent = 1 };
            return PhaseVerdict.Judge(evidence, explain: false).Action == PhaseAction.Revert;
        }
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
        var treated = default(Moments);
        var control = gate.Against == Reference.Control ? ControlOf(gate, random) : default;
        for (var device = 1; device <= devices; device++)
        {
            treated = treated.Add(Figure(gate, beyond, random));
            if (device >= Gate.LeastDevices && IsBad(gate, new(device, 0, 0, 0), [new(gate.Name(), treated, control)]))
                return true;
        }

        return false;
    }

    static Moments ControlOf(Gate gate, SeededRandom random)
    {
        var control = default(Moments);
        for (var device = 0; device < Control; device++)
            control = control.Add(gate.Contribution(Value(gate, Spread * random.NextGaussian()), null)!.Value);
        return control;
    }

    /// <summary>What a device adds to a metric gate.</summary>
    static double Figure(Gate gate, double beyond, SeededRandom random)
    {
        var before = Spread * random.NextGaussian();
        var worse = gate.Margin + beyond + Spread * random.NextGaussian();
        var value = gate.Against is null ? (gate.HigherIsWorse ? worse : -worse) : Value(gate, (gate.Against == Reference.Before ? before : 0) + (gate.HigherIsWorse ? worse : -worse));
        return gate.Contribution(value, gate.Against == Reference.Before ? Value(gate, before) : null)!.Value;
    }

    static double Value(Gate gate, double onScale) => gate.IsRatio ? 10 * Math.Exp(onScale) : onScale;

    static bool IsBad(Gate gate, RolloutCounts counts, ImmutableArray<GateFigures> figures)
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
