using System.Collections.Immutable;
using System.Text.Json;
using Coppice.Audit;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Events;
using Coppice.Server.Rollouts;
using Coppice.Server.Tests.Trust;
using Coppice.Trust;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Rollouts.Conducting;

/// <summary>A rollout as the audit log tells it.</summary>
/// <param name="Terms">What was ordered at its start.</param>
sealed record KnownRollout(StartRollout Terms, RolloutState State, int Phase, int Attempt, string Release, bool HasArms, bool IsUndecided)
{
    /// <summary>A device's arm, told by the terms alone.</summary>
    public ArmDraft ArmOf(string device)
    {
        var hashed = new Rollout("", Terms.Release, default, Terms.Salt!, "", Terms.Phases, 0, State, 1) { Arms = [.. Terms.Arms.Select(arm => new Arm(arm.Name, arm.Weight))] }.ArmOf(device)!.Name;
        return Terms.Arms.First(arm => arm.Name == hashed);
    }

    /// <summary>Whether it brings a release to anybody.</summary>
    public bool Brings(SemanticVersion release) => HasArms ? Terms.Arms.Any(arm => arm.Release == release) || Release == release.ToString() : Release == release.ToString();
}

/// <summary>What must stay true of a conductor whatever happens, told from its tables and its tree by other code than its own.</summary>
sealed class ConductorChecks(SqliteConnection tables, MemoryTree tree, ReadOnlyMemory<byte> root) : IDisposable
{
    /// <summary>How an operator's promotion begins, with the arm after it.</summary>
    public const string Promotes = "promote ";

    sealed record Word(long Sequence, int Attempt, ReportKind Kind);

    readonly Dictionary<long, KnownRollout> rollouts = [];
    readonly Dictionary<(long Rollout, string Device), Word> words = [];
    readonly Dictionary<string, SortedSet<long>> kept = new(StringComparer.Ordinal);
    readonly Dictionary<string, long> through = new(StringComparer.Ordinal);
    readonly TreeClient device = new(tree, root);
    readonly Dictionary<string, SqliteCommand> commands = new(StringComparer.Ordinal); // prepared once
    long lastEvent;
    long lastDecision;
    readonly HashSet<string> signed = new(StringComparer.Ordinal);
    RolloutPlan? plan;
    long seen = -1;
    Sha256Digest chain = AuditChain.Start;

    public IReadOnlyDictionary<long, KnownRollout> Rollouts => rollouts;

    /// <summary>Takes note of a message that was kept: each report once, by its number.</summary>
    public void Keep(string device, ImmutableArray<Report> reports, long? answer)
    {
        var own = kept.TryGetValue(device, out var known) ? known : kept[device] = [];
        foreach (var report in reports.Where(report => own.Add(report.Sequence)))
        {
            if (RolloutRow.TryNumber(report.Rollout) is not { } number || !rollouts.TryGetValue(number, out var rollout) || !rollout.Brings(report.Release) || report.Attempt > rollout.Attempt)
                continue;
            if (report is { Shadow: true, Kind: not (ReportKind.Refused or ReportKind.TakenBack) } && !rollout.HasArms)
                continue; // of what answers nobody, when it is to answer
            if (words.GetValueOrDefault((number, device)) is not { } before || report.Sequence > before.Sequence)
                words[(number, device)] = new(report.Sequence, report.Attempt, report.Kind);
        }

        Assert.True(answer >= through.GetValueOrDefault(device), $"the answer to {device} went back from {through.GetValueOrDefault(device)} to {answer}");
        through[device] = answer!.Value;
        // What a device need not send again is there, as far as it was ever sent from its beginning on.
        Assert.True(Enumerable.Range(1, (int)answer.Value).All(sequence => own.Contains(sequence)), $"{device} was told that its reports up to {answer} are kept, and they are not");
    }

    /// <summary>Holds everything.</summary>
    public async Task HoldAsync(ConductingServer conductor, DateTimeOffset now)
    {
        HoldReports();
        await HoldEventsAsync(conductor);
        HoldRollouts();
        HoldWords();
        HoldPlan(conductor, now);
    }

    /// <summary>No report is lost, none is there twice.</summary>
    void HoldReports()
    {
        var there = Read("SELECT Device, COUNT(*), SUM(Sequence), MAX(Sequence) FROM Reports GROUP BY Device ORDER BY Device", row => (row.GetString(0), row.GetInt64(1), row.GetInt64(2), row.GetInt64(3)));
        Assert.Equal(kept.Where(pair => pair.Value.Count > 0).OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, (long)pair.Value.Count, pair.Value.Sum(), pair.Value.Max)), there);
    }

    /// <summary>What is counted is each device's last word.</summary>
    void HoldWords()
    {
        var there = Read("SELECT Rollout, Device, Sequence, Attempt, Kind FROM RolloutDevices ORDER BY Rollout, Device", row => ((row.GetInt64(0), row.GetString(1)), new Word(row.GetInt64(2), row.GetInt32(3), Enum.Parse<ReportKind>(row.GetString(4)))));
        Assert.Equal(words.OrderBy(word => word.Key.Rollout).ThenBy(word => word.Key.Device, StringComparer.Ordinal).Select(word => (word.Key, word.Value)), there);
    }

    /// <summary>The audit log goes on without a gap, and each thing in it is one that may happen; what the server does by itself rests on a decision that gives the same verdict again.</summary>
    async Task HoldEventsAsync(ConductingServer conductor)
    {
        var (newestEvent, newestDecision) = Read("SELECT (SELECT COALESCE(MAX(Id), 0) FROM Events), (SELECT COALESCE(MAX(Id), 0) FROM RolloutDecisions)", row => (row.GetInt64(0), row.GetInt64(1)))[0];
        if (newestEvent == lastEvent)
        {
            Assert.Equal(lastDecision, newestDecision);
            return;
        }

        var (events, decisions) = await conductor.Database.ReadAsync(async db => (
            await db.Events.Where(row => row.Id > lastEvent).OrderBy(row => row.Id).ToListAsync(),
            await db.RolloutDecisions.Where(row => row.Id > lastDecision).OrderBy(row => row.Id).ToListAsync()), CancellationToken.None);
        var left = new Queue<RolloutDecisionRow>(decisions);
        foreach (var happened in events)
        {
            Assert.Equal(lastEvent + 1, happened.Id);
            chain = happened.Entry().HashAfter(chain);
            Assert.Equal(chain.ToString(), happened.Hash);
            lastEvent = happened.Id;
            if (RolloutRow.TryNumber(happened.Rollout) is { } number)
                Take(number, happened, happened.By == EventRow.Itself ? left.Dequeue() : null);
        }

        Assert.Empty(left);
        lastDecision = newestDecision;
    }

    void Take(long number, EventRow happened, RolloutDecisionRow? decision)
    {
        if (happened.Kind == EventKind.RolloutStarted)
        {
            Assert.DoesNotContain(rollouts.Values, known => known.State == RolloutState.Running);
            var ordered = Read($"SELECT Ordered FROM Rollouts WHERE Number = {number}", row => row.GetString(0))[0];
            var terms = JsonSerializer.Deserialize(ordered, ControlContext.Default.StartRollout)!;
            Assert.True(rollouts.TryAdd(number, new(terms, RolloutState.Running, 0, 1, terms.Release.ToString(), !terms.Arms.IsEmpty, false)));
            return;
        }

        var before = rollouts[number];
        var winner = decision is null ? happened.Why.Replace(Promotes, "", StringComparison.Ordinal).Split(';')[0] : HoldDecision(number, before, happened, decision);
        bool In(params RolloutState[] states) => states.Contains(before.State);
        var (may, after) = happened.Kind switch
        {
            EventKind.RolloutAdvanced => (In(RolloutState.Running) && before.Phase + 1 < before.Terms.Phases.Length, before with { Phase = before.Phase + 1, IsUndecided = false }),
            EventKind.RolloutCompleted => (In(RolloutState.Running) && before.Phase + 1 == before.Terms.Phases.Length, before with { State = RolloutState.Complete, IsUndecided = false }),
            EventKind.RolloutHeld => (In(RolloutState.Running, RolloutState.Complete), before with { State = RolloutState.Held, IsUndecided = false }),
            EventKind.RolloutResumed => (In(RolloutState.Held), before with { State = RolloutState.Running, IsUndecided = false }),
            EventKind.RolloutRetried => (In(RolloutState.Running, RolloutState.Held, RolloutState.Complete), before with { State = RolloutState.Running, Attempt = before.Attempt + 1, IsUndecided = false }),
            EventKind.RolloutReverted => (!In(RolloutState.Reverted), before with { State = RolloutState.Reverted, IsUndecided = false }),
            EventKind.RolloutAborted => (In(RolloutState.Running, RolloutState.Held, RolloutState.Complete), before with { State = RolloutState.Aborted, IsUndecided = false }),
            EventKind.RolloutUndecided => (In(RolloutState.Running) && !before.IsUndecided, before with { IsUndecided = true }),
            EventKind.CheckSaid => (In(RolloutState.Running), before),
            EventKind.ArmPromoted => (before.HasArms, Promoted(before, winner)),
            _ => (false, before),
        };
        Assert.True(may, $"{happened.Kind} of r-{number} by {happened.By}, which was {before.State} in phase {before.Phase}");
        rollouts[number] = after;
        if (happened.Kind != EventKind.ArmPromoted)
            return;
        // Devices of other arms run something else; those of a shadow are to say that it serves, unless it failed there.
        var shadow = before.Terms.Arms.First(arm => arm.Name == winner).Shadow == true;
        foreach (var word in words.Where(word => word.Key.Rollout == number && (before.ArmOf(word.Key.Device).Name != winner || (shadow && word.Value.Kind is not (ReportKind.Refused or ReportKind.TakenBack)))).ToArray())
            words.Remove(word.Key);
    }

    static KnownRollout Promoted(KnownRollout before, string winner) => before.Terms.Arms.First(arm => arm.Name == winner).Release is { } release
        ? before with { HasArms = false, Release = release.ToString(), IsUndecided = false }
        : before with { HasArms = false, State = RolloutState.Reverted, IsUndecided = false };

    /// <summary>A decision is of a running rollout, gives the same verdict again, and goes forward only where every gate is good.</summary>
    /// <returns>The arm that won, where one did.</returns>
    string HoldDecision(long number, KnownRollout before, EventRow happened, RolloutDecisionRow row)
    {
        var decision = row.View();
        var again = PhaseVerdict.Judge(decision.Evidence);
        var shadow = decision.Action == PhaseAction.Promote ? before.Terms.Arms.FirstOrDefault(arm => arm.Name == again.Compared?.Winner && arm.Shadow == true) : null;
        Assert.Equal((number, happened.Why), (row.Rollout, decision.Why + (shadow is null ? "" : $" {shadow.Name} was a shadow, and {shadow.Release} serves from now on.")));
        Assert.Equal((decision.Action, decision.Why), (again.Action, again.Why));
        Assert.Equal((RolloutState.Running, before.Phase), (before.State, decision.Evidence.Phase));
        Assert.Equal(happened.Kind, decision.Action switch
        {
            PhaseAction.Advance => EventKind.RolloutAdvanced,
            PhaseAction.Complete => EventKind.RolloutCompleted,
            PhaseAction.Hold => EventKind.RolloutHeld,
            PhaseAction.Revert => EventKind.RolloutReverted,
            PhaseAction.Promote => EventKind.ArmPromoted,
            _ => EventKind.RolloutUndecided,
        });
        var own = words.Where(word => word.Key.Rollout == number).Select(word => word.Value).ToList();
        Assert.Equal(
            new RolloutFailures(own.Count(word => word.Kind == ReportKind.Refused && word.Attempt == before.Attempt), own.Count(word => word.Kind == ReportKind.TakenBack && word.Attempt == before.Attempt)),
            decision.Evidence.Failures);
        Assert.InRange(decision.Evidence.Counts.Settled, 0, own.Count(word => word.Kind == ReportKind.Settled));
        foreach (var arm in decision.Evidence.ByArm)
        {
            var ofArm = words.Where(word => word.Key.Rollout == number && before.ArmOf(word.Key.Device).Name == arm.Arm).Select(word => word.Value).ToList();
            Assert.InRange(arm.Counts.Settled, 0, ofArm.Count(word => word.Kind == ReportKind.Settled));
            Assert.InRange(arm.Counts.Failures, 0, ofArm.Count(word => word.Kind is ReportKind.Refused or ReportKind.TakenBack));
        }

        Assert.Equal(before.HasArms ? before.Terms.Arms.Where(arm => arm.Release is not null).Select(arm => arm.Name) : [], decision.Evidence.ByArm.Select(arm => arm.Arm));
        if (decision.Action is PhaseAction.Advance or PhaseAction.Complete or PhaseAction.Promote)
            Assert.True(again.Gates.All(gate => gate.Standing == GateStanding.Good || (decision.Action == PhaseAction.Promote && gate.Arm is { } other && other != again.Compared!.Winner)) && (decision.Action == PhaseAction.Promote || decision.Evidence.Counts.Settled > 0), $"{decision.Action} without its gates: {decision.Why}");
        return again.Compared?.Winner ?? "";
    }

    /// <summary>The tables say of each rollout what the audit log says: nothing moved that is not in it.</summary>
    void HoldRollouts()
    {
        var there = Read("SELECT Number, State, Phase, Attempt, Release, Arms IS NOT NULL, UndecidedSince IS NOT NULL FROM Rollouts ORDER BY Number",
            row => (row.GetInt64(0), Enum.Parse<RolloutState>(row.GetString(1)), row.GetInt32(2), row.GetInt32(3), row.GetString(4), row.GetBoolean(5), row.GetBoolean(6)));
        Assert.Equal(rollouts.OrderBy(pair => pair.Key).Select(pair => (pair.Key, pair.Value.State, pair.Value.Phase, pair.Value.Attempt, pair.Value.Release, pair.Value.HasArms, pair.Value.IsUndecided)), there);
    }

    /// <summary>A device can read the tree, whose plan never goes back, names only signed releases, and says what the tables say unless the publisher knows that it is behind.</summary>
    void HoldPlan(ConductingServer conductor, DateTimeOffset now)
    {
        if (seen != tree.Version)
            Read(now);
        seen = tree.Version;
        if (conductor.Plans.IsBehind)
            return;
        if (plan is null)
        {
            Assert.Empty(rollouts);
            return;
        }

        Assert.Equal(Read("SELECT Serial FROM Models", row => row.GetInt64(0))[0], plan.Serial);
        Assert.Equal(
            rollouts.OrderByDescending(pair => pair.Key).Select(pair => ($"r-{pair.Key}", pair.Value.State, pair.Value.Phase, pair.Value.Attempt, pair.Value.Release, pair.Value.HasArms)),
            plan.Rollouts.Select(rollout => (rollout.Id, rollout.State, rollout.Phase, rollout.Attempt, rollout.Release.ToString(), rollout.Arms is not null)));
        Assert.Equal(Read("SELECT Version FROM Releases WHERE RevokedAt IS NOT NULL ORDER BY Version", row => row.GetString(0)), plan.Revoked.Select(release => release.ToString()).Order(StringComparer.Ordinal));
    }

    /// <summary>Reads the plan as a device does, every signature held against its keys.</summary>
    void Read(DateTimeOffset now)
    {
        device.Update(now);
        if (device.Target(RepositoryLayout.PlanTarget(Bearing.ToString())) is not { } bytes)
        {
            Assert.Null(plan);
            return;
        }

        var before = plan?.Serial ?? 0;
        Assert.True(DocumentJson.TryRead(bytes, out plan, out var problems), string.Join(" ", problems));
        Assert.True(plan.Serial >= before, $"the plan went back from {before} to {plan.Serial}");
        foreach (var (release, manifest) in plan.Rollouts.SelectMany(rollout => rollout.Arms is { } arms ? arms.Select(arm => arm.Shadow is { } shadow ? (shadow.Release, shadow.Manifest) : (arm.Release, arm.Manifest)) : [(rollout.Release, rollout.Manifest)]))
        {
            if (release is not null && signed.Add($"{release} {manifest}"))
                Assert.True(device.Target(RepositoryLayout.ReleaseTarget(Bearing.ToString(), release.ToString())) is { } found && Sha256Digest.Of(found) == manifest, $"the plan names {release}, which nobody signed");
        }
    }

    List<T> Read<T>(string sql, Func<SqliteDataReader, T> of)
    {
        if (!commands.TryGetValue(sql, out var command))
        {
            commands.Add(sql, command = tables.CreateCommand());
#pragma warning disable CA2100 // the text is this file's
            command.CommandText = sql;
#pragma warning restore CA2100
        }

        using var reader = command.ExecuteReader();
        var rows = new List<T>();
        while (reader.Read())
            rows.Add(of(reader));
        return rows;
    }

    public void Dispose()
    {
        foreach (var command in commands.Values)
            command.Dispose();
    }
}
