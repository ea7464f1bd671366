using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Registry;
using Coppice.Server.Storage;

namespace Coppice.Server.Fleet;

/// <summary>A join token, by the hash of its secret.</summary>
sealed class JoinTokenRow
{
    public required string Hash { get; set; }
    public required DateTimeOffset CreatedAt { get; set; }
    public required string CreatedBy { get; set; }
    public required DateTimeOffset ExpiresAt { get; set; }
    public required int MaxUses { get; set; }
    public int Uses { get; set; }
    public required string Labels { get; set; }
}

sealed class JoinTokenStore(Database database, Repository repository)
{
    public Task<CreatedJoinToken> CreateAsync(CreateJoinToken wanted, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(db =>
    {
        var token = new JoinToken(Secret.Create(), repository.FirstRoot);
        var expires = now + wanted.ExpiresIn;
        db.JoinTokens.Add(new()
        {
            Hash = Secret.Hash(token.Secret),
            CreatedAt = now,
            CreatedBy = by,
            ExpiresAt = expires,
            MaxUses = wanted.MaxUses,
            Labels = StoredText.Of(wanted.Labels),
        });
        db.Events.Add(new() { At = now, Kind = EventKind.JoinTokenCreated, By = by, Why = $"for {wanted.MaxUses} devices, good for {Duration.Format(wanted.ExpiresIn)}" });
        return Task.FromResult(new CreatedJoinToken(token.ToString(), expires, wanted.MaxUses));
    }, cancel);
}
