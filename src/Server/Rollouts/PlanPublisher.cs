using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Backups;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Rollouts;

/// <summary>Keeps the signed plans in the tree equal to what the tables say, whatever is cut short in between.</summary>
/// <remarks>
/// A change is committed to the tables first, with the plan's next serial; the plan is derived from them and signed
/// after. A crash between the two leaves a plan behind that differs, and the next start or change publishes it.
/// </remarks>
sealed class PlanPublisher(Database database, Repository repository, TimeProvider time, Restores? restores = null) : IDisposable
{
    // Devices may have followed plans that a restore knows nothing of, also of models that it knows nothing of.
    readonly long leastSerial = restores?.LeastSerial ?? 0;
    readonly SemaphoreSlim gate = new(1);

    /// <summary>Whether the tables may be ahead of the tree, because a publish failed.</summary>
    public bool IsBehind { get; private set; }

    /// <summary>Changes what a model's plan is made of, and publishes the plan.</summary>
    /// <param name="model">The model.</param>
    /// <param name="change">Returns its result, and whether the plan changes.</param>
    /// <param name="cancel">Ends the call before the change is committed; not between that and the publishing.</param>
    public Task<T> ChangeAsync<T>(ModelName model, Func<CoppiceDb, Task<(T Result, bool Changed)>> change, CancellationToken cancel) =>
        ChangeAsync(model, async db => await change(db) is var (result, changed) && changed ? (result, [model]) : (result, (IReadOnlyCollection<ModelName>)[]), cancel);

    /// <summary>Changes what plans are made of, and publishes them.</summary>
    /// <param name="model">The model that it is about.</param>
    /// <param name="change">Returns its result, and the models whose plans change.</param>
    /// <param name="cancel">Ends the call before the change is committed; not between that and the publishing.</param>
    public async Task<T> ChangeAsync<T>(ModelName model, Func<CoppiceDb, Task<(T Result, IReadOnlyCollection<ModelName> Changed)>> change, CancellationToken cancel)
    {
        await gate.WaitAsync(cancel);
        try
        {
            await PublishAsync(model);
            var (result, changed) = await database.WriteAsync(async db =>
            {
                var outcome = await change(db);
                foreach (var name in outcome.Changed)
                {
                    var row = await db.Models.SingleAsync(row => row.Name == name, cancel);
                    row.Serial = Math.Max(row.Serial + 1, leastSerial);
                }

                return outcome;
            }, cancel);
            foreach (var name in changed)
                await PublishAsync(name);
            return result;
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>Publishes every plan that differs from what the tables say.</summary>
    public async Task ReconcileAsync(CancellationToken cancel)
    {
        foreach (var model in await database.ReadAsync(db => db.Models.Select(row => row.Name).ToListAsync(cancel), cancel))
        {
            await gate.WaitAsync(cancel);
            try
            {
                await PublishAsync(model);
            }
            finally
            {
                gate.Release();
            }
        }
    }

    public void Dispose() => gate.Dispose();

    /// <summary>Whether a plan waits to be published that this server or another did not come to.</summary>
    public async Task<bool> AwaitsAsync(CancellationToken cancel) => IsBehind || await database.ReadAsync(db => db.Models.AnyAsync(row => row.Serial != row.Published, cancel), cancel);

    async Task PublishAsync(ModelName model)
    {
        try
        {
            while (!await TryPublishAsync(model))
            {
                // Another server published meanwhile: what it made may be newer.
            }

            IsBehind = false;
        }
        catch
        {
            IsBehind = true;
            throw;
        }
    }

    async Task<bool> TryPublishAsync(ModelName model)
    {
        var target = RepositoryLayout.PlanTarget(model.ToString());
        var published = repository.Tree.ReadTarget(target); // before the tables, which are never behind the tree then
        if (await DeriveAsync(model) is not var (plan, known))
            return true;

        if (plan.Serial < leastSerial)
            plan = plan with { Serial = await PassAsync(model, leastSerial - 1) };
        var bytes = DocumentJson.Write(plan);
        if (published is { } there && !there.Span.SequenceEqual(bytes))
        {
            // The tables were restored from a backup: devices would refuse a serial below the one they saw.
            if (DocumentJson.TryRead(there.Span, out RolloutPlan? seen, out _) && seen.Serial >= plan.Serial)
            {
                plan = plan with { Serial = await PassAsync(model, seen.Serial) };
                bytes = DocumentJson.Write(plan);
            }
        }

        if (!repository.Tree.TrySetPlan(target, bytes, published, time.GetUtcNow())) // does nothing when it is there already
            return false;
        if (known != plan.Serial)
            await database.WriteAsync(db => db.Models.Where(row => row.Name == model && row.Published < plan.Serial).ExecuteUpdateAsync(row => row.SetProperty(m => m.Published, plan.Serial)), CancellationToken.None);
        return true;
    }

    /// <summary>The plan that the tables say, and the serial that the tree is known to hold; null when nobody has rolled the model out.</summary>
    Task<(RolloutPlan Plan, long Published)?> DeriveAsync(ModelName name) => database.SnapshotAsync<(RolloutPlan, long)?>(async db =>
    {
        if (await db.Models.FirstOrDefaultAsync(row => row.Name == name) is not { Serial: > 0 } model)
            return null;
        var quoted = RolloutRow.Quoted(name);
        var rollouts = await db.Rollouts.Where(row => row.Model == name || (row.Members != null && row.Members.Contains(quoted))).OrderByDescending(row => row.Number).Take(RolloutRules.MaxRollouts).ToListAsync();
        var revoked = await db.Releases.Where(row => row.Model == name && row.RevokedAt != null).Select(row => row.Version).ToListAsync();
        return (new(RolloutPlan.CurrentSchema, name, model.Serial, [.. rollouts.Select(row => row.ToRollout(name))], [.. revoked.Order()]), model.Published);
    }, CancellationToken.None);

    Task<long> PassAsync(ModelName name, long seen) => database.WriteAsync(async db =>
        (await db.Models.SingleAsync(row => row.Name == name)).Serial = seen + 1, CancellationToken.None);
}
