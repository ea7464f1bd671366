using System.Collections.Immutable;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Access;
using Coppice.Server.Preconditions;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Approvals;

/// <summary>Acts that wait for another person, and the policies that make them wait.</summary>
sealed class ApprovalStore(Database database, RolloutStore rollouts)
{
    /// <summary>Keeps an act waiting where a policy says so.</summary>
    /// <returns>Null when it need not wait.</returns>
    /// <remarks>A policy holds for a rollout that brings one of its models, alone or with others.</remarks>
    public async Task<ApprovalView?> AskAsync(ApprovalAct act, IReadOnlyList<ModelName> models, SemanticVersion release, string? rollout, string selector, string request, string why, Caller caller, DateTimeOffset now, CancellationToken cancel)
    {
        if (await database.ReadAsync(db => NeededAsync(db, models, cancel), cancel) == 0)
            return null;
        var model = models[0];
        return await database.WriteAsync(async db =>
        {
            var needed = await NeededAsync(db, models, cancel);
            // Asked for twice, it waits once.
            var since = now - ApprovalRow.Life;
            var row = await db.Approvals.FirstOrDefaultAsync(there => there.State == ApprovalState.Awaiting && there.AskedAt > since && there.Act == act && there.Model == model && there.Rollout == rollout
                && there.Request == request && there.AskedSubject == caller.Subject, cancel);
            if (row is null)
            {
                row = new()
                {
                    Model = model,
                    Release = release,
                    Rollout = rollout,
                    Selector = selector,
                    Act = act,
                    Request = request,
                    AskedAt = now,
                    AskedBy = caller.Name,
                    AskedSubject = caller.Subject,
                    Why = why,
                    Needed = needed,
                };
                db.Approvals.Add(row);
                await db.SaveChangesAsync(cancel); // gives it its number
                db.Events.Add(new() { At = now, Kind = EventKind.ApprovalAsked, By = caller.Name, Why = $"{row.Id}, {Word(act)}: {why}", Model = model, Release = release, Rollout = rollout });
            }

            return row.View(await VotesAsync(db, row.Number, cancel));
        }, cancel);
    }

    /// <summary>Approves an act; with the last approval that it needs, does it.</summary>
    /// <returns>Null when there is no such act.</returns>
    public async Task<(ApprovalView? Now, Refused? Refused)?> ApproveAsync(long number, string why, Caller caller, DateTimeOffset now, CancellationToken cancel)
    {
        var (row, refused, enough) = await database.WriteAsync<(ApprovalRow? Row, Refused? Refused, bool Enough)>(async db =>
        {
            if (await db.Approvals.FindAsync([number], cancel) is not { } row)
                return default;
            if (row.State == ApprovalState.Rejected || (row.State == ApprovalState.Awaiting && now >= row.AskedAt + ApprovalRow.Life))
                return (row, new("approval-state", $"The act is {(row.State == ApprovalState.Rejected ? "rejected" : "too old")}.", $"{row.Id} was {(row.State == ApprovalState.Rejected ? $"rejected by {row.DoneBy} ({row.DoneWhy})" : $"asked for at {row.AskedAt:u}")}; let it be asked for again."), false);
            if (caller.Subject == row.AskedSubject)
                return (row, new("own-approval", "One's own act is approved by another person.", $"{row.AskedBy} asked for {row.Id}; whoever they are and whichever token they show, another person must approve it."), false);
            if (caller.TokenMadeBy == row.AskedBy)
                return (row, new("own-approval", "The one who asked has seen this token.", $"{row.AskedBy} asked for {row.Id} and made the token {caller.TokenId} of {caller.Name}, so that it proves no other person; let {caller.Name} sign in, or show a token that somebody else made."), false);
            var votes = await VotesAsync(db, number, cancel);
            if (row.State == ApprovalState.Awaiting && !votes.Exists(vote => vote.Subject == caller.Subject))
            {
                votes.Add(new() { Approval = number, Subject = caller.Subject, By = caller.Name, At = now, Why = why });
                db.ApprovalVotes.Add(votes[^1]);
                db.Events.Add(new() { At = now, Kind = EventKind.ApprovalGiven, By = caller.Name, Why = $"{row.Id} of {row.AskedBy}, {Word(row.Act)}, {votes.Count} of {row.Needed}: {why}", Model = row.Model, Release = row.Release, Rollout = row.Rollout });
            }

            return (row, null, row.State == ApprovalState.Awaiting && votes.Count >= row.Needed);
        }, cancel);
        if (row is null)
            return null;
        if (refused is null && enough)
            refused = await DoAsync(row, caller.Name, now, cancel);
        return (await FindAsync(number, cancel), refused);
    }

    /// <summary>Rejects an act, or takes one's own back.</summary>
    /// <returns>Null when there is no such act.</returns>
    public Task<(ApprovalView? Now, Refused? Refused)?> RejectAsync(long number, string why, Caller caller, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync<(ApprovalView?, Refused?)?>(async db =>
    {
        if (await db.Approvals.FindAsync([number], cancel) is not { } row)
            return null;
        if (row.State == ApprovalState.Done)
            return (null, new("approval-state", "The act is done.", $"{row.Id} was approved and done at {row.DoneAt:u}; hold or revert {row.Rollout} instead."));
        if (row.State == ApprovalState.Awaiting)
        {
            (row.State, row.DoneAt, row.DoneBy, row.DoneWhy) = (ApprovalState.Rejected, now, caller.Name, why);
            db.Events.Add(new() { At = now, Kind = EventKind.ApprovalRejected, By = caller.Name, Why = $"{row.Id} of {row.AskedBy}, {Word(row.Act)}: {why}", Model = row.Model, Release = row.Release, Rollout = row.Rollout });
        }

        return (row.View(await VotesAsync(db, number, cancel)), null);
    }, cancel);

    public Task<ApprovalView?> FindAsync(long number, CancellationToken cancel) => database.ReadAsync(async db =>
        await db.Approvals.FirstOrDefaultAsync(row => row.Number == number, cancel) is { } row ? row.View(await VotesAsync(db, number, cancel)) : null, cancel);

    /// <summary>Acts, newest first.</summary>
    public Task<(ImmutableArray<ApprovalView> Page, long? Next)> ListAsync(ApprovalState? state, long before, int limit, CancellationToken cancel) => database.ReadAsync<(ImmutableArray<ApprovalView>, long?)>(async db =>
    {
        var rows = await db.Approvals.Where(row => row.Number < before && (state == null || row.State == state)).OrderByDescending(row => row.Number).Take(limit + 1).ToListAsync(cancel);
        var numbers = rows.Select(row => row.Number).ToArray();
        var votes = (await db.ApprovalVotes.Where(vote => numbers.Contains(vote.Approval)).ToListAsync(cancel)).ToLookup(vote => vote.Approval);
        return ([.. rows.Take(limit).Select(row => row.View(votes[row.Number]))], rows.Count > limit ? rows[limit - 1].Number : null);
    }, cancel);

    public Task<ImmutableArray<PolicyView>> PoliciesAsync(CancellationToken cancel) => database.ReadAsync(async db =>
        (await db.ApprovalPolicies.OrderBy(row => row.Models).ToListAsync(cancel)).Select(row => row.View()).ToImmutableArray(), cancel);

    public Task<PolicyView> SetPolicyAsync(ModelPattern models, SetPolicy wanted, string by, DateTimeOffset now, CancellationToken cancel, IfMatch? match = null) => database.WriteAsync(async db =>
    {
        var row = await db.ApprovalPolicies.FindAsync([models.Text], cancel);
        match?.Require($"the policy for {models.Text}", row?.View().Revision);
        var before = row?.Approvals ?? 0;
        if (before == wanted.Approvals)
            return row?.View() ?? new(models.Text, 0, now, by, wanted.Why);
        if (row is null)
            db.ApprovalPolicies.Add(row = new() { Models = models.Text, Approvals = wanted.Approvals, SetAt = now, SetBy = by, Why = wanted.Why });
        else if (wanted.Approvals == 0)
            db.ApprovalPolicies.Remove(row);
        (row.Approvals, row.SetAt, row.SetBy, row.Why) = (wanted.Approvals, now, by, wanted.Why);
        db.Events.Add(new() { At = now, Kind = EventKind.PolicyChanged, By = by, Why = $"{models}: {before} → {wanted.Approvals} approvals: {wanted.Why}" });
        return row.View();
    }, cancel);

    async Task<Refused?> DoAsync(ApprovalRow approved, string by, DateTimeOffset now, CancellationToken cancel)
    {
        if (approved.Act == ApprovalAct.Start)
        {
            // In the transaction that starts the rollout, so that one approval starts one, whatever is cut short.
            return (await rollouts.StartAsync(approved.Start(), approved.AskedBy, now, cancel, (db, rollout) => FinishAsync(db, approved.Number, rollout, by, now, cancel))).Refused;
        }

        if (approved.Act == ApprovalAct.Promote)
        {
            return (await rollouts.PromoteAsync(RolloutRow.TryNumber(approved.Rollout)!.Value, approved.Promotion(), approved.AskedBy, now, cancel, db => FinishAsync(db, approved.Number, approved.Rollout!, by, now, cancel))).Refused;
        }

        // Orders name the state to be in afterwards, so that they can be carried out twice.
        var verb = approved.Act switch { ApprovalAct.Resume => RolloutVerb.Resume, ApprovalAct.Advance => RolloutVerb.Advance, _ => RolloutVerb.Retry };
        var (_, refused) = await rollouts.OrderAsync(RolloutRow.TryNumber(approved.Rollout)!.Value, verb, approved.Order(), approved.AskedBy, now, cancel);
        if (refused is null)
            await database.WriteAsync(async db => { await FinishAsync(db, approved.Number, approved.Rollout!, by, now, cancel); return true; }, cancel);
        return refused;
    }

    static async Task FinishAsync(CoppiceDb db, long number, string rollout, string by, DateTimeOffset now, CancellationToken cancel)
    {
        var row = await db.Approvals.SingleAsync(row => row.Number == number && row.State == ApprovalState.Awaiting, cancel);
        (row.State, row.Rollout, row.DoneAt, row.DoneBy) = (ApprovalState.Done, rollout, now, by);
    }

    static async Task<int> NeededAsync(CoppiceDb db, IReadOnlyList<ModelName> brought, CancellationToken cancel) =>
        (await db.ApprovalPolicies.AsNoTracking().ToListAsync(cancel)).Where(row => ModelPattern.TryParse(row.Models, out var models) && brought.Any(models.Holds)).Select(row => row.Approvals).DefaultIfEmpty().Max();

    static Task<List<ApprovalVoteRow>> VotesAsync(CoppiceDb db, long number, CancellationToken cancel) => db.ApprovalVotes.AsNoTracking().Where(vote => vote.Approval == number).ToListAsync(cancel);

    static string Word(ApprovalAct act) => act.ToString().ToLowerInvariant();
}
