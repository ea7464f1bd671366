using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Access;
using Coppice.Server.Events;
using Coppice.Server.Fleet;
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
            if (await ReleaseStore.FindRowAsync(db, wanted.Model, wanted.Release, cancel) is not { } release)
                return (No("no-release", "There is no such release.", $"{wanted.Model} has no release {wanted.Release}; publish it first."), false);
            if (release.RevokedAt is not null)
                return (No("release-revoked", "The release is revoked.", $"{wanted.Model} {release.Version} was revoked at {release.RevokedAt:u} ({release.RevokedWhy}); roll out another."), false);
            if (await RunningAsync(db, wanted.Model, cancel) is { } active)
                return (Active(active), false);

            var row = RolloutRow.Of(wanted, release.Version, release.Digest, wanted.Salt ?? Secret.Create()[..16], by, now);
            db.Rollouts.Add(row);
            await db.SaveChangesAsync(cancel); // gives it its number
            db.Events.Add(row.Event(EventKind.RolloutStarted, by, now));
            if (alongside is not null)
                await alongside(db, row.Id);
            return ((row.View(await RolloutStanding.ReadAsync(db, row, cancel), now), null), true);
        }, cancel);

    /// <summary>Rollouts, newest first.</summary>
    public Task<ImmutableArray<RolloutView>> ListAsync(ModelName? model, RolloutState? state, DateTimeOffset now, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.Rollouts.Where(row => (model == null || row.Model == model) && (state == null || row.State == state)).OrderByDescending(row => row.Number).Take(MaxListed).ToListAsync(cancel);
        var views = ImmutableArray.CreateBuilder<RolloutView>(rows.Count);
        foreach (var row in rows)
            views.Add(row.View(await RolloutStanding.ReadAsync(db, row, cancel), now));
        return views.ToImmutable();
    }, cancel);

    /// <summary>A rollout with a page of its devices.</summary>
    public Task<RolloutDetail?> FindAsync(long number, string after, int limit, DateTimeOffset now, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        if (await db.Rollouts.FirstOrDefaultAsync(row => row.Number == number, cancel) is not { } row)
            return null;
        var devices = await db.RolloutDevices.Where(device => device.Rollout == number && string.Compare(device.Device, after) > 0).OrderBy(device => device.Device).Take(limit + 1).ToListAsync(cancel);
        var page = devices.Take(limit).Select(device => device.View()).ToImmutableArray();
        return new RolloutDetail(row.View(await RolloutStanding.ReadAsync(db, row, cancel), now), page, devices.Count > limit ? page[^1].Device : null);
    }, cancel);

    /// <summary>Carries out an operator's order.</summary>
    /// <returns>Neither when there is no such rollout.</returns>
    public async Task<(RolloutView? Now, Refused? Refused)> OrderAsync(long number, RolloutVerb verb, RolloutOrder order, string by, DateTimeOffset now, CancellationToken cancel)
    {
        if (await ModelOfAsync(number, cancel) is not { } model)
            return (null, null);
        return await plans.ChangeAsync<(RolloutView?, Refused?)>(model, async db =>
        {
            var row = await db.Rollouts.SingleAsync(row => row.Number == number, cancel);
            if (verb is RolloutVerb.Resume or RolloutVerb.Retry && row.State is RolloutState.Held or RolloutState.Complete)
            {
                if (await db.Releases.AnyAsync(release => release.Model == model && release.Version == row.Release && release.RevokedAt != null, cancel))
                    return (No("release-revoked", "The release is revoked.", $"{model} {row.Release} may not serve any more; start a rollout of another."), false);
                if (verb == RolloutVerb.Retry || row.State == RolloutState.Held)
                {
                    if (await RunningAsync(db, model, cancel) is { } active)
                        return (Active(active), false);
                }
            }

            var standing = await RolloutStanding.ReadAsync(db, row, cancel);
            var outcome = row.Apply(verb, order, standing.Counts.Failures, now);
            if (outcome.Refused is { } refused)
                return ((null, refused), false);
            if (outcome.Event is { } happened)
            {
                db.Events.Add(row.Event(happened, by, now));
                await db.SaveChangesAsync(cancel);
                standing = await RolloutStanding.ReadAsync(db, row, cancel);
            }

            return ((row.View(standing, now), null), outcome.Event is not null);
        }, cancel);
    }

    /// <summary>Numbers of the rollouts that run.</summary>
    public Task<List<long>> RunningAsync(CancellationToken cancel) =>
        database.ReadAsync(db => db.Rollouts.Where(row => row.State == RolloutState.Running).OrderBy(row => row.Number).Select(row => row.Number).ToListAsync(cancel), cancel);

    /// <summary>Judges a rollout by what its devices have said, and does what the verdict says.</summary>
    /// <returns>What happened; null for nothing.</returns>
    public async Task<EventKind?> JudgeAsync(long number, DateTimeOffset now, CancellationToken cancel)
    {
        var (model, waits) = await database.ReadAsync(async db =>
        {
            var row = await db.Rollouts.SingleAsync(row => row.Number == number, cancel);
            return (row.Model, (await VerdictAsync(db, row, now, cancel)).Action == PhaseAction.Wait);
        }, cancel);
        if (waits)
            return null; // as most often: without keeping writers waiting
        return await plans.ChangeAsync(model, async db =>
        {
            var row = await db.Rollouts.SingleAsync(row => row.Number == number, cancel);
            var happened = row.Apply(await VerdictAsync(db, row, now, cancel), now);
            if (happened is { } kind)
                db.Events.Add(row.Event(kind, EventRow.Itself, now));
            return (happened, happened is not null);
        }, cancel);
    }

    /// <summary>Counts a device's reports for the rollouts they name.</summary>
    /// <returns>Whether one of these rollouts may have to be judged anew.</returns>
    internal static async Task<bool> CountAsync(CoppiceDb db, string device, ImmutableArray<Report> reports, CancellationToken cancel)
    {
        var decides = false;
        foreach (var ofRollout in reports.Where(report => report.Kind != ReportKind.Stopped).GroupBy(report => RolloutRow.TryNumber(report.Rollout)))
        {
            if (ofRollout.Key is not { } number || await db.Rollouts.FindAsync([number], cancel) is not { } rollout)
                continue;
            var row = await db.RolloutDevices.FindAsync([number, device], cancel);
            // A report of an attempt that nobody ordered, or about another release, counts for nothing.
            foreach (var report in ofRollout.Where(report => report.Model == rollout.Model && report.Release == rollout.Release && report.Attempt <= rollout.Attempt))
            {
                if (row is null)
                    db.RolloutDevices.Add(row = new() { Rollout = number, Device = device });
                if (report.Sequence > row.Sequence)
                    await RolloutBytesRow.TakeAsync(db, number, report, device, cancel);
                row.Take(report, rollout.Phase);
                decides |= rollout.State == RolloutState.Running && report.Kind is ReportKind.Settled or ReportKind.Refused or ReportKind.TakenBack;
            }
        }

        return decides;
    }

    static async Task<PhaseVerdict> VerdictAsync(CoppiceDb db, RolloutRow row, DateTimeOffset now, CancellationToken cancel)
    {
        var standing = await RolloutStanding.ReadAsync(db, row, cancel);
        var verdict = standing.Judge(row, now);
        if (verdict.Action != PhaseAction.Wait || row.Phase == 0 || standing.SettledInPhase > 0)
            return verdict;
        var ifNobody = standing.Judge(row, now, addsNobody: true);
        return ifNobody.Action == PhaseAction.Wait || await AddsSomebodyAsync(db, row, cancel) ? verdict : ifNobody;
    }

    /// <summary>Whether the present phase reaches a known device that the phase before did not. Looks through the fleet, up to the first.</summary>
    static async Task<bool> AddsSomebodyAsync(CoppiceDb db, RolloutRow row, CancellationToken cancel)
    {
        var phases = row.PhaseList();
        if (!Selector.TryParse(row.Selector, out var selector, out _))
            return true;
        var groups = await db.GroupsAsync(cancel);
        await foreach (var device in db.Devices.Where(device => device.RetiredAt == null).AsNoTracking().AsAsyncEnumerable().WithCancellation(cancel))
        {
            var place = Cohort.Of(row.Salt, device.Id);
            if (Cohort.Reaches(phases[row.Phase].Share, place) && !Cohort.Reaches(phases[row.Phase - 1].Share, place) && selector.Matches(device.FactSet(groups)))
                return true;
        }

        return false;
    }

    Task<ModelName?> ModelOfAsync(long number, CancellationToken cancel) =>
        database.ReadAsync(db => db.Rollouts.Where(row => row.Number == number).Select(row => row.Model).FirstOrDefaultAsync(cancel), cancel);

    static Task<RolloutRow?> RunningAsync(CoppiceDb db, ModelName model, CancellationToken cancel) =>
        db.Rollouts.AsNoTracking().FirstOrDefaultAsync(row => row.Model == model && row.State == RolloutState.Running, cancel);

    static (RolloutView?, Refused?) Active(RolloutRow active) => No("rollout-active", "The model already has a running rollout.",
        $"{active.Id} brings {active.Model} {active.Release} (phase {active.Phase + 1} of {active.PhaseList().Length}); let it finish, hold it or revert it first.");

    static (RolloutView?, Refused?) No(string type, string title, string detail) => (null, new(type, title, detail));
}
