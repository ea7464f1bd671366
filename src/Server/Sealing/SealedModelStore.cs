using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Sealing;

/// <summary>Which models must be sealed, and for whom.</summary>
sealed class SealedModelStore(Database database)
{
    /// <summary>What was said of a model; null for nothing.</summary>
    public Task<SealedModel?> FindAsync(ModelName model, CancellationToken cancel) => database.ReadAsync(async db =>
        await db.SealedModels.FirstOrDefaultAsync(row => row.Model == model, cancel) is { } row ? await ViewAsync(db, row, cancel) : null, cancel);

    /// <summary>Says that a model's releases must be sealed, and which devices are given its keys.</summary>
    public Task<SealedModel> SetAsync(ModelName model, string selector, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var row = await db.SealedModels.FindAsync([model], cancel);
        if (row is null)
            db.SealedModels.Add(row = new() { Model = model, Selector = selector, SetAt = now, SetBy = by });
        else
            (row.Selector, row.SetAt, row.SetBy) = (selector, now, by);
        db.Events.Add(new() { At = now, Kind = EventKind.ModelSealed, By = by, Why = selector.Length == 0 ? "for every device" : $"for {selector}", Model = model });
        return await ViewAsync(db, row, cancel);
    }, cancel);

    /// <summary>Lets a model's releases be published in the clear again. Nobody is given its keys any more.</summary>
    /// <returns>False when nothing was said of the model.</returns>
    public Task<bool> RemoveAsync(ModelName model, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        if (await db.SealedModels.FindAsync([model], cancel) is not { } row)
            return false;
        db.SealedModels.Remove(row);
        db.Events.Add(new() { At = now, Kind = EventKind.ModelUnsealed, By = by, Why = "", Model = model });
        return true;
    }, cancel);

    static async Task<SealedModel> ViewAsync(CoppiceDb db, SealedModelRow row, CancellationToken cancel) => new(
        row.Model, row.Selector, row.SetAt, row.SetBy,
        await db.ContentKeys.CountAsync(key => key.Model == row.Model, cancel),
        await db.KeyGrants.Where(grant => grant.Model == row.Model).Select(grant => grant.Device).Distinct().CountAsync(cancel));
}
