using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Access;

sealed class OperatorStore(Database database)
{
    /// <summary>The operator of the first start.</summary>
    public const string Admin = "admin";

    const string Prefix = "cpa_";

    /// <summary>Makes the admin if there is none.</summary>
    /// <returns>The token's text, told only now; null when the admin was there.</returns>
    public Task<string?> EnsureAdminAsync(Action<string> keep, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.Operators.AnyAsync(row => row.Name == Admin, cancel))
            return null;
        var token = Prefix + Secret.Create();
        keep(token); // before it is hashed for good: a start that stops between the two makes another
        db.Operators.Add(new() { Name = Admin, Hash = Secret.Hash(token), CreatedAt = now });
        return token;
    }, cancel);

    /// <summary>Whose token this is; null for nobody's.</summary>
    public Task<string?> WhoAsync(string token, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var hash = Secret.Hash(token);
        var found = await db.Operators.FirstOrDefaultAsync(row => row.Hash == hash, cancel);
        return found is not null && Secret.Matches(token, found.Hash) ? found.Name : null;
    }, cancel);
}
