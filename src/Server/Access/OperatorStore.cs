using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Events;
using Coppice.Server.Preconditions;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Access;

sealed class OperatorStore(Database database)
{
    /// <summary>The operator of the first start.</summary>
    public const string Admin = "admin";

    /// <summary>Makes the admin and a token of theirs if there is no such token.</summary>
    /// <returns>Whether it was made.</returns>
    public Task<bool> EnsureAdminAsync(Action<string> keep, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.ApiTokens.AnyAsync(row => row.Operator == Admin, cancel))
            return false;
        var token = NewToken();
        keep(token.ToString()); // before it is hashed for good: a start that stops between the two makes another
        if (await db.Operators.FindAsync([Admin], cancel) is null)
            db.Operators.Add(new() { Name = Admin, Grants = GrantText.Of([new(Role.Admin)]), CreatedAt = now, CreatedBy = EventRow.Itself });
        db.ApiTokens.Add(new() { Id = token.Id, Name = "first start", Operator = Admin, Hash = Secret.Hash(token.Secret), Grants = GrantText.Of([]), CreatedAt = now, CreatedBy = EventRow.Itself });
        db.Events.Add(new() { At = now, Kind = EventKind.TokenCreated, By = EventRow.Itself, Why = $"{token.Id} of {Admin}: first start" });
        return true;
    }, cancel);

    public Task<ImmutableArray<OperatorView>> ListAsync(CancellationToken cancel) => database.ReadAsync(async db =>
        (await db.Operators.OrderBy(row => row.Name).ToListAsync(cancel)).Select(row => row.View()).ToImmutableArray(), cancel);

    public Task<OperatorView?> FindAsync(string name, CancellationToken cancel) => database.ReadAsync(async db =>
        (await db.Operators.FirstOrDefaultAsync(row => row.Name == name, cancel))?.View(), cancel);

    /// <summary>The operator whom the identity provider knows by a subject; also a removed one.</summary>
    public Task<OperatorRow?> OfSubjectAsync(string subject, CancellationToken cancel) => database.ReadAsync(db =>
        db.Operators.FirstOrDefaultAsync(row => row.Subject == subject, cancel), cancel);

    /// <summary>Makes an operator known, or changes what they may do.</summary>
    /// <returns>Null when the subject is another operator's, or nobody would be left who may manage operators.</returns>
    public Task<(OperatorView? Now, bool SubjectTaken)> PutAsync(string name, PutOperator wanted, string by, DateTimeOffset now, CancellationToken cancel, IfMatch? match = null) => database.WriteAsync<(OperatorView?, bool)>(async db =>
    {
        match?.Require($"the operator {name}", (await db.Operators.FindAsync([name], cancel))?.View().Revision);
        if (wanted.Subject is { } subject && await db.Operators.AnyAsync(row => row.Subject == subject && row.Name != name, cancel))
            return (null, true);
        var grants = GrantText.Of(wanted.Grants);
        var row = await db.Operators.FindAsync([name], cancel);
        if (row is { RemovedAt: null } && row.Grants == grants && row.Subject == wanted.Subject)
            return (row.View(), false);
        if (!Manages(wanted.Grants) && !await OthersManageAsync(db, name, cancel))
            return (null, false);
        if (row is null)
            db.Operators.Add(row = new() { Name = name, Grants = grants, CreatedAt = now, CreatedBy = by });
        (row.Grants, row.Subject, row.RemovedAt) = (grants, wanted.Subject, null);
        GrantText.TryLayer("grants", wanted.Grants, out var layer, out _);
        db.Events.Add(new() { At = now, Kind = EventKind.OperatorChanged, By = by, Why = $"{name}: {string.Join(", ", layer)}" });
        return (row.View(), false);
    }, cancel);

    /// <summary>Lets an operator do nothing any more; their tokens open nothing from now on.</summary>
    /// <returns>False when there is no such operator; null when nobody would be left who may manage operators.</returns>
    public Task<bool?> RemoveAsync(string name, string by, DateTimeOffset now, CancellationToken cancel, IfMatch? match = null) => database.WriteAsync<bool?>(async db =>
    {
        if (await db.Operators.FindAsync([name], cancel) is not { } row)
            return false;
        match?.Require($"the operator {name}", row.View().Revision);
        if (row.RemovedAt is not null)
            return true;
        if (!await OthersManageAsync(db, name, cancel))
            return null;
        row.RemovedAt = now;
        foreach (var token in await db.ApiTokens.Where(token => token.Operator == name && token.RevokedAt == null).ToListAsync(cancel))
            (token.RevokedAt, token.RevokedBy) = (now, by);
        db.Events.Add(new() { At = now, Kind = EventKind.OperatorRemoved, By = by, Why = name });
        return true;
    }, cancel);

    /// <summary>A token of the system's randomness.</summary>
    internal static ApiToken NewToken() => ApiToken.Create(RandomNumberGenerator.GetBytes(ApiToken.RandomBytes));

    static bool Manages(ImmutableArray<RoleGrant> grants) =>
        GrantText.TryLayer("grants", grants, out var layer, out _) && new Rights([layer]).MaySomewhere(Permission.OperatorManage);

    static async Task<bool> OthersManageAsync(CoppiceDb db, string name, CancellationToken cancel) =>
        (await db.Operators.AsNoTracking().Where(row => row.RemovedAt == null && row.Name != name).ToListAsync(cancel)).Exists(row => Manages(GrantText.Read(row.Grants)));
}
