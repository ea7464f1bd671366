using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Identity;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

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

    /// <summary>The only id that may join by it, and take the place of a device that has it; null for any id that is free.</summary>
    public string? Device { get; set; }
}

sealed class JoinTokenStore(Database database, Repository repository, ServerCertificate tls)
{
    public Task<CreatedJoinToken> CreateAsync(CreateJoinToken wanted, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(db =>
    {
        var made = Add(db, wanted, null, by, now);
        db.Events.Add(new() { At = now, Kind = EventKind.JoinTokenCreated, By = by, Why = $"for {wanted.MaxUses} devices, good for {Duration.Format(wanted.ExpiresIn)}" });
        return Task.FromResult(made);
    }, cancel);

    /// <summary>Makes a token by which a device with new keys takes the place of another, once.</summary>
    /// <returns>Null when there is no such device, or it is retired.</returns>
    public Task<CreatedJoinToken?> ReplaceAsync(string device, ReplaceDevice wanted, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync<CreatedJoinToken?>(async db =>
    {
        if (await db.Devices.FindAsync([device], cancel) is not { RetiredAt: null })
            return null;
        await db.JoinTokens.Where(row => row.Device == device).ExecuteDeleteAsync(cancel); // one permission at a time
        db.Events.Add(new() { At = now, Kind = EventKind.DeviceReplacementAllowed, By = by, Device = device, Why = $"{wanted.Why}{(wanted.Why.Length > 0 ? "; " : "")}good for {Duration.Format(wanted.ExpiresIn)}" });
        return Add(db, new(wanted.ExpiresIn, 1) { PublicTls = wanted.PublicTls }, device, by, now);
    }, cancel);

    CreatedJoinToken Add(CoppiceDb db, CreateJoinToken wanted, string? device, string by, DateTimeOffset now)
    {
        var token = new JoinToken(Secret.Create(), repository.FirstRoot, wanted.PublicTls ? null : tls.Pin);
        var expires = now + wanted.ExpiresIn;
        db.JoinTokens.Add(new()
        {
            Hash = Secret.Hash(token.Secret),
            CreatedAt = now,
            CreatedBy = by,
            ExpiresAt = expires,
            MaxUses = wanted.MaxUses,
            Labels = StoredText.Of(wanted.Labels),
            Device = device,
        });
        return new(token.ToString(), expires, wanted.MaxUses);
    }
}
