using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Access;

sealed class TokenStore(Database database)
{
    static readonly TimeSpan UseIsNoted = TimeSpan.FromMinutes(1);
    static readonly byte[] NoHash = new byte[64];

    readonly ConcurrentDictionary<string, DateTimeOffset> noted = new(StringComparer.Ordinal);

    /// <summary>Whose token this is and what it opens; else why it opens nothing.</summary>
    /// <remarks>It is found by its id, which is no secret; the secret is compared in constant time, also when there is no such id. Only who has the secret is told more than "not known".</remarks>
    public async Task<(Caller? Caller, string? Why)> WhoAsync(ApiToken token, string? origin, DateTimeOffset now, CancellationToken cancel)
    {
        var found = await database.ReadAsync(async db =>
            await (from row in db.ApiTokens where row.Id == token.Id join who in db.Operators on row.Operator equals who.Name select new { Token = row, Operator = who }).FirstOrDefaultAsync(cancel), cancel);
        var proven = CryptographicOperations.FixedTimeEquals(
            Encoding.ASCII.GetBytes(Secret.Hash(token.Secret)), found is null ? NoHash : Encoding.ASCII.GetBytes(found.Token.Hash));
        if (!proven || found is null)
            return (null, "The token is not known here.");
        if (found.Token.RevokedAt is { } revoked)
            return (null, $"The token {token.Id} was revoked at {revoked:u} by {found.Token.RevokedBy}; ask an admin for another.");
        if (found.Token.ExpiresAt <= now)
            return (null, $"The token {token.Id} expired at {found.Token.ExpiresAt:u}; make another with 'coppice token create'.");
        if (found.Operator.RemovedAt is { } removed)
            return (null, $"The operator {found.Operator.Name} was removed at {removed:u}.");
        await NoteAsync(found.Token, origin, now, cancel);
        var own = GrantText.Layer(found.Operator.Grants);
        var narrowed = GrantText.Layer(found.Token.Grants);
        return (new($"operator:{found.Operator.Name}", found.Operator.Name, $"token {token.Id}", narrowed.IsEmpty ? new([own]) : new([own, narrowed]), origin)
        {
            TokenId = token.Id,
            TokenMadeBy = found.Token.CreatedBy,
            Operator = found.Operator.Name,
        }, null);
    }

    /// <summary>Makes a token.</summary>
    /// <returns>Null when there is no such operator, or they are removed.</returns>
    public Task<CreatedApiToken?> CreateAsync(CreateApiToken wanted, string owner, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.Operators.FindAsync([owner], cancel) is not { RemovedAt: null })
            return null;
        var token = OperatorStore.NewToken();
        var row = new ApiTokenRow
        {
            Id = token.Id,
            Name = wanted.Name,
            Operator = owner,
            Hash = Secret.Hash(token.Secret),
            Grants = GrantText.Of(wanted.Grants),
            CreatedAt = now,
            CreatedBy = by,
            ExpiresAt = now + wanted.ExpiresIn,
        };
        db.ApiTokens.Add(row);
        GrantText.TryLayer("grants", wanted.Grants, out var layer, out _);
        db.Events.Add(new() { At = now, Kind = EventKind.TokenCreated, By = by, Why = $"{row.Id} of {owner}, '{row.Name}', good for {Duration.Format(wanted.ExpiresIn)}{(layer.IsEmpty ? "" : ": " + string.Join(", ", layer))}" });
        return new CreatedApiToken(token.ToString(), row.View());
    }, cancel);

    /// <summary>Tokens, by operator if one is given, in the order of their ids.</summary>
    public Task<ApiTokenPage> ListAsync(string? owner, string after, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.ApiTokens.Where(row => (owner == null || row.Operator == owner) && string.Compare(row.Id, after) > 0).OrderBy(row => row.Id).Take(limit + 1).ToListAsync(cancel);
        var page = rows.Take(limit).Select(row => row.View()).ToImmutableArray();
        return new ApiTokenPage(page, rows.Count > limit ? page[^1].Id : null);
    }, cancel);

    /// <summary>Whether a token that was good a while ago still is.</summary>
    public Task<bool> IsGoodAsync(string id, DateTimeOffset now, CancellationToken cancel) => database.ReadAsync(db =>
        db.ApiTokens.AnyAsync(row => row.Id == id && row.RevokedAt == null && (row.ExpiresAt == null || row.ExpiresAt > now), cancel), cancel);

    public Task<string?> OwnerAsync(string id, CancellationToken cancel) => database.ReadAsync(db =>
        db.ApiTokens.Where(row => row.Id == id).Select(row => row.Operator).FirstOrDefaultAsync(cancel), cancel);

    /// <summary>Lets a token open nothing any more.</summary>
    public Task<ApiTokenView> RevokeAsync(string id, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var row = await db.ApiTokens.SingleAsync(row => row.Id == id, cancel);
        if (row.RevokedAt is null)
        {
            (row.RevokedAt, row.RevokedBy) = (now, by);
            db.Events.Add(new() { At = now, Kind = EventKind.TokenRevoked, By = by, Why = $"{row.Id} of {row.Operator}, '{row.Name}'" });
        }

        return row.View();
    }, cancel);

    // To the minute: a write for each request would make reading cost a commit.
    async Task NoteAsync(ApiTokenRow token, string? origin, DateTimeOffset now, CancellationToken cancel)
    {
        var last = noted.GetOrAdd(token.Id, token.LastUsedAt ?? DateTimeOffset.MinValue);
        if (now - last < UseIsNoted || !noted.TryUpdate(token.Id, now, last))
            return;
        await database.WriteAsync(db => db.ApiTokens.Where(row => row.Id == token.Id).ExecuteUpdateAsync(
            set => set.SetProperty(row => row.LastUsedAt, now).SetProperty(row => row.LastUsedFrom, origin), cancel), cancel);
    }
}
