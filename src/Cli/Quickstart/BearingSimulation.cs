using Coppice.Numerics;

namespace Coppice.Cli.Quickstart;

/// <summary>Vibration of a rolling bearing, as an acceleration sensor on its housing measures it.</summary>
/// <remarks>
/// A local defect is struck at the rate of its kind, with slip; each strike rings a damped resonance; the load on the defect sets how hard
/// it is. McFadden and Smith, "Model for the vibration produced by a single point defect in a rolling element bearing", Journal of Sound
/// and Vibration 96 (1984) 69-82; slip as a random interval after Antoni and Randall, "A stochastic model for simulation and diagnostics
/// of rolling element bearings with localized faults", Journal of Vibration and Acoustics 125 (2003) 282-289.
/// To that come unbalance, a gear, coloured and white noise, and knocks that have nothing to do with the bearing.
/// A seed gives the same windows on one platform; the library's sine may differ in its last bit on another.
/// </remarks>
public static class BearingSimulation
{
    /// <summary>Samples per second.</summary>
    public const int SampleRate = 6400;

    /// <summary>Samples in a window: 160 ms, about five revolutions.</summary>
    public const int WindowLength = 1024;

    const double WindowSeconds = (double)WindowLength / SampleRate;
    const double WarmUp = 0.03; // seconds before the window whose strikes still ring in it
    const double Slip = 0.01; // standard deviation of the interval between strikes, as a share of it
    const double HalfLoadZone = Math.PI / 2; // no clearance: half of the bearing carries

    /// <summary>Fills a window with the next <see cref="WindowLength"/> samples that the sensor would give, in g.</summary>
    /// <param name="machine">What vibrates.</param>
    /// <param name="state">What is wrong with its bearing.</param>
    /// <param name="random">Speed, phase, slip and noise of this window.</param>
    /// <param name="window">Overwritten; multiples of 0.0001 g, as from a converter of that step.</param>
    /// <exception cref="ArgumentException">The window has another length.</exception>
    public static void Fill(BearingMachine machine, BearingState state, SeededRandom random, Span<float> window)
    {
        if (window.Length != WindowLength)
            throw new ArgumentException($"A window has {WindowLength} samples, not {window.Length}.", nameof(window));

        Span<double> signal = stackalloc double[WindowLength];
        signal.Clear();
        var shaft = new Shaft(
            machine.ShaftHertz * (1 + machine.SpeedSpread * (2 * random.NextDouble() - 1)),
            random.Between(-0.02, 0.02),
            random.NextDouble());

        AddStrikes(signal, machine, state, shaft, random);
        AddRotation(signal, machine, shaft, random);
        AddNoise(signal, machine, random);
        for (var i = 0; i < WindowLength; i++)
            window[i] = MathF.Round((float)(signal[i] * machine.SensorGain * 10000)) / 10000;
    }

    /// <summary>A shaft that speeds up or slows down evenly through the window.</summary>
    /// <param name="Hertz">Speed at the start of the window.</param>
    /// <param name="Change">Change of speed over the window, as a share.</param>
    /// <param name="Start">Position at the start, in revolutions.</param>
    readonly record struct Shaft(double Hertz, double Change, double Start)
    {
        double Acceleration => Hertz * Change / WindowSeconds;

        public double RevolutionsAt(double seconds) => Start + Hertz * seconds + Acceleration / 2 * seconds * seconds;

        /// <summary>The root of <see cref="RevolutionsAt"/> that is near, in the form that does not cancel when the speed is steady.</summary>
        public double SecondsAt(double revolutions)
        {
            var travelled = revolutions - Start;
            return 2 * travelled / (Hertz + Math.Sqrt(Hertz * Hertz + 2 * Acceleration * travelled));
        }
    }

    static void AddStrikes(Span<double> signal, BearingMachine machine, BearingState state, Shaft shaft, SeededRandom random)
    {
        var bearing = machine.Bearing;
        var order = bearing.StrikeOrder(state);
        if (order == 0)
            return;

        // One severity for the window: the defect is what it is, the load and the oil film vary.
        var severity = machine.Strike * Math.Exp(0.25 * random.NextGaussian());
        var place = random.NextDouble(); // where on its race or ball the defect sits, in turns
        var ends = shaft.RevolutionsAt(WindowSeconds);
        var count = 0;
        for (var at = shaft.RevolutionsAt(-WarmUp) + random.NextDouble() / order; at < ends; at += (1 + Slip * random.NextGaussian()) / order, count++)
        {
            var peak = severity * (1 + 0.1 * random.NextGaussian()) * state switch
            {
                BearingState.InnerRace => Load(at + place), // the defect turns with the shaft through the load zone
                BearingState.Ball => Load(bearing.CageOrder * at + place) * (count % 2 == 0 ? 1 : 0.7), // with the cage; the inner race is farther from the sensor
                _ => 1, // the outer race rests, here in the load zone
            };
            if (peak > 0)
                AddRinging(signal, shaft.SecondsAt(at), peak, machine.ResonanceHertz, machine.Damping);
        }
    }

    /// <summary>
    /// Share of the largest load at an angle, in turns from its middle: Stribeck's distribution with ε = 1/2 and Hertz's exponent 3/2 of
    /// point contact, (1 - (1 - cos ψ) / 2ε)^(3/2) inside the load zone. A tenth remains outside: balls also strike by their weight.
    /// </summary>
    static double Load(double turns)
    {
        var angle = 2 * Math.PI * (turns - Math.Round(turns));
        var inside = Math.Abs(angle) < HalfLoadZone ? Math.Cos(angle) : 0;
        return 0.1 + 0.9 * inside * Math.Sqrt(inside);
    }

    /// <summary>peak × exp(-ζ ω t) sin(ω √(1 - ζ²) t) from a moment on, by the recurrence of a resonator with two poles.</summary>
    static void AddRinging(Span<double> signal, double seconds, double peak, double hertz, double damping)
    {
        var omega = 2 * Math.PI * hertz;
        var decay = Math.Exp(-damping * omega / SampleRate);
        var turn = omega * Math.Sqrt(1 - damping * damping) / SampleRate;
        var first = Math.Max(0, (int)Math.Ceiling(seconds * SampleRate));
        var since = first - seconds * SampleRate; // samples from the strike to the first one that hears it

        var feedback = 2 * decay * Math.Cos(turn);
        var square = decay * decay;
        var amplitude = peak * Math.Exp(-damping * omega / SampleRate * since);
        var now = amplitude * Math.Sin(turn * since);
        var next = amplitude * decay * Math.Sin(turn * (since + 1));
        var quiet = peak * 1e-3;
        for (var i = first; i < signal.Length && amplitude > quiet; i++, amplitude *= decay)
        {
            signal[i] += now;
            (now, next) = (next, feedback * next - square * now);
        }
    }

    static void AddRotation(Span<double> signal, BearingMachine machine, Shaft shaft, SeededRandom random)
    {
        // Unbalance, misalignment and looseness at once, twice and three times the speed; the mesh of the gear and its first harmonic.
        var (twice, thrice) = (machine.Unbalance * random.Between(0.1, 0.5), machine.Unbalance * random.Between(0.05, 0.25));
        var (phase, meshPhase) = (random.NextDouble(), random.NextDouble());
        for (var i = 0; i < signal.Length; i++)
        {
            var revolutions = shaft.RevolutionsAt((double)i / SampleRate);
            var (sine, cosine) = Math.SinCos(2 * Math.PI * (revolutions + phase));
            var (meshSine, meshCosine) = Math.SinCos(2 * Math.PI * (machine.GearTeeth * revolutions + meshPhase));
            signal[i] += machine.Unbalance * sine
                + twice * 2 * sine * cosine // sin 2a
                + thrice * sine * (3 - 4 * sine * sine) // sin 3a
                + machine.GearMesh * meshSine * (1 + 0.8 * meshCosine);
        }
    }

    static void AddNoise(Span<double> signal, BearingMachine machine, SeededRandom random)
    {
        var coloured = 0.0; // more of it below 200 Hz, from flow and traffic
        for (var i = 0; i < signal.Length; i++)
        {
            var white = random.NextGaussian();
            coloured = 0.85 * coloured + 0.3 * white;
            signal[i] += white + coloured;
        }

        // Knocks from elsewhere that ring the same structure, on average one in a window.
        for (var knocks = random.NextInt32(3); knocks > 0; knocks--)
        {
            AddRinging(
                signal, random.Between(0, WindowSeconds), machine.Strike * random.Between(0.3, 1), machine.ResonanceHertz, machine.Damping);
        }
    }
}
