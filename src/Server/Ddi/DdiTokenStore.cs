using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Events;
using Coppice.Server.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Ddi;

sealed class DdiTokenStore(Database database)
{
    /// <summary>The fact by which rollouts and variants tell devices that speak DDI from others.</summary>
    public const string ProtocolFact = "protocol";
    public const string Protocol = "ddi";

    /// <summary>In the place of a signing key: reads as no key, and is unique as one.</summary>
    public const string NoKey = "ddi:";

    static readonly ImmutableDictionary<string, string> FirstFacts = ImmutableDictionary<string, string>.Empty.Add(ProtocolFact, Protocol);

    public Task<CreatedDdiToken> CreateAsync(CreateDdiToken wanted, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(db =>
    {
        var secret = Secret.Create();
        var row = new DdiTokenRow
        {
            Id = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(5)),
            Hash = Secret.Hash(secret),
            Device = wanted.Device,
            Models = string.Join(' ', wanted.Models.Distinct()),
            Labels = StoredText.Of(wanted.Labels),
            MaxDevices = wanted.Device is null ? wanted.MaxDevices : 1,
            CreatedAt = now,
            CreatedBy = by,
        };
        db.DdiTokens.Add(row);
        db.Events.Add(new() { At = now, Kind = EventKind.DdiTokenCreated, By = by, Device = row.Device, Why = $"{row.Id}, for {(row.Device is null ? $"{row.MaxDevices} devices" : "one device")} that {(row.Device is null ? "run" : "runs")} {row.Models}" });
        return Task.FromResult(new CreatedDdiToken(secret, row.View(0)));
    }, cancel);

    public Task<DdiTokenPage> ListAsync(string after, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.DdiTokens.Where(row => string.Compare(row.Id, after) > 0).OrderBy(row => row.Id).Take(limit + 1).ToListAsync(cancel);
        var ids = rows.Select(row => row.Id).ToArray();
        var counts = await db.DdiDevices.Where(row => ids.Contains(row.Token)).GroupBy(row => row.Token).Select(group => new { group.Key, Count = group.Count() }).ToDictionaryAsync(group => group.Key, group => group.Count, cancel);
        return new DdiTokenPage([.. rows.Take(limit).Select(row => row.View(counts.GetValueOrDefault(row.Id)))], rows.Count > limit ? rows[limit - 1].Id : null);
    }, cancel);

    /// <returns>Null when there is no such token.</returns>
    public Task<DdiTokenView?> FindAsync(string id, CancellationToken cancel) => database.ReadAsync(async db => await db.DdiTokens.FirstOrDefaultAsync(row => row.Id == id, cancel) is { } row ? row.View(await CountAsync(db, id, cancel)) : null, cancel);

    /// <summary>Lets a token open nothing any more. Devices that came by it may come by another.</summary>
    /// <returns>Null when there is no such token.</returns>
    public Task<DdiTokenView?> RevokeAsync(string id, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync<DdiTokenView?>(async db =>
    {
        if (await db.DdiTokens.FirstOrDefaultAsync(row => row.Id == id, cancel) is not { } row)
            return null;
        if (row.RevokedAt is null)
        {
            (row.RevokedAt, row.RevokedBy) = (now, by);
            db.Events.Add(new() { At = now, Kind = EventKind.DdiTokenRevoked, By = by, Device = row.Device, Why = row.Id });
        }

        return row.View(await CountAsync(db, id, cancel));
    }, cancel);

    /// <summary>Who shows a token; a device that nobody knew is made known by it.</summary>
    public async Task<(DdiCaller? Caller, ProblemHttpResult? Problem)> WhoAsync(string secret, bool ofOne, string device, string controller, DateTimeOffset now, CancellationToken cancel)
    {
        var hash = Secret.Hash(secret);
        var (token, known) = await database.ReadAsync(async db => (
            await db.DdiTokens.FirstOrDefaultAsync(row => row.Hash == hash, cancel),
            await db.DdiDevices.FirstOrDefaultAsync(row => row.Device == device, cancel)), cancel);
        if (token is null || !Secret.Matches(secret, token.Hash) || token.Device is not null != ofOne || (token.Device ?? device) != device)
            return (null, Problems.Unauthorised("The token is not known here, or is another device's; 'coppice ddi-token create' makes one."));
        if (token.RevokedAt is { } revoked)
            return (null, Problems.Unauthorised($"The token {token.Id} was revoked at {revoked.UtcDateTime:u}; 'coppice ddi-token create' makes another."));
        if (known?.Token != token.Id && await database.WriteAsync(db => JoinAsync(db, token, device, now, cancel), cancel) is { } problem)
            return (null, problem);
        return (new(device, controller, token.Id, token.ModelNames), null);
    }

    static async Task<ProblemHttpResult?> JoinAsync(CoppiceDb db, DdiTokenRow token, string device, DateTimeOffset now, CancellationToken cancel)
    {
        var known = await db.DdiDevices.FirstOrDefaultAsync(row => row.Device == device, cancel);
        if (known is not null)
        {
            // A gateway speaks for the devices that came by it, and may take over those of a token that was revoked.
            var before = await db.DdiTokens.FirstOrDefaultAsync(row => row.Id == known.Token, cancel);
            if (token.Device is null && before is { RevokedAt: null } && before.Id != token.Id)
                return Problems.Of(403, "token-of-another", "The device came by another token.", $"'{device}' came by the token {before.Id}, which is good; revoke it first ('coppice ddi-token revoke {before.Id}').");
        }
        else if (await db.Devices.AnyAsync(row => row.Id == device, cancel))
        {
            return Problems.Of(409, "device-known", "The id is taken.", $"'{device}' has an agent of its own, which proves itself by its key; give the device another id.");
        }

        if (known?.Token != token.Id && await CountAsync(db, token.Id, cancel) >= token.MaxDevices)
            return Problems.Of(403, "token-used-up", "The token is used up.", $"{token.MaxDevices} devices came by the token {token.Id}, as many as it allows; make another.");
        if (known is not null)
        {
            known.Token = token.Id;
            return null;
        }

        db.DdiDevices.Add(new() { Device = device, Token = token.Id });
        db.Devices.Add(new() { Id = device, SigningKey = NoKey + device, EnrolledAt = now, LastSeen = now, Facts = StoredText.Of(FirstFacts), Labels = token.Labels });
        db.Events.Add(new() { At = now, Kind = EventKind.DeviceEnrolled, By = EventRow.Itself, Device = device, Why = $"by the DDI token {token.Id} of {token.CreatedBy}" });
        return null;
    }

    /// <summary>Keeps what the device tells of itself.</summary>
    public Task TellAsync(DdiCaller caller, Func<ImmutableDictionary<string, string>, ImmutableDictionary<string, string>> change, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var device = await db.Devices.SingleAsync(row => row.Id == caller.Device, cancel);
        var ddi = await db.DdiDevices.SingleAsync(row => row.Device == caller.Device, cancel);
        (device.LastSeen, ddi.ToldAt) = (now, now);
        device.Facts = StoredText.Of(change(StoredText.Texts(device.Facts)).SetItems(FirstFacts));
        return 0;
    }, cancel);

    static Task<int> CountAsync(CoppiceDb db, string token, CancellationToken cancel) => db.DdiDevices.CountAsync(row => row.Token == token, cancel);
}
