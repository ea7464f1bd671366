namespace Coppice.Agent.Updates;

/// <summary>Where the update of a model stands.</summary>
public enum UpdateStep
{
    /// <summary>Waits for the next poll.</summary>
    Idle,

    /// <summary>Reads the plan and chooses.</summary>
    Decide,

    /// <summary>Brings the files that are not here.</summary>
    Fetch,

    /// <summary>Reads every file back and compares digests.</summary>
    Verify,

    /// <summary>Lays the files out in a slot.</summary>
    Stage,

    /// <summary>Loads the release beside the serving one and measures it.</summary>
    Trial,

    /// <summary>Makes it the serving release.</summary>
    Switch,

    /// <summary>Watches it serve.</summary>
    Probation,

    /// <summary>Keeps it, and frees what is no longer wanted.</summary>
    Settle,

    /// <summary>Goes back to the release before.</summary>
    TakeBack,

    /// <summary>Serves nothing any more.</summary>
    Withdraw,

    /// <summary>Hands what happened to the queue for the server.</summary>
    Report,
}

/// <summary>What came of a step.</summary>
public enum Outcome
{
    /// <summary>It did its work.</summary>
    Done,

    /// <summary>There was nothing to do, or not all of it yet.</summary>
    Nothing,

    /// <summary>It could not, for a reason that passes: no network, a full disk, a damaged file.</summary>
    Later,

    /// <summary>The release failed.</summary>
    Failed,

    /// <summary>The serving release may serve no more, and nothing stands in for it.</summary>
    Revoked,

    /// <summary>The serving release crashed its host too often, or cannot be loaded, or its set is over: it is to be taken back.</summary>
    Crashed,

    /// <summary>The process ended in it.</summary>
    Restarted,

    /// <summary>The release is to run beside what serves, and not instead of it.</summary>
    Beside,
}
