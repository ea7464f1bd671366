using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Server.Fleet;
using Coppice.Server.Registry;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Ddi;

/// <summary>What a device finds when it asks.</summary>
/// <param name="Action">The action that it has; null for none.</param>
/// <param name="Need">What is to be done about it.</param>
/// <param name="Rollout">The rollout as it stands; null when the action is to be left.</param>
/// <param name="Last">The last action that it carried out.</param>
/// <param name="Asks">Whether it is to tell its attributes.</param>
sealed record DdiFound(DdiActionRow? Action, DdiNeed Need, Rollout? Rollout, DdiActionRow? Last, bool Asks);

/// <summary>What came of a device's word.</summary>
enum DdiHeard
{
    /// <summary>Taken.</summary>
    Taken,

    /// <summary>No such action of this device.</summary>
    Unknown,

    /// <summary>The action is over.</summary>
    Over,
}

/// <summary>Gives devices that speak DDI their actions, by the plans that agents read, and counts what they say as agents' reports.</summary>
sealed class DdiActionStore(Database database, Repository repository, RolloutSignal signal, ControlPlaneOptions options)
{
    /// <summary>A poll is written down when the last one was so long ago: a write for each would make asking cost a commit.</summary>
    static readonly TimeSpan SeenIsNoted = TimeSpan.FromMinutes(1);

    /// <summary>How often a device is asked what it is.</summary>
    static readonly TimeSpan ToldAnew = TimeSpan.FromDays(1);

    /// <summary>What the device is to do now. The same question twice gives the same answer, and changes nothing twice.</summary>
    public async Task<DdiFound> AskAsync(DdiCaller caller, CancellationToken cancel)
    {
        var now = options.Time.GetUtcNow();
        var standing = await database.ReadAsync(db => ReadAsync(db, caller, cancel), cancel);
        var wishes = await WishesAsync(caller, standing, now);
        if (now - standing.Device.LastSeen >= SeenIsNoted || Differs(standing, wishes))
            (standing, wishes) = await database.WriteAsync(async db =>
            {
                var current = await ReadAsync(db, caller, cancel);
                return (current with { Active = await MoveAsync(db, current, wishes = await WishesAsync(caller, current, now), now, cancel) }, wishes);
            }, cancel);
        var asks = !(now - standing.ToldAt < ToldAnew);
        if (standing.Active is not { } action)
            return new(null, DdiNeed.Wait, null, standing.Last, asks);
        var wish = wishes.FirstOrDefault(wish => wish.IsOf(action));
        return new(action, wish?.Need ?? DdiNeed.Deploy, wish?.Rollout, standing.Last, asks);
    }

    /// <summary>An action of the device.</summary>
    /// <param name="caller">The device.</param>
    /// <param name="number">The action.</param>
    /// <param name="begins">Whether the device looks at it to carry it out: then it counts as begun.</param>
    /// <param name="cancel">Ends the call.</param>
    public async Task<DdiActionRow?> FindAsync(DdiCaller caller, long number, bool begins, CancellationToken cancel)
    {
        var found = await database.ReadAsync(db => db.DdiActions.FirstOrDefaultAsync(row => row.Number == number && row.Device == caller.Device, cancel), cancel);
        if (found is null || !begins || found.Begun || found.State != DdiActionState.Open)
            return found;
        return await database.WriteAsync(async db =>
        {
            var row = await db.DdiActions.SingleAsync(row => row.Number == number, cancel);
            if (row is { Begun: false, State: DdiActionState.Open })
                await BeginAsync(db, await db.Devices.SingleAsync(device => device.Id == caller.Device, cancel), row, options.Time.GetUtcNow(), cancel);
            return row;
        }, cancel);
    }

    /// <summary>What the device says of an action that it carries out.</summary>
    /// <param name="caller">The device.</param>
    /// <param name="number">The action.</param>
    /// <param name="ended">Whether it is over for the device: true for well, false for not; null when it goes on.</param>
    /// <param name="said">In its words; may be empty.</param>
    /// <param name="cancel">Ends the call.</param>
    public Task<DdiHeard> HearAsync(DdiCaller caller, long number, bool? ended, string said, CancellationToken cancel) => ChangeAsync(caller, number, async (db, device, row, now) =>
    {
        row.Said = said.Length > 0 ? said : row.Said;
        if (!row.Begun)
            await BeginAsync(db, device, row, now, cancel);
        if (ended is null)
            return false;
        row.State = ended.Value ? DdiActionState.Done : DdiActionState.Failed;
        if (!ended.Value)
            return await NoteAsync(db, device, row, ReportKind.Refused, said.Length > 0 ? said : "the device does not say why", now, cancel);
        // There is no probation that the device would tell of: its own client takes back what does not start, and says so instead of success.
        await NoteAsync(db, device, row, ReportKind.Switched, null, now, cancel);
        return await NoteAsync(db, device, row, ReportKind.Settled, null, now, cancel);
    }, cancel);

    /// <summary>Whether the device leaves an action that it was to leave.</summary>
    public Task<DdiHeard> LeaveAsync(DdiCaller caller, long number, bool? left, string said, CancellationToken cancel) => ChangeAsync(caller, number, (db, device, row, now) =>
    {
        row.Said = said.Length > 0 ? said : row.Said;
        if (left is { } leaves && row.State == DdiActionState.Cancelling)
            (row.State, row.Kept) = leaves ? (DdiActionState.Cancelled, false) : (DdiActionState.Open, true);
        return Task.FromResult(false);
    }, cancel);

    /// <summary>What the device's user said.</summary>
    public Task<DdiHeard> ConsentAsync(DdiCaller caller, long number, bool yes, string said, CancellationToken cancel) => ChangeAsync(caller, number, (db, device, row, now) =>
    {
        (row.Consent, row.Said) = (yes, said.Length > 0 ? said : row.Said);
        return Task.FromResult(false);
    }, cancel);

    async Task<DdiHeard> ChangeAsync(DdiCaller caller, long number, Func<CoppiceDb, DeviceRow, DdiActionRow, DateTimeOffset, Task<bool>> change, CancellationToken cancel)
    {
        var (heard, decides) = await database.WriteAsync(async db =>
        {
            if (await db.DdiActions.FirstOrDefaultAsync(row => row.Number == number && row.Device == caller.Device, cancel) is not { } row)
                return (DdiHeard.Unknown, false);
            var now = options.Time.GetUtcNow();
            var device = await db.Devices.SingleAsync(device => device.Id == caller.Device, cancel);
            device.LastSeen = now;
            if (!row.IsActive)
                return (DdiHeard.Over, false);
            row.ChangedAt = now;
            return (DdiHeard.Taken, await change(db, device, row, now));
        }, cancel);
        if (decides)
            signal.Raise();
        return heard;
    }

    static async Task<DdiStanding> ReadAsync(CoppiceDb db, DdiCaller caller, CancellationToken cancel)
    {
        var device = await db.Devices.SingleAsync(row => row.Id == caller.Device, cancel);
        var actions = await db.DdiActions.Where(row => row.Device == caller.Device
            && (row.State == DdiActionState.Open || row.State == DdiActionState.Cancelling || row.State == DdiActionState.Done)).OrderByDescending(row => row.Number).Take(100).ToListAsync(cancel);
        return new(
            device,
            device.FactSet(await db.GroupsAsync(cancel)),
            [.. await db.DeviceModels.Where(row => row.Device == caller.Device).ToListAsync(cancel)],
            [.. await db.RolloutDevices.Where(row => row.Device == caller.Device).ToListAsync(cancel)],
            actions.FirstOrDefault(row => row.IsActive),
            actions.FirstOrDefault(row => row.State == DdiActionState.Done),
            [.. actions.Where(row => row is { IsActive: true, Consent: not null }).Select(row => new ConsentAnswer(row.Rollout, row.Attempt, row.Consent!.Value))],
            (await db.DdiDevices.SingleAsync(row => row.Device == caller.Device, cancel)).ToldAt);
    }

    async Task<ImmutableArray<DdiWish>> WishesAsync(DdiCaller caller, DdiStanding standing, DateTimeOffset now)
    {
        var wishes = ImmutableArray.CreateBuilder<DdiWish>();
        foreach (var model in caller.Models)
        {
            if (repository.Plan(model) is { } plan && await DdiWish.OfAsync(model, plan, standing, now, repository) is { } wish)
                wishes.Add(wish);
        }

        return wishes.ToImmutable();
    }

    /// <summary>Whether a write is due: an action to open or to leave, or a misfit to tell of.</summary>
    static bool Differs(DdiStanding standing, ImmutableArray<DdiWish> wishes) => standing.Active is { } action
        ? action is { State: DdiActionState.Open, Kept: false } && !wishes.Any(wish => wish.IsOf(action))
        : Next(standing, wishes) is not null || wishes.Any(wish => IsNews(standing, wish));

    static DdiWish? Next(DdiStanding standing, ImmutableArray<DdiWish> wishes) => wishes.FirstOrDefault(wish => wish.Need is DdiNeed.Deploy or DdiNeed.Prepare or DdiNeed.Confirm);

    /// <summary>Whether a misfit was not told of yet.</summary>
    static bool IsNews(DdiStanding standing, DdiWish wish) => wish.Need == DdiNeed.Unfit
        && standing.Models.FirstOrDefault(row => row.Model == wish.Model) is var row && (row?.Last, row?.Release, row?.Rollout) != (ReportKind.Unfit, wish.Rollout.Release, wish.Rollout.Id);

    /// <summary>Leaves the action that is wished no more, opens the next one, tells of misfits.</summary>
    /// <returns>The action that the device has now.</returns>
    static async Task<DdiActionRow?> MoveAsync(CoppiceDb db, DdiStanding standing, ImmutableArray<DdiWish> wishes, DateTimeOffset now, CancellationToken cancel)
    {
        standing.Device.LastSeen = now;
        foreach (var wish in wishes.Where(wish => IsNews(standing, wish)))
        {
            await ReportStore.NoteAsync(db, standing.Device, new(0, now, ReportKind.Unfit, wish.Model, wish.Rollout.Release) { Rollout = wish.Rollout.Id, Attempt = wish.Rollout.Attempt, Why = wish.Why }, now, cancel);
        }

        if (standing.Active is { } action)
        {
            if (action is not { State: DdiActionState.Open, Kept: false } || wishes.Any(wish => wish.IsOf(action)))
                return action;
            // What the device has not looked at is taken from it without a word.
            (action.State, action.ChangedAt) = (action.Begun ? DdiActionState.Cancelling : DdiActionState.Cancelled, now);
            if (action.IsActive)
                return action;
        }

        if (Next(standing, wishes) is not { } next)
            return null;
        var opened = new DdiActionRow
        {
            Device = standing.Device.Id,
            Model = next.Model,
            Rollout = next.Rollout.Id,
            Attempt = next.Rollout.Attempt,
            Release = next.Rollout.Release,
            Variant = next.Variant!.Name,
            OpenedAt = now,
            ChangedAt = now,
        };
        db.DdiActions.Add(opened);
        await db.SaveChangesAsync(cancel); // gives it its number
        return opened;
    }

    async Task BeginAsync(CoppiceDb db, DeviceRow device, DdiActionRow action, DateTimeOffset now, CancellationToken cancel)
    {
        (action.Begun, action.ChangedAt) = (true, now);
        await NoteAsync(db, device, action, ReportKind.Started, null, now, cancel);
    }

    Task<bool> NoteAsync(CoppiceDb db, DeviceRow device, DdiActionRow action, ReportKind kind, string? why, DateTimeOffset now, CancellationToken cancel)
    {
        var length = kind == ReportKind.Started ? null : repository.Manifest(action.Model, action.Release)?.Variants.FirstOrDefault(variant => variant.Name == action.Variant)?.Length;
        return ReportStore.NoteAsync(db, device, new(0, now, kind, action.Model, action.Release)
        {
            Variant = action.Variant,
            Rollout = action.Rollout,
            Attempt = action.Attempt,
            Why = why,
            BytesFetched = length,
            BytesTotal = length,
        }, now, cancel);
    }
}
