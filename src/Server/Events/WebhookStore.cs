using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Events;

sealed class WebhookStore(Database database, SecretBox secrets)
{
    const int Scanned = 500;
    const int SecretBytes = 32;

    public Task<CreatedWebhook> CreateAsync(CreateWebhook wanted, bool seesAll, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var secret = RandomNumberGenerator.GetBytes(SecretBytes);
        var end = await db.Events.AsNoTracking().MaxAsync(row => (long?)row.Id, cancel) ?? 0;
        var row = new WebhookRow
        {
            Name = wanted.Name,
            Target = wanted.Target,
            Kinds = JsonSerializer.Serialize(wanted.Kinds, ControlContext.Default.ImmutableArrayEventKind),
            Models = wanted.Models,
            SeesAll = seesAll,
            Secret = secrets.Seal(secret),
            CreatedAt = now,
            CreatedBy = by,
            Position = Math.Clamp(wanted.After ?? end, 0, end),
        };
        db.Webhooks.Add(row);
        await db.SaveChangesAsync(cancel); // gives it its number
        db.Events.Add(new() { At = now, Kind = EventKind.WebhookCreated, By = by, Why = $"{row.Id}, '{row.Name}', to {Shown(row.Target)}" });
        return new CreatedWebhook("whsec_" + Convert.ToBase64String(secret), row.View(0, null));
    }, cancel);

    public Task<ImmutableArray<WebhookView>> ListAsync(CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var dead = await db.Deliveries.Where(row => row.State == DeliveryState.Dead).GroupBy(row => row.Webhook).Select(group => new { group.Key, Count = group.Count() }).ToDictionaryAsync(group => group.Key, group => group.Count, cancel);
        var trying = (await db.Deliveries.Where(row => row.State == DeliveryState.Pending).ToListAsync(cancel)).ToLookup(row => row.Webhook);
        return (await db.Webhooks.OrderBy(row => row.Number).ToListAsync(cancel)).Select(row => row.View(dead.GetValueOrDefault(row.Number), trying[row.Number].FirstOrDefault())).ToImmutableArray();
    }, cancel);

    public Task<WebhookRow?> FindAsync(long number, CancellationToken cancel) => database.ReadAsync(db => db.Webhooks.FirstOrDefaultAsync(row => row.Number == number, cancel), cancel);

    public Task<DeliveryPage> DeliveriesAsync(long number, DeliveryState? state, long before, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.Deliveries.Where(row => row.Webhook == number && row.Event < before && (state == null || row.State == state)).OrderByDescending(row => row.Event).Take(limit + 1).ToListAsync(cancel);
        return new DeliveryPage([.. rows.Take(limit).Select(row => row.View())], rows.Count > limit ? rows[limit - 1].Event : null);
    }, cancel);

    /// <summary>Has an event sent again, or all that were given up; and lets a webhook that was shut off work again.</summary>
    /// <returns>How many will be sent; null when there is no such webhook, or it wants no such event.</returns>
    public Task<int?> ReplayAsync(long number, long? one, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync<int?>(async db =>
    {
        if (await db.Webhooks.FindAsync([number], cancel) is not { } webhook)
            return null;
        (webhook.DisabledAt, webhook.DisabledWhy) = (null, null);
        if (one is not { } id)
        {
            return await db.Deliveries.Where(row => row.Webhook == number && row.State == DeliveryState.Dead)
                .ExecuteUpdateAsync(set => set.SetProperty(row => row.State, DeliveryState.Again).SetProperty(row => row.Attempts, 0).SetProperty(row => row.NextAt, now), cancel);
        }

        if (await db.Events.AsNoTracking().FirstOrDefaultAsync(row => row.Id == id, cancel) is not { } what || !webhook.Wants(what))
            return null;
        if (id > webhook.Position)
            return 0; // its turn will come
        if (await db.Deliveries.FindAsync([number, id], cancel) is { } row)
            (row.State, row.Attempts, row.NextAt) = (DeliveryState.Again, 0, now);
        else
            db.Deliveries.Add(new() { Webhook = number, Event = id, State = DeliveryState.Again, NextAt = now });
        return 1;
    }, cancel);

    public Task<bool> DeleteAsync(long number, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.Webhooks.FindAsync([number], cancel) is not { } row)
            return false;
        db.Webhooks.Remove(row);
        await db.Deliveries.Where(delivery => delivery.Webhook == number).ExecuteDeleteAsync(cancel);
        db.Events.Add(new() { At = now, Kind = EventKind.WebhookDeleted, By = by, Why = $"{row.Id}, '{row.Name}', to {Shown(row.Target)}" });
        return true;
    }, cancel);

    /// <summary>Webhooks that work.</summary>
    public Task<List<WebhookRow>> WorkingAsync(CancellationToken cancel) => database.ReadAsync(db => db.Webhooks.Where(row => row.DisabledAt == null).ToListAsync(cancel), cancel);

    /// <summary>What a webhook is to be sent next: first what somebody wants again, then the log in its order.</summary>
    /// <returns>Null when nothing is due.</returns>
    public async Task<(ControlEvent What, DeliveryRow Delivery)?> NextAsync(WebhookRow webhook, DateTimeOffset now, CancellationToken cancel)
    {
        var again = await database.ReadAsync(async db =>
        {
            var row = await db.Deliveries.Where(row => row.Webhook == webhook.Number && row.State == DeliveryState.Again && row.NextAt <= now).OrderBy(row => row.Event).FirstOrDefaultAsync(cancel);
            return row is null ? default : (Row: row, What: await db.Events.FirstAsync(what => what.Id == row.Event, cancel));
        }, cancel);
        if (again.Row is not null)
            return (again.What.View(), again.Row);

        while (true)
        {
            var rows = await database.ReadAsync(db => db.Events.Where(row => row.Id > webhook.Position).OrderBy(row => row.Id).Take(Scanned).ToListAsync(cancel), cancel);
            if (rows.Count == 0)
                return null;
            if (rows.Find(webhook.Wants) is { } next)
            {
                var delivery = await database.ReadAsync(db => db.Deliveries.FirstOrDefaultAsync(row => row.Webhook == webhook.Number && row.Event == next.Id, cancel), cancel)
                    ?? new() { Webhook = webhook.Number, Event = next.Id, State = DeliveryState.Pending, NextAt = now };
                return delivery.NextAt <= now ? (next.View(), delivery) : null; // what follows waits too
            }

            webhook.Position = rows[^1].Id;
            await database.WriteAsync(db => db.Webhooks.Where(row => row.Number == webhook.Number).ExecuteUpdateAsync(set => set.SetProperty(row => row.Position, rows[^1].Id), cancel), cancel);
        }
    }

    /// <summary>Keeps what came of a try.</summary>
    /// <returns>Whether the next one may be tried at once.</returns>
    public Task<bool> KeepAsync(WebhookRow webhook, DeliveryRow delivery, Sent sent, double jitter, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.Webhooks.FindAsync([webhook.Number], cancel) is not { } kept)
            return false; // deleted meanwhile
        var row = await db.Deliveries.FindAsync([webhook.Number, delivery.Event], cancel);
        if (row is null)
            db.Deliveries.Add(row = new() { Webhook = webhook.Number, Event = delivery.Event, State = delivery.State, NextAt = now });
        (row.Attempts, row.LastStatus, row.LastError) = (row.Attempts + 1, sent.Status, sent.Error);
        var pause = sent.Taken ? null : RetrySchedule.After(row.Attempts, jitter, sent.Wait);
        if (sent.Taken || pause is null)
        {
            var inOrder = row.State == DeliveryState.Pending;
            (row.State, row.DoneAt) = (sent.Taken ? DeliveryState.Delivered : DeliveryState.Dead, now);
            if (inOrder)
                kept.Position = webhook.Position = Math.Max(kept.Position, row.Event); // a server that had lost its lease may come late
        }
        else
            row.NextAt = now + pause.Value;

        if (sent.Status == StatusCodes.Status410Gone)
            (kept.DisabledAt, kept.DisabledWhy) = (now, "The receiver answered 410 Gone; 'coppice webhook replay' lets it work again.");
        return (sent.Taken || pause is null || row.State == DeliveryState.Again) && kept.DisabledAt is null;
    }, cancel);

    /// <summary>Forgets deliveries that were taken long ago.</summary>
    public Task<int> ForgetAsync(DateTimeOffset before, CancellationToken cancel) => database.WriteAsync(db =>
        db.Deliveries.Where(row => row.State == DeliveryState.Delivered && row.DoneAt < before).ExecuteDeleteAsync(cancel), cancel);

    // A URL may carry a secret of the receiver's in its query.
    static string Shown(string target) => target.Split('?')[0];
}
