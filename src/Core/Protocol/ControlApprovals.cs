using System.Collections.Immutable;
using Coppice.Registry;

namespace Coppice.Protocol;

/// <summary>Acts on a rollout that a policy can make wait for another person. Holding and reverting never wait: they only make things safer.</summary>
public enum ApprovalAct
{
    /// <summary>Starting it.</summary>
    Start,

    /// <summary>Letting it go on after a hold.</summary>
    Resume,

    /// <summary>Raising its phase by hand.</summary>
    Advance,

    /// <summary>Letting devices that failed try again.</summary>
    Retry,

    /// <summary>Making an experiment's arm everybody's.</summary>
    Promote,
}

/// <summary>Whether an act still waits.</summary>
public enum ApprovalState
{
    /// <summary>Too few others have approved it. Nothing of it is in any plan.</summary>
    Awaiting,

    /// <summary>It was approved, and done.</summary>
    Done,

    /// <summary>Somebody said no, or the one who asked took it back.</summary>
    Rejected,
}

/// <summary>An act that waits, or waited, for another person: <c>GET /v1/approvals</c>.</summary>
/// <param name="Id">Unique on the server: <c>a-7</c>.</param>
/// <param name="Act">What is to be done.</param>
/// <param name="Model">Whose release.</param>
/// <param name="Release">What the rollout brings.</param>
/// <param name="Selector">Which devices it is for; empty for all.</param>
/// <param name="State">Whether it still waits.</param>
/// <param name="Needed">How many others must approve.</param>
/// <param name="Votes">Who has approved so far.</param>
/// <param name="AskedAt">When it was asked for.</param>
/// <param name="AskedBy">Who asked; they cannot approve it.</param>
/// <param name="ExpiresAt">From this moment on it cannot be approved any more; it is to be asked for again.</param>
/// <param name="Why">Why they want it.</param>
public sealed record ApprovalView(
    string Id, ApprovalAct Act, ModelName Model, SemanticVersion Release, string Selector, ApprovalState State, int Needed, ImmutableArray<ApprovalVote> Votes,
    DateTimeOffset AskedAt, string AskedBy, DateTimeOffset ExpiresAt, string Why)
{
    /// <summary>The rollout it is about; of a start, the one that was started.</summary>
    public string? Rollout { get; init; }

    /// <summary>For an advance: the phase to be in afterwards.</summary>
    public int? Phase { get; init; }

    /// <summary>For a retry: the attempt to be at afterwards.</summary>
    public int? Attempt { get; init; }

    /// <summary>For a promotion: the arm that is to be everybody's.</summary>
    public string? Arm { get; init; }

    /// <summary>For a start: all that is ordered.</summary>
    public StartRollout? Ordered { get; init; }

    /// <summary>Who decided last.</summary>
    public string? DoneBy { get; init; }

    /// <summary>When.</summary>
    public DateTimeOffset? DoneAt { get; init; }

    /// <summary>Why it was rejected.</summary>
    public string? DoneWhy { get; init; }
}

/// <summary>Somebody's yes.</summary>
public sealed record ApprovalVote(string By, DateTimeOffset At, string Why);

/// <summary>Approvals, newest first.</summary>
/// <param name="Approvals">At most as many as were asked for.</param>
/// <param name="Next">Give it as <c>before</c> for older ones; null at the end.</param>
public sealed record ApprovalPage(ImmutableArray<ApprovalView> Approvals, long? Next = null);

/// <summary>How many others must approve acts on models: <c>PUT /v1/policies</c>.</summary>
/// <param name="Models">Which models: <c>*</c>, <c>vision/*</c>, <c>vision/cam*</c> or <c>vision/camera</c>.</param>
/// <param name="Approvals">0 to 10; 0 takes the policy away.</param>
/// <param name="Why">1 to 1,000 characters.</param>
public sealed record SetPolicy(string Models, int Approvals, string Why);

/// <summary>A policy. Where several hold a model, the strictest counts.</summary>
public sealed record PolicyView(string Models, int Approvals, DateTimeOffset SetAt, string SetBy, string Why)
{
    /// <summary>Names the policy as it is now: give it as <c>If-Match</c> to change it only while it is so.</summary>
    public string? Revision { get; init; }
}
