using Coppice.Registry;

namespace Coppice.Agent;

/// <summary>Something that happened on this device.</summary>
/// <param name="At">By the device's clock.</param>
/// <param name="Kind">What.</param>
/// <param name="Text">In words for a person.</param>
public sealed record AgentEvent(DateTimeOffset At, AgentEventKind Kind, string Text)
{
    /// <summary>The model it is about; null when it is about the device.</summary>
    public ModelName? Model { get; init; }

    /// <summary>The release it is about; null when it is about none.</summary>
    public SemanticVersion? Release { get; init; }
}

/// <summary>Kinds of events.</summary>
public enum AgentEventKind
{
    /// <summary>The agent began to run.</summary>
    Opened,

    /// <summary>The agent ended in order.</summary>
    Closed,

    /// <summary>The server knows the device.</summary>
    Enrolled,

    /// <summary>The device has its next certificate.</summary>
    Renewed,

    /// <summary>The repository or the server could not be used; it is tried again.</summary>
    Trouble,

    /// <summary>The plan was read and there is nothing to do.</summary>
    Kept,

    /// <summary>The plan asks the device's user before a release serves.</summary>
    Asked,

    /// <summary>The plan brings a release, and fetching begins.</summary>
    Started,

    /// <summary>The way by which a file comes, and what others would cost.</summary>
    Chosen,

    /// <summary>Every file is here and has its digest.</summary>
    Fetched,

    /// <summary>No variant fits the device.</summary>
    Unfit,

    /// <summary>The trial found nothing against the release.</summary>
    Passed,

    /// <summary>The release failed before it served.</summary>
    Refused,

    /// <summary>The release serves, on probation.</summary>
    Switched,

    /// <summary>Probation is over.</summary>
    Settled,

    /// <summary>The release served and was taken back.</summary>
    TakenBack,

    /// <summary>Nothing serves any more.</summary>
    Stopped,

    /// <summary>A release that had settled was loaded at start.</summary>
    Loaded,

    /// <summary>The process ended while a release was being loaded or on probation.</summary>
    Crashed,

    /// <summary>A release runs beside the serving one, on copies of requests.</summary>
    ShadowStarted,

    /// <summary>It has run long enough without a fault, or its figures are told again.</summary>
    ShadowSettled,

    /// <summary>It does not run any more.</summary>
    ShadowEnded,

    /// <summary>A file on this device is not what it was.</summary>
    Damaged,
}
