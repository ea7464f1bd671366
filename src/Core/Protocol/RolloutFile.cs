using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Protocol;

/// <summary>A rollout plan as people write it, in JSON or in YAML turned into JSON. Specified in docs/formats/rollout.md and rollout.schema.json.</summary>
/// <remarks>Unlike the control API's own reader it goes on after a mistake, so that everything that is wrong is told at once, by field.</remarks>
public static class RolloutFile
{
    /// <summary>Largest file taken, in bytes.</summary>
    public const int MaxBytes = 1 << 20;

    /// <summary>Reads a plan.</summary>
    /// <param name="root">The whole document.</param>
    /// <param name="plan">The plan when there is no problem.</param>
    /// <param name="problems">Everything that is wrong.</param>
    public static bool TryRead(JsonElement root, [NotNullWhen(true)] out StartRollout? plan, out ImmutableArray<Problem> problems)
    {
        var read = new FieldReader(root);
        var model = read.Text("model", required: true, "a model name such as plant/bearing", text => ModelName.TryParse(text, out var name) ? name : null);
        var release = read.Text("release", required: true, "a version such as 1.4.0", Version);
        var draft = new StartRollout(model ?? ModelName.Parse("a/b"), release ?? SemanticVersion.Parse("0.0.0"), read.List("phases", required: true, Phase))
        {
            Selector = read.Text("selector") ?? "",
            Policy = read.Object("policy", Policy) ?? (read.Has("gates") ? new(null, PhaseAction.Hold) : RolloutPolicy.Careful),
            Windows = read.List("windows", required: false, Window),
            Salt = read.Text("salt"),
            Why = read.Text("why") ?? "",
            Gates = read.List("gates", required: false, ReadGate),
            Confidence = read.Number("confidence"),
            Deadline = read.Span("deadline"),
            StartsAt = read.Moment("startsAt"),
            Spread = read.Span("spread"),
            FetchEarly = read.Flag("fetchEarly") ?? false,
            Consent = read.Text("consent"),
            ForcedFrom = read.Moment("forcedFrom"),
            Requires = read.List("requires", required: false, Requirement),
            With = read.List("with", required: false, Member),
            Arms = read.List("arms", required: false, ReadArm),
            Experiment = read.Object("experiment", Experiment),
        };
        read.End();
        var found = read.Problems.ToList();
        // Of a field that could not be read, only that is worth saying.
        var unread = found.Select(problem => problem.Where).ToHashSet(StringComparer.Ordinal);
        found.AddRange(RolloutDraft.Check(draft).Where(problem => !unread.Any(where => where == problem.Where || IsOfGate(problem.Where, where) || IsOfSet(problem.Where, where) || where.StartsWith(problem.Where + "[", StringComparison.Ordinal) || where.StartsWith(problem.Where + ".", StringComparison.Ordinal))));
        problems = [.. found];
        plan = problems.IsEmpty ? draft : null;
        return plan is not null;
    }

    /// <summary>Whether a problem is one of a gate whose kind could not be read: what it takes is not known then.</summary>
    static bool IsOfGate(string problem, string unread) => unread.EndsWith("].gate", StringComparison.Ordinal) && problem.StartsWith(unread[..^"gate".Length], StringComparison.Ordinal);

    /// <summary>Whether a problem is that a gate's model is none of the set, while not all of the set could be read.</summary>
    static bool IsOfSet(string problem, string unread) => (unread == "model" || unread.StartsWith("with", StringComparison.Ordinal)) && problem.EndsWith("].model", StringComparison.Ordinal) && problem.Contains("gates[", StringComparison.Ordinal);

    static SemanticVersion? Version(string text) => SemanticVersion.TryParse(text, out var version) ? version : null;

    static Phase Phase(FieldReader read)
    {
        var selector = read.Text("selector");
        var share = read.Share("share") ?? (selector is not null || read.Has("share") ? 1 : null);
        if (share is null)
            read.Wrong("share", "is missing; give a share of the devices, as 5 %, or a selector.");
        return new(share ?? 1, read.Span("soak")) { Selector = selector, Gates = read.Has("gates") ? read.List("gates", required: false, ReadGate) : null };
    }

    static RolloutPolicy Policy(FieldReader read) => new(
        read.Has("maxFailures") ? read.Whole("maxFailures") : null,
        read.Choice<PhaseAction>("onFailure", PhaseAction.Hold, PhaseAction.Revert) ?? PhaseAction.Hold)
    {
        OnUndecided = read.Choice<PhaseAction>("onUndecided", PhaseAction.Wait, PhaseAction.Hold, PhaseAction.Revert) ?? PhaseAction.Wait,
        DecideWithin = read.Span("decideWithin"),
    };

    static MaintenanceWindow Window(FieldReader read)
    {
        if (read.Whole() is { } text)
        {
            if (MaintenanceWindowText.TryParse(text, out var window, out var problem))
                return window;
            read.Wrong("", problem);
            return new([], default, default);
        }

        return new(
            read.Values("days", text => MaintenanceWindowText.Day(text), "a day such as monday"),
            read.Time("from") ?? default, read.Time("to") ?? default);
    }

    static Gate ReadGate(FieldReader read)
    {
        if (!read.Has("gate"))
            read.Wrong("gate", $"is missing; give one of {string.Join(", ", Enum.GetNames<GateKind>().Select(JsonNamingPolicy.CamelCase.ConvertName))}.");
        return new(read.Choice<GateKind>("gate") ?? GateKind.Check)
        {
            Max = read.Share("max"),
            Min = read.Share("min"),
            Metric = read.Text("metric"),
            Model = read.Text("model", required: false, "a model name such as plant/embedder", text => ModelName.TryParse(text, out var name) ? name : null),
            Against = read.Choice<Reference>("against"),
            MaxRise = read.Share("maxRise"),
            MaxDrop = read.Share("maxDrop"),
            Ratio = read.Flag("ratio"),
            Check = read.Text("check"),
        };
    }

    static ModelRequirement Requirement(FieldReader read) => new(
        read.Text("model", required: true, "a model name such as plant/embedder", text => ModelName.TryParse(text, out var name) ? name : null) ?? ModelName.Parse("a/b"),
        read.Text("versions", required: true, "a range such as '>=1.2.0 <2.0.0'", text => VersionRange.TryParse(text, out var range) ? range : null) ?? Any);

    static MemberDraft Member(FieldReader read) => new(
        read.Text("model", required: true, "a model name such as plant/embedder", text => ModelName.TryParse(text, out var name) ? name : null) ?? ModelName.Parse("a/b"),
        read.Text("release", required: true, "a version such as 1.4.0", Version) ?? SemanticVersion.Parse("0.0.0"));

    static VersionRange Any => VersionRange.TryParse("0.0.0", out var any) ? any : throw new System.Diagnostics.UnreachableException();

    static ArmDraft ReadArm(FieldReader read) => new(read.Text("name") ?? "", read.Share("weight") ?? 1, read.Text("release", required: false, "a version such as 1.4.0", Version))
    {
        Shadow = read.Flag("shadow"),
        ShadowShare = read.Share("shadowShare"),
    };

    static ExperimentTerms Experiment(FieldReader read) => new(read.Text("metric") ?? "", read.Choice<Goal>("goal") ?? Goal.Higher)
    {
        Control = read.Text("control") ?? "control",
        SharpAt = read.Number("sharpAt"),
        Promote = read.Flag("promote") ?? false,
    };
}
