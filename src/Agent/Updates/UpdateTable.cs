using System.Collections.Frozen;
using static Coppice.Agent.Updates.UpdateStep;

namespace Coppice.Agent.Updates;

/// <summary>Where an update goes after each step, whatever happened in it.</summary>
/// <remarks>
/// The step is saved before it begins; a device that lost power finds it there and asks for <see cref="Outcome.Restarted"/>.
/// The code of a step does its work and returns an outcome. It never names another step.
/// </remarks>
public static class UpdateTable
{
    sealed record Row(UpdateStep Step, UpdateStep Done, UpdateStep Nothing, UpdateStep Later, UpdateStep Failed, UpdateStep Revoked, UpdateStep Crashed, UpdateStep Restarted, UpdateStep Beside);

    static readonly FrozenDictionary<UpdateStep, Row> Rows = ((Row[])
    [
        //  step       done       nothing    later      failed    revoked   crashed   restarted  beside
        new(Idle,      Decide,    Idle,      Idle,      Idle,     Withdraw, TakeBack, Idle,      Idle),
        new(Decide,    Fetch,     Idle,      Idle,      Report,   Withdraw, TakeBack, Idle,      Idle),      // decides again, on the plan of then
        new(Fetch,     Verify,    Idle,      Idle,      Report,   Withdraw, TakeBack, Idle,      Idle),      // so too; what was fetched is kept
        new(Verify,    Stage,     Verify,    Idle,      Idle,     Withdraw, TakeBack, Verify,    Verify),    // a damaged file is fetched again
        new(Stage,     Trial,     Stage,     Idle,      Idle,     Withdraw, TakeBack, Stage,     Stage),
        new(Trial,     Switch,    Trial,     Idle,      Report,   Withdraw, TakeBack, Trial,     Trial),     // crashes are counted apart
        new(Switch,    Probation, Switch,    Idle,      Report,   Withdraw, TakeBack, Switch,    Report),    // the old one serves until this is saved
        new(Probation, Settle,    Probation, Probation, TakeBack, Withdraw, TakeBack, Probation, Probation), // a crash here comes as Crashed
        new(Settle,    Report,    Settle,    Settle,    Report,   Withdraw, TakeBack, Settle,    Settle),
        new(TakeBack,  Report,    TakeBack,  TakeBack,  Withdraw, Withdraw, TakeBack, TakeBack,  TakeBack),  // the old one is the only safe place to stop
        new(Withdraw,  Report,    Withdraw,  Withdraw,  Report,   Withdraw, Withdraw, Withdraw,  Withdraw),
        new(Report,    Idle,      Report,    Report,    Report,   Withdraw, TakeBack, Report,    Report),
    ]).ToFrozenDictionary(row => row.Step);

    /// <summary>The next step.</summary>
    public static UpdateStep Next(UpdateStep step, Outcome outcome) => outcome switch
    {
        Outcome.Done => Rows[step].Done,
        Outcome.Nothing => Rows[step].Nothing,
        Outcome.Later => Rows[step].Later,
        Outcome.Failed => Rows[step].Failed,
        Outcome.Revoked => Rows[step].Revoked,
        Outcome.Crashed => Rows[step].Crashed,
        Outcome.Restarted => Rows[step].Restarted,
        Outcome.Beside => Rows[step].Beside,
        _ => throw new System.Diagnostics.UnreachableException($"Outcome {outcome} has no column."),
    };

    /// <summary>The step under which another is saved: one that a restart sends to Idle anyway costs no write of its own,
    /// so that a poll that finds nothing writes nothing.</summary>
    public static UpdateStep Saved(UpdateStep step) => step == Decide ? Idle : step;
}
