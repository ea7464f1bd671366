using System.Collections.Concurrent;
using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Events;
using Coppice.Server.Storage;
using Coppice.Trust;
using Coppice.Trust.Sealing;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Sealing;

/// <summary>Content keys: at rest sealed to the server, in memory opened for who is entitled.</summary>
sealed class ContentKeyStore(Database database, ServerKeys server)
{
    /// <summary>Opened keys that are remembered, so that a wave of devices costs one opening.</summary>
    const int MostOpened = 4096;

    readonly ConcurrentDictionary<Sha256Digest, ContentKey> opened = [];

    /// <summary>Keeps keys that a publisher sealed to this server. The same key again changes nothing.</summary>
    /// <returns>What is wrong with them; null when they are kept.</returns>
    public async Task<string?> KeepAsync(ModelName model, GrantFile grants, string by, DateTimeOffset now, CancellationToken cancel)
    {
        if (server.Find(grants.Recipient) is not { } mine)
            return $"They are sealed to {grants.Recipient.ToString()[..16]}…, which is no key of this server; ask it for its key, and seal them again.";
        foreach (var grant in grants.Grants)
        {
            try
            {
                Remember(grant.OpenContent(mine)); // one that does not open now would be missed by every device later
            }
            catch (BrokenSealException broken)
            {
                return broken.Message;
            }
        }

        return await database.WriteAsync(async db =>
        {
            var added = 0;
            foreach (var grant in grants.Grants)
            {
                if (await db.ContentKeys.FindAsync([grant.Key], cancel) is { } known)
                {
                    if (known.Model != model)
                        return $"The key {grant.Key.ToString()[..16]}… is of {known.Model}; each model has its own.";
                    continue;
                }

                db.ContentKeys.Add(new() { Key = grant.Key, Model = model, SealedTo = grants.Recipient, Grant = grant.Bytes.ToArray(), AddedAt = now, AddedBy = by });
                added++;
            }

            if (added > 0)
                db.Events.Add(new() { At = now, Kind = EventKind.KeysKept, By = by, Why = $"{added} content keys", Model = model });
            return null;
        }, cancel);
    }

    /// <summary>Opens keys for this server's own work; those it does not have are left out.</summary>
    public async Task<IReadOnlyDictionary<Sha256Digest, ContentKey>> OpenAsync(IEnumerable<Sha256Digest> keys, CancellationToken cancel)
    {
        var found = new Dictionary<Sha256Digest, ContentKey>();
        foreach (var key in keys.Distinct())
        {
            if (opened.TryGetValue(key, out var known))
                found[key] = known;
            else if (await database.ReadAsync(db => db.ContentKeys.FirstOrDefaultAsync(row => row.Key == key, cancel), cancel) is { } row && TryOpen(row) is { } now)
                found[key] = now;
        }

        return found;
    }

    /// <summary>Seals the keys that a device is entitled to, to the key that it enrolled with.</summary>
    /// <returns>Null when there is no such device, or it was taken out or revoked.</returns>
    public async Task<KeyAnswer?> GrantAsync(string device, ImmutableArray<Sha256Digest> wanted, DateTimeOffset now, CancellationToken cancel)
    {
        var row = await database.ReadAsync(db => db.Devices.FirstOrDefaultAsync(row => row.Id == device, cancel), cancel);
        if (row is null || !row.MayHaveKeys || !SealingPublicKey.TryParse(row.SealingKey, out var to))
            return null;
        using (to)
        {
            var grants = new List<Grant>();
            var refused = ImmutableArray.CreateBuilder<RefusedKey>();
            var given = new List<(Sha256Digest Key, ModelName Model)>();
            foreach (var key in wanted.Distinct())
            {
                var (kept, policy, before) = await database.ReadAsync(async db =>
                {
                    var found = await db.ContentKeys.FirstOrDefaultAsync(row => row.Key == key, cancel);
                    return (found,
                        found is null ? null : await db.SealedModels.FirstOrDefaultAsync(row => row.Model == found.Model, cancel),
                        await db.KeyGrants.AnyAsync(row => row.Device == device && row.Key == key, cancel));
                }, cancel);
                if (kept is null)
                    refused.Add(new(key, "this server does not have the key; its publisher gives it, or sealed the release for others."));
                else if (Entitlement.Refuse(row, kept.Model, policy) is { } why)
                    refused.Add(new(key, why));
                else if (TryOpen(kept) is not { } content)
                    refused.Add(new(key, $"this server was started without the sealing key {kept.SealedTo.ToString()[..16]}… that opens it."));
                else
                {
                    grants.Add(Grant.Of(content, to));
                    if (!before)
                        given.Add((key, kept.Model));
                }
            }

            if (given.Count > 0)
                await RecordAsync(device, given, now, cancel); // before they are out
            return new(GrantFile.Of(to.Digest).With(grants).Write(), refused.ToImmutable());
        }
    }

    /// <summary>Seals everything to the present key that an older one opens, after a change of keys.</summary>
    public Task<int> RenewAsync(CancellationToken cancel) => server.Current is not { } current ? Task.FromResult(0) : database.WriteAsync(async db =>
    {
        var to = current.Public.Digest;
        var renewed = 0;
        foreach (var row in await db.ContentKeys.Where(row => row.SealedTo != to).ToListAsync(cancel))
        {
            if (TryOpen(row) is not { } content)
                continue;
            (row.SealedTo, row.Grant) = (to, Grant.Of(content, current.Public).Bytes.ToArray());
            renewed++;
        }

        return renewed;
    }, cancel);

    Task<bool> RecordAsync(string device, List<(Sha256Digest Key, ModelName Model)> given, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        foreach (var (key, model) in given)
        {
            if (await db.KeyGrants.FindAsync([device, key], cancel) is null)
                db.KeyGrants.Add(new() { Device = device, Key = key, Model = model, At = now });
        }

        foreach (var group in given.GroupBy(one => one.Model))
            db.Events.Add(new() { At = now, Kind = EventKind.KeysGranted, By = EventRow.Itself, Why = $"{group.Count()} content keys", Model = group.Key, Device = device });
        return true;
    }, cancel);

    ContentKey? TryOpen(ContentKeyRow row)
    {
        if (opened.TryGetValue(row.Key, out var known))
            return known;
        if (server.Find(row.SealedTo) is not { } mine)
            return null;
        var content = Grant.Read(row.Grant).OpenContent(mine);
        Remember(content);
        return content;
    }

    void Remember(ContentKey content)
    {
        if (opened.Count >= MostOpened)
            opened.Clear();
        opened[content.Id] = content;
    }
}
