using System.Text.Json;
using Coppice.Numerics;

namespace Coppice.Cli.Quickstart;

/// <summary>Windows of vibration with what was wrong in each.</summary>
/// <remarks>The samples lie one window after the other, <see cref="BearingSimulation.WindowLength"/> floats each.</remarks>
public sealed class BearingWindows
{
    readonly float[] samples;
    readonly int[] labels;

    BearingWindows(float[] samples, int[] labels) => (this.samples, this.labels) = (samples, labels);

    /// <summary>Number of windows.</summary>
    public int Count => labels.Length;

    /// <summary>All windows, one after the other.</summary>
    public ReadOnlySpan<float> Samples => samples;

    /// <summary>A class number of <see cref="BearingState"/> for each window.</summary>
    public ReadOnlySpan<int> Labels => labels;

    /// <summary>One window.</summary>
    public ReadOnlyMemory<float> this[int window] =>
        samples.AsMemory(window * BearingSimulation.WindowLength, BearingSimulation.WindowLength);

    /// <summary>Windows of machines in turn, in random order, as many of each class as the count allows.</summary>
    /// <param name="machines">At least one.</param>
    /// <param name="count">How many windows in all.</param>
    /// <param name="random">Everything that varies.</param>
    public static BearingWindows Record(ReadOnlySpan<BearingMachine> machines, int count, SeededRandom random)
    {
        var classes = Enum.GetValues<BearingState>().Length;
        var plan = new (int Machine, int Label)[count];
        for (var i = 0; i < count; i++)
            plan[i] = (i / classes % machines.Length, i % classes);
        random.Shuffle<(int, int)>(plan);

        var samples = new float[count * BearingSimulation.WindowLength];
        var fleet = machines.ToArray();
        // Each window has a generator of its own, so it does not matter which processor fills which.
        SeededRandom[] generators = [.. Enumerable.Range(0, count).Select(window => random.Fork((ulong)window))];
        Parallel.For(0, count, i => BearingSimulation.Fill(
            fleet[plan[i].Machine],
            (BearingState)plan[i].Label,
            generators[i],
            samples.AsSpan(i * BearingSimulation.WindowLength, BearingSimulation.WindowLength)));
        return new(samples, [.. plan.Select(step => step.Label)]);
    }

    /// <summary>The same windows as somebody labelled them who took the inner race for the outer and the outer for the inner.</summary>
    public BearingWindows WithRacesSwapped() => new(samples, [.. labels.Select(label => (BearingState)label switch
    {
        BearingState.OuterRace => (int)BearingState.InnerRace,
        BearingState.InnerRace => (int)BearingState.OuterRace,
        _ => label,
    })]);

    /// <summary>An evaluation set: a line <c>{"inputs":{"vibration":[…]},"label":2}</c> for each window, in UTF-8.</summary>
    /// <remarks>Numbers are the shortest that read back as the same float; samples have four decimals, so about seven digits at most.</remarks>
    public byte[] ToJsonLines()
    {
        using var output = new MemoryStream();
        for (var i = 0; i < Count; i++)
        {
            using (var json = new Utf8JsonWriter(output))
            {
                json.WriteStartObject();
                json.WriteStartObject("inputs");
                json.WriteStartArray(FaultClassifierGraph.Input);
                foreach (var sample in this[i].Span)
                    json.WriteNumberValue(sample);
                json.WriteEndArray();
                json.WriteEndObject();
                json.WriteNumber("label", labels[i]);
                json.WriteEndObject();
            }
            output.WriteByte((byte)'\n');
        }
        return output.ToArray();
    }
}
