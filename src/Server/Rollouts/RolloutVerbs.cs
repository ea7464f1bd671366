using System.Diagnostics;
using Coppice.Protocol;
using Coppice.Rollouts;
using static Coppice.Rollouts.RolloutState;

namespace Coppice.Server.Rollouts;

/// <summary>What an operator can order.</summary>
enum RolloutVerb
{
    Hold,
    Resume,
    Revert,
    Abort,
    Advance,
    Retry,
}

/// <summary>A request that the state of things does not allow; the request itself is well formed.</summary>
/// <param name="Type">Last part of the problem's type.</param>
/// <param name="Title">What is wrong, in few words.</param>
/// <param name="Detail">What was found, what is wanted, what to do.</param>
sealed record Refused(string Type, string Title, string Detail);

/// <summary>What an order comes to.</summary>
/// <param name="Event">Null when the rollout is already as was ordered.</param>
/// <param name="Refused">Null when the order is good.</param>
sealed record OrderOutcome(EventKind? Event, Refused? Refused = null);

/// <summary>What each order does to a rollout in each state.</summary>
static class RolloutVerbs
{
    enum Effect
    {
        Go,
        Same,
        Not,
    }

    static Effect EffectOf(RolloutVerb verb, RolloutState state) => (verb, state) switch
    {
        (RolloutVerb.Hold, Running or Complete) => Effect.Go, // a complete rollout still brings late devices the release
        (RolloutVerb.Hold, Held) => Effect.Same,
        (RolloutVerb.Hold, Reverted or Aborted) => Effect.Not,

        (RolloutVerb.Resume, Held) => Effect.Go,
        (RolloutVerb.Resume, Running or Complete) => Effect.Same,
        (RolloutVerb.Resume, Reverted or Aborted) => Effect.Not,

        (RolloutVerb.Revert, Running or Held or Complete or Aborted) => Effect.Go,
        (RolloutVerb.Revert, Reverted) => Effect.Same,

        (RolloutVerb.Abort, Running or Held or Complete) => Effect.Go,
        (RolloutVerb.Abort, Aborted) => Effect.Same,
        (RolloutVerb.Abort, Reverted) => Effect.Not,

        (RolloutVerb.Advance, Running) => Effect.Go,
        (RolloutVerb.Advance, Complete) => Effect.Same,
        (RolloutVerb.Advance, Held or Reverted or Aborted) => Effect.Not,

        (RolloutVerb.Retry, Running or Held or Complete) => Effect.Go,
        (RolloutVerb.Retry, Reverted or Aborted) => Effect.Not,

        _ => throw new UnreachableException($"{verb} of a rollout that is {state} has no row."),
    };

    /// <summary>Carries an order out on a rollout, if it is good.</summary>
    /// <param name="rollout">Changed only when the outcome has an event.</param>
    /// <param name="verb">What is ordered.</param>
    /// <param name="order">Why, and how far.</param>
    /// <param name="failures">Of the present attempt.</param>
    /// <param name="now">The time.</param>
    public static OrderOutcome Apply(this RolloutRow rollout, RolloutVerb verb, RolloutOrder order, int failures, DateTimeOffset now)
    {
        switch (EffectOf(verb, rollout.State))
        {
            case Effect.Same:
                return new(null);
            case Effect.Not:
                return No("rollout-state", $"The rollout is {Name(rollout.State)}.", rollout.State == Held
                    ? $"{rollout.Id} is held ({rollout.Why}); resume or retry it first."
                    : $"{rollout.Id} is {Name(rollout.State)} ({rollout.Why}), and that is for good; start a new rollout.");
        }

        switch (verb)
        {
            case RolloutVerb.Hold:
                rollout.Become(Held, order.Why);
                return new(EventKind.RolloutHeld);
            case RolloutVerb.Revert:
                rollout.Become(Reverted, order.Why);
                return new(EventKind.RolloutReverted);
            case RolloutVerb.Abort:
                rollout.Become(Aborted, order.Why);
                return new(EventKind.RolloutAborted);
            case RolloutVerb.Resume when rollout.Policy().MaxFailures is { } borne && failures > borne:
                return No("too-many-failures", "The rollout would be stopped again.",
                    $"{failures} devices failed and {borne} failures are allowed; retry it (attempt {rollout.Attempt + 1} forgives them), or revert it.");
            case RolloutVerb.Resume:
                rollout.Become(Running, order.Why);
                rollout.BeginPhase(now);
                return new(EventKind.RolloutResumed);
            case RolloutVerb.Retry:
                if (order.Attempt <= rollout.Attempt)
                    return new(null);
                if (order.Attempt != rollout.Attempt + 1)
                    return No("rollout-state", "The attempt is not the next one.", $"{rollout.Id} is at attempt {rollout.Attempt}; retry with attempt {rollout.Attempt + 1}.");
                rollout.Become(Running, order.Why);
                rollout.Attempt++;
                rollout.BeginPhase(now);
                return new(EventKind.RolloutRetried);
            default:
                if (order.Phase <= rollout.Phase)
                    return new(null);
                if (order.Phase != rollout.Phase + 1)
                    return No("rollout-state", "The phase is not the next one.", $"{rollout.Id} is in phase {rollout.Phase} (counted from 0); advance it to phase {rollout.Phase + 1}.");
                return new(rollout.Advance(order.Why, now));
        }
    }

    /// <summary>Starts the next phase; after the last one, the rollout is complete.</summary>
    public static EventKind Advance(this RolloutRow rollout, string why, DateTimeOffset now)
    {
        if (rollout.Phase + 1 == rollout.PhaseList().Length)
        {
            rollout.Become(Complete, why);
            return EventKind.RolloutCompleted;
        }

        (rollout.Phase, rollout.Why) = (rollout.Phase + 1, why);
        rollout.BeginPhase(now);
        return EventKind.RolloutAdvanced;
    }

    /// <summary>Carries out what the worker decided.</summary>
    /// <returns>Null when nothing has changed.</returns>
    public static EventKind? Apply(this RolloutRow rollout, PhaseVerdict verdict, DateTimeOffset now)
    {
        switch (verdict.Action)
        {
            case PhaseAction.Wait when verdict.IsUndecided && rollout.UndecidedSince is null:
                rollout.UndecidedSince = now;
                return EventKind.RolloutUndecided;
            case PhaseAction.Wait:
                return null;
            case PhaseAction.Promote:
                rollout.Promote(verdict.Compared!.Winner!, verdict.Why, now);
                return EventKind.ArmPromoted;
            case PhaseAction.Hold:
                rollout.Become(Held, verdict.Why);
                return EventKind.RolloutHeld;
            case PhaseAction.Revert:
                rollout.Become(Reverted, verdict.Why);
                return EventKind.RolloutReverted;
            default:
                return rollout.Advance(verdict.Why, now);
        }
    }

    public static string Name(RolloutState state) => state.ToString().ToLowerInvariant();

    static OrderOutcome No(string type, string title, string detail) => new(null, new(type, title, detail));
}
