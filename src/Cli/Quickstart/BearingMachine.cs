using Coppice.Numerics;

namespace Coppice.Cli.Quickstart;

/// <summary>A machine with one bearing and one acceleration sensor: what stays the same from window to window.</summary>
/// <param name="Bearing">The bearing's sizes.</param>
/// <param name="ShaftHertz">Mean shaft speed, in revolutions per second.</param>
/// <param name="SpeedSpread">How far the speed of a window lies from the mean, as a share of it.</param>
/// <param name="ResonanceHertz">The structure's natural frequency that strikes excite.</param>
/// <param name="Damping">Damping ratio of that resonance, below 1.</param>
/// <param name="Strike">Median peak acceleration of a strike under full load, in units of the sensor's noise.</param>
/// <param name="Unbalance">Amplitude of the once-per-revolution vibration, in the same unit.</param>
/// <param name="GearTeeth">Teeth of a gear on the same shaft; its mesh is heard.</param>
/// <param name="GearMesh">Amplitude of the gear mesh, in the same unit.</param>
/// <param name="SensorGain">What the sensor makes of one unit, in g; mounting and age change it from device to device.</param>
public sealed record BearingMachine(
    BearingGeometry Bearing,
    double ShaftHertz,
    double SpeedSpread,
    double ResonanceHertz,
    double Damping,
    double Strike,
    double Unbalance,
    int GearTeeth,
    double GearMesh,
    double SensorGain)
{
    /// <summary>A machine of a plant: a bearing of the 62 or 63 series, fitted, mounted and run as it comes.</summary>
    public static BearingMachine Of(SeededRandom random)
    {
        // 6203, 6204, 6205 and 6304: balls, ball diameter and pitch diameter in millimetres.
        var (balls, ball, pitch) = random.NextInt32(4) switch
        {
            0 => (8, 6.75, 28.5),
            1 => (8, 7.94, 33.5),
            2 => (9, 7.94, 39.04),
            _ => (7, 9.53, 36.0),
        };
        return new(
            new(balls, ball, pitch, random.Between(0, 0.1)),
            ShaftHertz: random.Between(27, 37),
            SpeedSpread: random.Between(0.01, 0.04),
            ResonanceHertz: random.Between(1750, 2250),
            Damping: random.Between(0.03, 0.06),
            Strike: random.Between(10, 18),
            Unbalance: random.Between(0.6, 2),
            GearTeeth: 17 + random.NextInt32(12),
            GearMesh: random.Between(0.3, 1),
            SensorGain: random.Between(0.05, 0.2));
    }
}
