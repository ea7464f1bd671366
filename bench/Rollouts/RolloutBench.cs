using System.Diagnostics;
using System.Globalization;
using Coppice.Numerics;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Rollouts.Rehearsals;

namespace Coppice.Bench.Rollouts;

/// <summary>What gates catch, and what a rehearsal costs.</summary>
static class RolloutBench
{
    public static int Run(string[] args)
    {
        switch (args)
        {
            case ["power"]:
                Power();
                return 0;
            case ["power", "metric"]:
                MetricPower();
                return 0;
            case ["alarms"]:
                Alarms();
                return 0;
            case ["alarms", "whole"]:
                WholeAlarms();
                return 0;
            case ["rehearse", .. var rest]:
                Rehearse(rest is [var count] ? int.Parse(count, CultureInfo.InvariantCulture) : 1_000_000);
                return 0;
            default:
                Console.Error.WriteLine("Say what to measure: power [metric] | alarms [whole] | rehearse [DEVICES]");
                return 2;
        }
    }

    /// <summary>A gate on failures, looked at after every device: when it says bad, and when good.</summary>
    static void Power()
    {
        const int Runs = 10_000, Most = 3_000;
        const double Max = 0.02, Alpha = 0.05;
        int[] looks = [30, 100, 300, 1_000, 3_000];
        // In one phase, with one gate: the least hits that are bad, and the most that are good, for each number of devices.
        var (bad, good) = (new int[Most + 1], new int[Most + 1]);
        for (int n = 1, least = 0, most = -1; n <= Most; n++)
        {
            while (least <= n && RateSequence.PAbove(least, n, Max, 5 / Max) > Alpha)
                least++;
            while (most + 1 <= n && RateSequence.PBelow(most + 1, n, Max, 5 / Max) <= Alpha)
                most++;
            (bad[n], good[n]) = (least, most);
        }

        Console.WriteLine($"| devices that fail | {string.Join(" | ", looks.Select(look => $"bad by {look}"))} | middle | {string.Join(" | ", looks.Skip(1).Select(look => $"good at {look}"))} |");
        Console.WriteLine($"|{string.Concat(Enumerable.Repeat("---|", 2 * looks.Length + 1))}");
        foreach (var rate in (double[])[0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5])
        {
            var random = new SeededRandom(3);
            var stopped = new List<int>();
            var passes = new int[looks.Length];
            for (var run = 0; run < Runs; run++)
            {
                var (hits, at) = (0, 0);
                for (var n = 1; n <= Most; n++)
                {
                    hits += random.NextDouble() < rate ? 1 : 0;
                    if (at == 0 && hits >= bad[n])
                        at = n;
                    if (at == 0 && Array.IndexOf(looks, n) is >= 0 and var look && hits <= good[n])
                        passes[look]++;
                }

                if (at > 0)
                    stopped.Add(at);
            }

            stopped.Sort();
            static string Share(double share) => share is 0 ? "0" : share < 0.001 ? "< 0.1 %" : share.ToString("0.# %", CultureInfo.InvariantCulture);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {rate:0.# %} | {string.Join(" | ", looks.Select(look => Share(stopped.Count(at => at <= look) / (double)Runs)))} | {(stopped.Count * 2 > Runs ? stopped[Runs / 2 < stopped.Count ? Runs / 2 : stopped.Count - 1] : "–")} | {string.Join(" | ", passes.Skip(1).Select(count => Share(count / (double)Runs)))} |"));
        }
    }

    /// <summary>How often a gate of each kind says bad of a release that is exactly at its limit, which is allowed.</summary>
    static void Alarms()
    {
        const int Runs = 10_000;
        Console.WriteLine("| gate | after 100 devices | after 1000 devices |");
        Console.WriteLine("|---|---|---|");
        foreach (var (name, gate) in GateRuns.Kinds)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {GateRuns.Bad(gate, 0, Runs, 100, 5) / (double)Runs:0.0 %} | {GateRuns.Bad(gate, 0, Runs, 1_000, 5) / (double)Runs:0.0 %} |"));
    }

    /// <summary>How often any of all gates stops a rollout whose releases are at every limit, which is allowed.</summary>
    static void WholeAlarms()
    {
        const int Runs = 10_000;
        Console.WriteLine("| arms | phases | after 40 devices each | after 200 devices each |");
        Console.WriteLine("|---|---|---|---|");
        foreach (var (arms, phases) in ((int, int)[])[(0, 1), (0, 2), (0, 4), (2, 1)])
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {(arms == 0 ? "none" : arms)} | {phases} | {GateRuns.WholeBad(arms, phases, Runs, 40, 5) / (double)Runs:0.0 %} | {GateRuns.WholeBad(arms, phases, Runs, 200, 5) / (double)Runs:0.0 %} |"));
    }

    /// <summary>A gate on a metric against before that may rise by a fifth, devices' changes apart by a factor of e^0.3, looked at after every device.</summary>
    static void MetricPower()
    {
        const int Runs = 10_000, Most = 1_000;
        const double Alpha = 0.05;
        int[] looks = [30, 100, 300, 1_000];
        var margin = Math.Log(1.2);
        Console.WriteLine($"| mean change | {string.Join(" | ", looks.Select(look => $"bad by {look}"))} | {string.Join(" | ", looks.Select(look => $"good at {look}"))} |");
        Console.WriteLine($"|{string.Concat(Enumerable.Repeat("---|", 2 * looks.Length + 1))}");
        var rho = MeanSequence.Rho(2 * Alpha, Gate.SharpAt);
        foreach (var rise in (double[])[0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5])
        {
            var random = new SeededRandom(3);
            var (stopped, passes) = (new int[looks.Length], new int[looks.Length]);
            for (var run = 0; run < Runs; run++)
            {
                var (figures, bad) = (default(Moments), false);
                for (var n = 1; n <= Most; n++)
                {
                    figures = figures.Add(Math.Log(1 + rise) + GateRuns.Spread * random.NextGaussian());
                    if (n < Gate.LeastDevices)
                        continue;
                    var error = Math.Sqrt(figures.VarianceOfMean);
                    bad = bad || MeanSequence.PAbove(figures.Mean - margin, error, n, rho) <= Alpha;
                    if (Array.IndexOf(looks, n) is not (>= 0 and var look))
                        continue;
                    stopped[look] += bad ? 1 : 0;
                    passes[look] += !bad && figures.Mean + MeanSequence.OneSidedWidth(error, n, Alpha, Gate.SharpAt) <= margin ? 1 : 0;
                }
            }

            static string Share(int count) => count is 0 ? "0" : count < Runs / 1_000 ? "< 0.1 %" : (count / (double)Runs).ToString("0.# %", CultureInfo.InvariantCulture);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {rise:+0 %;-0 %;0} | {string.Join(" | ", stopped.Select(Share))} | {string.Join(" | ", passes.Select(Share))} |"));
        }
    }

    static void Rehearse(int devices)
    {
        var plan = RehearsedRollout.Of(
            SemanticVersion.Parse("1.4.0"), "", [new(0.01, TimeSpan.FromHours(4)), new(0.1, TimeSpan.FromHours(24)), new(0.5, TimeSpan.FromHours(24)), new(1, TimeSpan.FromHours(24))],
            [new(GateKind.Failures) { Max = 0.02 }, new(GateKind.Crashes) { Max = 0.01 }, new(GateKind.Silence) { Max = 0.05 }, new(GateKind.Metric) { Metric = "latencyP95Ms", Against = Reference.Before, MaxRise = 0.2 }],
            new(null, PhaseAction.Revert), 0.95, TimeSpan.FromHours(24));
        plan = plan with { Rollout = plan.Rollout with { Spread = TimeSpan.FromHours(1) } };
        var clock = Stopwatch.StartNew();
        var result = Rehearsal.Run(plan, new() { Devices = devices, Days = 14 });
        var wall = clock.Elapsed;
        using var self = Process.GetCurrentProcess();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{devices} devices, 14 days: {wall.TotalSeconds:0.0} s ({self.TotalProcessorTime.TotalSeconds:0.0} s of processors), peak {self.PeakWorkingSet64 / 1e6:0} MB; {result.State}, {result.Settled} settled, {result.Failed} failed, {result.Silent} silent, phases end after {string.Join(", ", result.Phases.Select(phase => $"{(phase.EndedAt ?? 0) / 3600.0:0.0} h"))}; peak {result.PeakRequests:0} requests/s, {result.PeakBytes / 1e6:0} MB/s, {result.Bytes / 1e12:0.00} TB"));
    }
}
