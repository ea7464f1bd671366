namespace Coppice.Cli.Quickstart;

/// <summary>What is wrong with a bearing; the numbers are the classes of the model.</summary>
public enum BearingState
{
    Healthy,
    OuterRace,
    InnerRace,
    Ball,
}

/// <summary>The sizes of a rolling bearing that decide at what rates a defect is struck.</summary>
/// <param name="Balls">Number of rolling elements, n.</param>
/// <param name="BallDiameter">d, in millimetres.</param>
/// <param name="PitchDiameter">D, between the centres of opposite balls, in millimetres; above d.</param>
/// <param name="ContactAngle">φ, in radians.</param>
/// <remarks>
/// The rates are those of rolling without slip with the outer race at rest: Randall and Antoni, "Rolling element bearing diagnostics: a
/// tutorial", Mechanical Systems and Signal Processing 25 (2011) 485-520, equations (1) to (4). Real bearings slip by 1 to 2 %.
/// </remarks>
public sealed record BearingGeometry(int Balls, double BallDiameter, double PitchDiameter, double ContactAngle)
{
    double Ratio => BallDiameter / PitchDiameter * Math.Cos(ContactAngle);

    /// <summary>Strikes of the balls on a defect of the outer race, per revolution of the shaft: n/2 (1 - d/D cos φ).</summary>
    public double OuterRaceOrder => Balls / 2.0 * (1 - Ratio);

    /// <summary>Strikes of the balls on a defect of the inner race, per revolution of the shaft: n/2 (1 + d/D cos φ).</summary>
    public double InnerRaceOrder => Balls / 2.0 * (1 + Ratio);

    /// <summary>Turns of a ball about itself, per revolution of the shaft: D/2d (1 - (d/D cos φ)²). Its defect strikes both races in a turn.</summary>
    public double BallSpinOrder => PitchDiameter / (2 * BallDiameter) * (1 - Ratio * Ratio);

    /// <summary>Turns of the cage, per revolution of the shaft: 1/2 (1 - d/D cos φ).</summary>
    public double CageOrder => (1 - Ratio) / 2;

    /// <summary>Strikes per second that a defect makes at a shaft speed in hertz; 0 for a healthy bearing.</summary>
    public double StrikeHertz(BearingState state, double shaftHertz) => StrikeOrder(state) * shaftHertz;

    /// <summary>Strikes per revolution of the shaft; 0 for a healthy bearing.</summary>
    public double StrikeOrder(BearingState state) => state switch
    {
        BearingState.OuterRace => OuterRaceOrder,
        BearingState.InnerRace => InnerRaceOrder,
        BearingState.Ball => 2 * BallSpinOrder,
        _ => 0,
    };
}
