using System.Globalization;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Server.Approvals;

/// <summary>An act that waits for another person.</summary>
sealed class ApprovalRow
{
    /// <summary>An act that was asked for so long ago was asked for under other circumstances.</summary>
    public static readonly TimeSpan Life = TimeSpan.FromDays(7);

    public long Number { get; set; }
    public required ModelName Model { get; set; }
    public required SemanticVersion Release { get; set; }
    public string? Rollout { get; set; }
    public required string Selector { get; set; }
    public required ApprovalAct Act { get; set; }

    /// <summary>JSON of <see cref="StartRollout"/>, <see cref="PromoteArm"/> or <see cref="RolloutOrder"/>.</summary>
    public required string Request { get; set; }
    public required DateTimeOffset AskedAt { get; set; }
    public required string AskedBy { get; set; }
    public required string AskedSubject { get; set; }
    public required string Why { get; set; }
    public required int Needed { get; set; }
    public ApprovalState State { get; set; }
    public DateTimeOffset? DoneAt { get; set; }
    public string? DoneBy { get; set; }
    public string? DoneWhy { get; set; }

    public string Id => string.Create(CultureInfo.InvariantCulture, $"a-{Number}");

    /// <summary>The number in an id; null when it is none of this server's.</summary>
    public static long? TryNumber(string? id) =>
        id is ['a', '-', .. var digits] && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    public StartRollout Start() => JsonSerializer.Deserialize(Request, ControlContext.Default.StartRollout)!;

    public PromoteArm Promotion() => JsonSerializer.Deserialize(Request, ControlContext.Default.PromoteArm)!;

    public RolloutOrder Order() => JsonSerializer.Deserialize(Request, ControlContext.Default.RolloutOrder)!;

    public ApprovalView View(IEnumerable<ApprovalVoteRow> votes)
    {
        var order = Act is ApprovalAct.Start or ApprovalAct.Promote ? null : Order();
        return new(
            Id, Act, Model, Release, Selector, State, Needed, [.. votes.OrderBy(vote => vote.At).Select(vote => new ApprovalVote(vote.By, vote.At, vote.Why))], AskedAt, AskedBy, AskedAt + Life, Why)
        {
            Rollout = Rollout,
            Phase = order?.Phase,
            Attempt = order?.Attempt,
            Arm = Act == ApprovalAct.Promote ? Promotion().Arm : null,
            Ordered = Act == ApprovalAct.Start ? Start() : null,
            DoneAt = DoneAt,
            DoneBy = DoneBy,
            DoneWhy = DoneWhy,
        };
    }
}

/// <summary>Somebody's yes, once.</summary>
sealed class ApprovalVoteRow
{
    public required long Approval { get; set; }
    public required string Subject { get; set; }
    public required string By { get; set; }
    public required DateTimeOffset At { get; set; }
    public required string Why { get; set; }
}

/// <summary>How many others must approve acts on some models.</summary>
sealed class ApprovalPolicyRow
{
    public required string Models { get; set; }
    public required int Approvals { get; set; }
    public required DateTimeOffset SetAt { get; set; }
    public required string SetBy { get; set; }
    public required string Why { get; set; }

    public PolicyView View() => new(Models, Approvals, SetAt, SetBy, Why) { Revision = Preconditions.Revision.Of(Approvals.ToString(CultureInfo.InvariantCulture), Preconditions.Revision.At(SetAt), Why) };
}
