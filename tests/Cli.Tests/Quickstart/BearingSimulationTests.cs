using Coppice.Cli.Quickstart;
using Coppice.Numerics;

namespace Coppice.Cli.Tests.Quickstart;

/// <summary>The simulated faults are what a diagnostician would look for, found by an envelope that shares no code with the classifier's.</summary>
public sealed class BearingSimulationTests
{
    const double ShaftHertz = 30;

    static readonly BearingMachine Machine = new(
        new(9, 7.94, 39.04, 0), ShaftHertz, 0, 2000, 0.04, Strike: 12, Unbalance: 1, GearTeeth: 21, GearMesh: 0.5, SensorGain: 0.1);

    /// <summary>Mean power of the squared, mean-free signal at a frequency (Goertzel's algorithm), over windows of one seed.</summary>
    static double EnvelopePower(BearingState state, double hertz, ulong seed = 1)
    {
        const int windows = 60;
        var random = new SeededRandom(seed);
        var samples = new float[BearingSimulation.WindowLength];
        var total = 0.0;
        for (var window = 0; window < windows; window++)
        {
            BearingSimulation.Fill(Machine, state, random, samples);
            // A second difference keeps little below 500 Hz, where unbalance and the gear are.
            var envelope = new double[samples.Length - 2];
            for (var i = 0; i < envelope.Length; i++)
                envelope[i] = Math.Pow(samples[i] - 2 * samples[i + 1] + samples[i + 2], 2);
            total += Goertzel(envelope, hertz) / Math.Pow(envelope.Average(), 2);
        }
        return total / windows;
    }

    static double Goertzel(double[] values, double hertz)
    {
        var (mean, turn) = (values.Average(), 2 * Math.PI * hertz / BearingSimulation.SampleRate);
        double before = 0, last = 0;
        for (var i = 0; i < values.Length; i++)
        {
            var hann = 0.5 - 0.5 * Math.Cos(2 * Math.PI * i / (values.Length - 1));
            (before, last) = (last, hann * (values[i] - mean) + 2 * Math.Cos(turn) * last - before);
        }
        return (last * last + before * before - 2 * Math.Cos(turn) * last * before) / values.Length / values.Length;
    }

    [Theory]
    [InlineData(BearingState.OuterRace)]
    [InlineData(BearingState.InnerRace)]
    [InlineData(BearingState.Ball)]
    public void A_fault_stands_out_of_the_envelope_at_its_own_strike_rate(BearingState state)
    {
        var strikes = Machine.Bearing.StrikeHertz(state, ShaftHertz);

        var line = EnvelopePower(state, strikes);

        // Beside the line, but not on a sideband of the shaft (30 Hz) or the cage (12 Hz).
        Assert.All(new[] { -47, 45, 49 }, away => Assert.True(
            line > 4 * EnvelopePower(state, strikes + away), $"{strikes:0} Hz: {line:G3}, {away} Hz beside: {EnvelopePower(state, strikes + away):G3}"));
        Assert.True(line > 5 * EnvelopePower(BearingState.Healthy, strikes));
    }

    [Fact]
    public void Outer_race_strikes_are_even_and_inner_race_strikes_swell_once_a_revolution()
    {
        var outer = Machine.Bearing.StrikeHertz(BearingState.OuterRace, ShaftHertz);
        var inner = Machine.Bearing.StrikeHertz(BearingState.InnerRace, ShaftHertz);

        Assert.True(EnvelopePower(BearingState.InnerRace, inner - ShaftHertz) > 0.1 * EnvelopePower(BearingState.InnerRace, inner));
        Assert.True(EnvelopePower(BearingState.OuterRace, outer - ShaftHertz) < 0.05 * EnvelopePower(BearingState.OuterRace, outer));
        Assert.True(EnvelopePower(BearingState.InnerRace, ShaftHertz) > 5 * EnvelopePower(BearingState.OuterRace, ShaftHertz));
    }

    [Fact]
    public void Ball_strikes_swell_once_a_turn_of_the_cage()
    {
        var cage = Machine.Bearing.CageOrder * ShaftHertz;

        Assert.True(EnvelopePower(BearingState.Ball, cage) > 5 * EnvelopePower(BearingState.OuterRace, cage));
    }

    [Fact]
    public void The_sensor_gain_scales_the_window_and_samples_are_steps_of_a_converter()
    {
        var (soft, loud) = (new float[BearingSimulation.WindowLength], new float[BearingSimulation.WindowLength]);
        BearingSimulation.Fill(Machine, BearingState.Ball, new(4), soft);
        BearingSimulation.Fill(Machine with { SensorGain = 2 * Machine.SensorGain }, BearingState.Ball, new(4), loud);

        for (var i = 0; i < soft.Length; i++)
        {
            Assert.Equal(2 * soft[i], loud[i], 2e-4);
            Assert.Equal(MathF.Round(loud[i] * 10000) / 10000, loud[i]);
        }
    }

    [Fact]
    public void A_seed_decides_every_sample()
    {
        var windows = new ulong[] { 1, 1, 2 }.Select(seed =>
        {
            var window = new float[BearingSimulation.WindowLength];
            BearingSimulation.Fill(Machine, BearingState.OuterRace, new(seed), window);
            return window;
        }).ToArray();

        Assert.Equal(windows[0], windows[1]);
        Assert.NotEqual(windows[0], windows[2]);
    }

    [Fact]
    public void A_window_of_another_length_is_refused() =>
        Assert.Throws<ArgumentException>(() => BearingSimulation.Fill(Machine, BearingState.Healthy, new(1), new float[100]));
}
