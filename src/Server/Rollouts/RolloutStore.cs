using System.Collections.Immutable;
using System.Text.Json;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Access;
using Coppice.Server.Events;
using Coppice.Server.Fleet;
using Coppice.Server.Preconditions;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Rollouts;

sealed class RolloutStore(Database database, PlanPublisher plans)
{
    const int MaxListed = 500;

    /// <summary>Starts a rollout on top of the model's others.</summary>
    /// <param name="wanted">Well formed.</param>
    /// <param name="by">Who wants it.</param>
    /// <param name="now">The time.</param>
    /// <param name="cancel">Ends the call before anything is committed.</param>
    /// <param name="alongside">What else is to be changed in the same transaction, given the rollout's id.</param>
    public Task<(RolloutView? Started, Refused? Refused)> StartAsync(StartRollout wanted, string by, DateTimeOffset now, CancellationToken cancel, Func<CoppiceDb, string, Task>? alongside = null) =>
        plans.ChangeAsync<(RolloutView?, Refused?)>(wanted.Model, async db =>
        {
            var releases = new List<ReleaseRow>();
            foreach (var (model, version) in wanted.With.Select(member => (member.Model, member.Release)).Prepend((wanted.Model, wanted.Release)))
            {
                if (await ReleaseStore.FindRowAsync(db, model, version, cancel) is not { } found)
                    return (No("no-release", "There is no such release.", $"{model} has no release {version}; publish it first."), []);
                if (found.RevokedAt is not null)
                    return (No("release-revoked", "The release is revoked.", $"{model} {found.Version} was revoked at {found.RevokedAt:u} ({found.RevokedWhy}); roll out another."), []);
                if (await RunningAsync(db, model, cancel) is { } active)
                    return (Active(active, model), []);
                if (await UnmetAsync(db, found, cancel) is { } unmet)
                    return (No("needs-model", "The release needs another model.", unmet), []);
                releases.Add(found);
            }

            var release = releases[0];

            var row = RolloutRow.Of(wanted, release.Version, release.Digest, wanted.Salt ?? Secret.Create()[..16], by, now);
            if (!wanted.Arms.IsEmpty)
            {
                var (arms, missing) = await ArmsAsync(db, wanted, cancel);
                if (missing is not null)
                    return (No("no-release", "There is no such release.", missing), []);
                row.Arms = JsonSerializer.Serialize(arms, ControlContext.Default.ImmutableArrayArm);
            }

            if (releases.Count > 1)
                row.Members = JsonSerializer.Serialize([.. releases.Skip(1).Select(member => new SetMember(member.Model, member.Version, member.Digest))], ControlContext.Default.ImmutableArraySetMember);
            db.Rollouts.Add(row);
            await db.SaveChangesAsync(cancel); // gives it its number
            var started = row.Event(EventKind.RolloutStarted, by, now);
            started.Why = string.Join("; ", ((string[])[started.Why, .. (row.ArmList() ?? []).Where(arm => arm.Shadow is not null).Select(arm => $"arm {arm.Name} runs {arm.Runs} as a shadow")]).Where(part => part.Length > 0));
            db.Events.Add(started);
            await RolloutFigures.ReadControlAsync(db, row, cancel);
            if (alongside is not null)
                await alongside(db, row.Id);
            // The leading model's plan last: what points to it is held until it is there.
            return ((row.View(await RolloutStanding.ReadAsync(db, row, now, cancel), now), null), [.. row.Models().Reverse()]);
        }, cancel);

    /// <summary>Rollouts, newest first.</summary>
    /// <param name="model">Of this model; null for any.</param>
    /// <param name="state">In this state; null for any.</param>
    /// <param name="sees">Of which models the caller may see some.</param>
    /// <param name="before">Only those with a lower number.</param>
    /// <param name="limit">Most that are looked at.</param>
    /// <param name="now">The time.</param>
    /// <param name="cancel">Ends the call.</param>
    public Task<RolloutPage> ListAsync(ModelName? model, RolloutState? state, Func<ModelName, bool> sees, long before, int limit, DateTimeOffset now, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.Rollouts.Where(row => row.Number < before && (model == null || row.Model == model) && (state == null || row.State == state)).OrderByDescending(row => row.Number).Take(limit + 1).ToListAsync(cancel);
        var views = ImmutableArray.CreateBuilder<RolloutView>(rows.Count);
        foreach (var row in rows.Take(limit).Where(row => sees(row.Model)))
            views.Add(row.View(await RolloutStanding.ReadAsync(db, row, now, cancel), now));
        return new RolloutPage(views.ToImmutable(), rows.Count > limit ? rows[limit - 1].Number : null);
    }, cancel);

    /// <summary>A rollout with a page of its devices.</summary>
    public Task<RolloutDetail?> FindAsync(long number, string after, int limit, DateTimeOffset now, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        if (await db.Rollouts.FirstOrDefaultAsync(row => row.Number == number, cancel) is not { } row)
            return null;
        var devices = await db.RolloutDevices.Where(device => device.Rollout == number && string.Compare(device.Device, after) > 0).OrderBy(device => device.Device).Take(limit + 1).ToListAsync(cancel);
        var page = devices.Take(limit).Select(device => device.View()).ToImmutableArray();
        return new RolloutDetail(row.View(await RolloutStanding.ReadAsync(db, row, now, cancel), now), page, devices.Count > limit ? page[^1].Device : null);
    }, cancel);

    /// <summary>Carries out an operator's order.</summary>
    /// <returns>Neither when there is no such rollout.</returns>
    public async Task<(RolloutView? Now, Refused? Refused)> OrderAsync(long number, RolloutVerb verb, RolloutOrder order, string by, DateTimeOffset now, CancellationToken cancel, IfMatch? match = null)
    {
        if (await ModelOfAsync(number, cancel) is not { } model)
            return (null, null);
        return await plans.ChangeAsync<(RolloutView?, Refused?)>(model, async db =>
        {
            var row = await db.Rollouts.SingleAsync(row => row.Number == number, cancel);
            match?.Require($"the rollout {row.Id}", row.Revision());
            if (verb is RolloutVerb.Resume or RolloutVerb.Retry && row.State is RolloutState.Held or RolloutState.Complete)
            {
                foreach (var (brought, version) in (row.MemberList() ?? []).Select(member => (member.Model, member.Release)).Prepend((model, row.Release)))
                {
                    if (await db.Releases.AnyAsync(release => release.Model == brought && release.Version == version && release.RevokedAt != null, cancel))
                        return (No("release-revoked", "The release is revoked.", $"{brought} {version} may not serve any more; start a rollout of another."), false);
                    if ((verb == RolloutVerb.Retry || row.State == RolloutState.Held) && await RunningAsync(db, brought, cancel) is { } active)
                        return (Active(active, brought), false);
                }
            }

            var standing = await RolloutStanding.ReadAsync(db, row, now, cancel);
            if (verb == RolloutVerb.Resume && row.State == RolloutState.Held && !row.GateList().IsEmpty
                && PhaseVerdict.Judge(standing.Evidence(row, now) with { State = RolloutState.Running }, explain: false) is { Action: PhaseAction.Hold or PhaseAction.Revert } still)
                return (No("too-many-failures", "The rollout would be stopped again.", $"{still.Why} Retry it (attempt {row.Attempt + 1} counts anew), or revert it."), false);
            var outcome = row.Apply(verb, order, standing.Counts.Failures, now);
            if (outcome.Refused is { } refused)
                return ((null, refused), false);
            if (outcome.Event is { } happened)
            {
                db.Events.Add(row.Event(happened, by, now));
                if (happened == EventKind.RolloutAdvanced)
                    await RolloutFigures.ReadControlAsync(db, row, cancel);
                await db.SaveChangesAsync(cancel);
                standing = await RolloutStanding.ReadAsync(db, row, now, cancel);
            }

            return ((row.View(standing, now), null), outcome.Event is not null);
        }, cancel);
    }

    /// <summary>Numbers of the rollouts that run.</summary>
    public Task<List<long>> RunningAsync(CancellationToken cancel) =>
        database.ReadAsync(db => db.Rollouts.Where(row => row.State == RolloutState.Running).OrderBy(row => row.Number).Select(row => row.Number).ToListAsync(cancel), cancel);

    /// <summary>Judges a rollout by what its devices have said, does what the verdict says, and keeps what it rested on.</summary>
    /// <returns>What happened; null for nothing.</returns>
    public async Task<EventKind?> JudgeAsync(long number, DateTimeOffset now, CancellationToken cancel)
    {
        var (model, waits) = await database.ReadAsync(async db =>
        {
            var row = await db.Rollouts.SingleAsync(row => row.Number == number, cancel);
            var (_, verdict) = await VerdictAsync(db, row, now, cancel);
            return (row.Model, row.Apply(verdict, now) is null); // on a copy that nobody keeps
        }, cancel);
        if (waits)
            return null; // as most often: without keeping writers waiting
        return await plans.ChangeAsync(model, async db =>
        {
            var row = await db.Rollouts.SingleAsync(row => row.Number == number, cancel);
            var (evidence, verdict) = await VerdictAsync(db, row, now, cancel);
            if (row.Apply(verdict, now) is not { } kind)
                return ((EventKind?)null, false);
            db.RolloutDecisions.Add(RolloutDecisionRow.Of(number, evidence, verdict, now));
            var happened = row.Event(kind, EventRow.Itself, now);
            happened.Why = verdict.Why;
            db.Events.Add(happened);
            if (kind == EventKind.ArmPromoted)
            {
                var winner = evidence.Arms.First(arm => arm.Arm == verdict.Compared!.Winner);
                if (winner.Shadow == true)
                    happened.Why += $" {winner.Arm} was a shadow, and {row.Release} serves from now on.";
                await KeepArmAsync(db, row, winner.Arm, winner.Shadow == true, cancel);
            }

            if (kind == EventKind.RolloutAdvanced)
                await RolloutFigures.ReadControlAsync(db, row, cancel);
            return (kind, kind != EventKind.RolloutUndecided); // of that devices know nothing
        }, cancel);
    }

    /// <summary>What the server decided about a rollout and why, what operators ordered, and what is known now.</summary>
    public Task<RolloutWhy?> WhyAsync(long number, DateTimeOffset now, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        if (await db.Rollouts.FirstOrDefaultAsync(row => row.Number == number, cancel) is not { } row)
            return null;
        var decisions = await db.RolloutDecisions.Where(decision => decision.Rollout == number).OrderBy(decision => decision.Id).ToListAsync(cancel);
        var orders = await db.Events.Where(happened => happened.Rollout == row.Id && happened.By != EventRow.Itself).OrderBy(happened => happened.Id).Take(MaxListed).ToListAsync(cancel);
        var (evidence, _) = await VerdictAsync(db, row, now, cancel);
        return new RolloutWhy(row.Id, [.. decisions.Select(decision => decision.View())], evidence, [.. orders.Select(order => order.View())]) { With = row.MemberList() };
    }, cancel);

    /// <summary>Takes what somebody outside says of the present phase.</summary>
    /// <returns>Neither when there is no such rollout.</returns>
    public Task<(RolloutView? Now, Refused? Refused)> CheckAsync(long number, SayCheck said, string by, DateTimeOffset now, CancellationToken cancel) =>
        database.WriteAsync<(RolloutView?, Refused?)>(async db =>
        {
            if (await db.Rollouts.SingleOrDefaultAsync(row => row.Number == number, cancel) is not { } row)
                return (null, null);
            if (row.State != RolloutState.Running || row.Phase != said.Phase)
                return No("rollout-state", "The check is about another phase.", $"{row.Id} is {RolloutVerbs.Name(row.State)} in phase {row.Phase} (counted from 0), and the result is about phase {said.Phase}; it counts for nothing.");
            if (!row.GateList().Any(gate => gate.Kind == GateKind.Check && gate.Check == said.Check))
                return No("no-check", "The phase asks for no such check.", $"Phase {row.Phase} of {row.Id} has the gates {string.Join(", ", row.GateList().Select(gate => $"'{gate.Name()}'"))}.");
            var kept = await db.RolloutChecks.FindAsync([number, said.Check, row.Attempt, row.Phase], cancel);
            if (kept is null)
                db.RolloutChecks.Add(kept = new() { Rollout = number, Name = said.Check, Attempt = row.Attempt, Phase = row.Phase, Why = "", By = by });
            if ((kept.Good, kept.Why, kept.By) != (said.Good, said.Why, by) || kept.At == default)
            {
                (kept.Good, kept.Why, kept.By, kept.At) = (said.Good, said.Why, by, now);
                var happened = row.Event(EventKind.CheckSaid, by, now);
                happened.Why = $"{said.Check} is {(said.Good ? "good" : "bad")}: {said.Why}";
                db.Events.Add(happened);
                await db.SaveChangesAsync(cancel);
            }

            return (row.View(await RolloutStanding.ReadAsync(db, row, now, cancel), now), null);
        }, cancel);

    /// <summary>Makes an arm of an experiment everybody's.</summary>
    /// <param name="number">Of the rollout.</param>
    /// <param name="order">Which arm, and why.</param>
    /// <param name="by">Who wants it.</param>
    /// <param name="now">The time.</param>
    /// <param name="cancel">Ends the call before anything is committed.</param>
    /// <param name="alongside">What else is to be changed in the same transaction.</param>
    /// <param name="match">What the rollout must be at; null for anything.</param>
    /// <returns>Neither when there is no such rollout.</returns>
    public async Task<(RolloutView? Now, Refused? Refused)> PromoteAsync(long number, PromoteArm order, string by, DateTimeOffset now, CancellationToken cancel, Func<CoppiceDb, Task>? alongside = null, IfMatch? match = null)
    {
        if (await ModelOfAsync(number, cancel) is not { } model)
            return (null, null);
        return await plans.ChangeAsync<(RolloutView?, Refused?)>(model, async db =>
        {
            var row = await db.Rollouts.SingleAsync(row => row.Number == number, cancel);
            match?.Require($"the rollout {row.Id}", row.Revision());
            if (row.ArmList() is not { } arms)
                return (No("rollout-state", "The rollout has no arms.", $"{row.Id} is no experiment, or an arm was promoted already ({row.Why})."), false);
            if (arms.All(arm => arm.Name != order.Arm))
                return (No("rollout-state", "There is no such arm.", $"{row.Id} has the arms {string.Join(", ", arms.Select(arm => arm.Name))}."), false);
            if (row.State is RolloutState.Reverted or RolloutState.Aborted)
                return (No("rollout-state", $"The rollout is {RolloutVerbs.Name(row.State)}.", "That is for good; start a new rollout of the release."), false);
            row.Promote(order.Arm, order.Why, now);
            var shadow = arms.First(arm => arm.Name == order.Arm).Shadow is not null;
            await KeepArmAsync(db, row, order.Arm, shadow, cancel);
            var promoted = row.Event(EventKind.ArmPromoted, by, now);
            if (shadow)
                promoted.Why += $"; {order.Arm} was a shadow, and {row.Release} serves from now on";
            db.Events.Add(promoted);
            if (alongside is not null)
                await alongside(db);
            await db.SaveChangesAsync(cancel);
            return ((row.View(await RolloutStanding.ReadAsync(db, row, now, cancel), now), null), true);
        }, cancel);
    }

    /// <summary>Counts a device's reports for the rollouts they name.</summary>
    /// <returns>Whether one of these rollouts may have to be judged anew.</returns>
    internal static async Task<bool> CountAsync(ReportBook book, string device, ImmutableArray<Report> reports, DateTimeOffset now, CancellationToken cancel)
    {
        var (db, decides) = (book.Db, false);
        foreach (var ofRollout in reports.Where(report => report.Kind != ReportKind.Stopped).GroupBy(report => RolloutRow.TryNumber(report.Rollout)))
        {
            if (ofRollout.Key is not { } number || await book.RolloutAsync(number, cancel) is not { } rollout)
                continue;
            var row = await book.RolloutDeviceAsync(number, device, cancel);
            // A report of an attempt that nobody ordered, or about another release, counts for nothing. Nor does that a promoted release ran well without answering: now it is to serve.
            foreach (var report in ofRollout.Where(report => report.Model == rollout.Model && rollout.Brings(report.Release) && report.Attempt <= rollout.Attempt))
            {
                if (report is { Shadow: true, Kind: not (ReportKind.Refused or ReportKind.TakenBack) } && rollout.ArmList() is null)
                    continue;
                if (row is null)
                    book.Add(row = new() { Rollout = number, Device = device });
                if (report.Sequence > row.Sequence)
                    await RolloutBytesRow.TakeAsync(db, number, report, device, cancel);
                if (row.Take(report, rollout.Phase, now))
                {
                    row.Arm = rollout.ToRollout().ArmOf(device)?.Name;
                    await RolloutFigures.TakeAsync(db, rollout, row, report, cancel);
                }

                decides |= rollout.State == RolloutState.Running && report.Kind is ReportKind.Settled or ReportKind.Refused or ReportKind.TakenBack;
            }

            if (rollout.MemberList() is { } members)
                await MeasureMembersAsync(book, rollout, row, device, [.. ofRollout.Where(report => report.Attempt <= rollout.Attempt && members.Any(member => member.Model == report.Model && member.Release == report.Release))], cancel);
        }

        return decides;
    }

    /// <summary>Takes what was measured of models that come along: gates may name them, though the device's word on the set is the leading model's.</summary>
    static async Task MeasureMembersAsync(ReportBook book, RolloutRow rollout, RolloutDeviceRow? lead, string device, ImmutableArray<Report> reports, CancellationToken cancel)
    {
        foreach (var ofModel in reports.GroupBy(report => report.Model))
        {
            if (await book.ModelAsync(device, ofModel.Key, cancel) is { } known && known.Sequence > ofModel.Max(report => report.Sequence))
                continue; // overtaken by a later word
            if (ofModel.Where(report => report.Measures is not null).MaxBy(report => report.Sequence) is not { } last)
                continue;
            var phase = lead?.Attempt == last.Attempt ? lead.Phase : rollout.Phase;
            await RolloutFigures.TakeAsync(book.Db, rollout, new() { Rollout = rollout.Number, Device = device, Attempt = last.Attempt, Phase = phase }, last, cancel);
        }
    }

    /// <summary>Ends an experiment. Devices of the other arms run something else: what they said is no word on the release that goes on.</summary>
    /// <remarks>Of a shadow, devices say it anew once the release serves them; that it failed there is a word that stays.</remarks>
    static async Task KeepArmAsync(CoppiceDb db, RolloutRow row, string arm, bool shadow, CancellationToken cancel)
    {
        if (shadow)
        {
            await db.RolloutFigures.Where(figure => figure.Rollout == row.Number && figure.Arm != RolloutFigures.ControlArm).ExecuteDeleteAsync(cancel);
            await db.RolloutDevices.Where(device => device.Rollout == row.Number && (device.Arm != arm || (device.Kind != ReportKind.Refused && device.Kind != ReportKind.TakenBack))).ExecuteDeleteAsync(cancel);
            return;
        }

        await db.RolloutFigures.Where(figure => figure.Rollout == row.Number && db.RolloutDevices.Any(device => device.Rollout == row.Number && device.Device == figure.Device && device.Arm != arm)).ExecuteDeleteAsync(cancel);
        await db.RolloutDevices.Where(device => device.Rollout == row.Number && device.Arm != arm).ExecuteDeleteAsync(cancel);
    }

    /// <summary>The verdict and what it rests on.</summary>
    static async Task<(PhaseEvidence Evidence, PhaseVerdict Verdict)> VerdictAsync(CoppiceDb db, RolloutRow row, DateTimeOffset now, CancellationToken cancel)
    {
        var standing = await RolloutStanding.ReadAsync(db, row, now, cancel);
        var evidence = standing.Evidence(row, now);
        var verdict = PhaseVerdict.Judge(evidence);
        if (verdict.Action != PhaseAction.Wait || row.State != RolloutState.Running)
            return (evidence, verdict);

        // Only where it would change the verdict are the fleet's devices looked through.
        if (row.Phase > 0 && evidence.Counts.Settled == 0 && await WithoutOthersAsync(standing.Evidence(row, now, addsNobody: true), adds: true) is { } asBefore)
            return asBefore;
        return !verdict.IsUndecided && await WithoutOthersAsync(evidence, adds: false) is { } alone ? alone : (evidence, verdict);

        async Task<(PhaseEvidence, PhaseVerdict)?> WithoutOthersAsync(PhaseEvidence known, bool adds)
        {
            var complete = known with { Absent = 0 };
            var judged = PhaseVerdict.Judge(complete);
            return (judged.Action != PhaseAction.Wait || judged.IsUndecided) && !await AwaitsAsync(db, row, adds, cancel) ? (complete, judged) : null;
        }
    }

    /// <summary>Whether a known device is in the present phase's reach and has said nothing. Looks through the fleet, up to the first.</summary>
    /// <param name="db">The tables.</param>
    /// <param name="row">The rollout.</param>
    /// <param name="adds">Whether only devices count that the phase before did not reach, whatever they have said.</param>
    /// <param name="cancel">Ends the call.</param>
    static async Task<bool> AwaitsAsync(CoppiceDb db, RolloutRow row, bool adds, CancellationToken cancel)
    {
        var rollout = row.ToRollout();
        if (!Selector.TryParse(row.Selector, out var selector, out _))
            return true;
        var groups = await db.GroupsAsync(cancel);
        var said = db.RolloutDevices.Where(device => device.Rollout == row.Number).Select(device => device.Device);
        var devices = db.Devices.Where(device => device.RetiredAt == null && device.RevokedAt == null && (adds || !said.Contains(device.Id)));
        await foreach (var device in (await MarkedDevices.NarrowedAsync(db, devices, selector, groups, cancel)).AsNoTracking().AsAsyncEnumerable().WithCancellation(cancel))
        {
            var place = Cohort.Of(row.Salt, device.Id);
            var facts = device.FactSet(groups);
            if (selector.Matches(facts) && rollout.Reaches(facts, place) && !(adds && rollout.Reaches(facts, place, row.Phase - 1)) && rollout.ArmOf(device.Id) is null or { Runs: not null })
                return true;
        }

        return false;
    }

    static async Task<(ImmutableArray<Arm> Arms, string? Missing)> ArmsAsync(CoppiceDb db, StartRollout wanted, CancellationToken cancel)
    {
        var arms = ImmutableArray.CreateBuilder<Arm>();
        foreach (var draft in wanted.Arms)
        {
            if (draft.Release is null)
                arms.Add(new(draft.Name, draft.Weight));
            else if (await ReleaseStore.FindRowAsync(db, wanted.Model, draft.Release, cancel) is { RevokedAt: null } release)
                arms.Add(draft.Shadow == true
                    ? new(draft.Name, draft.Weight) { Shadow = new(release.Version, release.Digest) { Share = draft.ShadowShare } }
                    : new(draft.Name, draft.Weight, release.Version, release.Digest));
            else
                return ([], $"{wanted.Model} has no release {draft.Release} that may serve, which arm '{draft.Name}' brings; publish it first.");
        }

        return (arms.ToImmutable(), null);
    }

    /// <summary>What a release's manifest says that it needs, and no release that may serve is; no device could ever take it.</summary>
    static async Task<string?> UnmetAsync(CoppiceDb db, ReleaseRow release, CancellationToken cancel)
    {
        if (!DocumentJson.TryRead(release.Manifest, out ReleaseManifest? manifest, out _))
            return null; // devices will say so
        foreach (var needs in manifest.Requires ?? [])
        {
            var there = await db.Releases.Where(row => row.Model == needs.Model && row.RevokedAt == null).Select(row => row.Version).ToListAsync(cancel);
            if (!there.Exists(needs.Versions.Contains))
                return $"{release.Model} {release.Version} needs {needs}, and {(there.Count == 0 ? $"no release of {needs.Model} is here" : $"of {needs.Model} there are {string.Join(", ", there.Order())}")}; publish one that will do, and roll it out first.";
        }

        return null;
    }

    Task<ModelName?> ModelOfAsync(long number, CancellationToken cancel) =>
        database.ReadAsync(db => db.Rollouts.Where(row => row.Number == number).Select(row => row.Model).FirstOrDefaultAsync(cancel), cancel);

    static Task<RolloutRow?> RunningAsync(CoppiceDb db, ModelName model, CancellationToken cancel)
    {
        var quoted = RolloutRow.Quoted(model);
        return db.Rollouts.AsNoTracking().FirstOrDefaultAsync(row => row.State == RolloutState.Running && (row.Model == model || (row.Members != null && row.Members.Contains(quoted))), cancel);
    }

    static (RolloutView?, Refused?) Active(RolloutRow active, ModelName model) => No("rollout-active", "The model already has a running rollout.",
        $"{active.Id} brings {(active.MemberList()?.FirstOrDefault(member => member.Model == model) is { } member ? $"{model} {member.Release} with {active.Model} {active.Release}" : $"{model} {active.Release}")} (phase {active.Phase + 1} of {active.PhaseList().Length}); let it finish, hold it or revert it first.");

    static (RolloutView?, Refused?) No(string type, string title, string detail) => (null, new(type, title, detail));
}
