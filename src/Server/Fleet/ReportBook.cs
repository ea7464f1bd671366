using Coppice.Registry;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>What keeping reports reads and writes, within a write.</summary>
abstract class ReportBook(CoppiceDb db)
{
    public CoppiceDb Db => db;

    public abstract ValueTask<DeviceRow?> DeviceAsync(string id, CancellationToken cancel);

    public abstract ValueTask<DeviceModelRow?> ModelAsync(string device, ModelName model, CancellationToken cancel);

    public abstract ValueTask<RolloutRow?> RolloutAsync(long number, CancellationToken cancel);

    public abstract ValueTask<RolloutDeviceRow?> RolloutDeviceAsync(long number, string device, CancellationToken cancel);

    public abstract void Add(ReportRow report);

    public abstract void Add(DeviceModelRow model);

    public virtual void Add(RolloutDeviceRow device) => db.RolloutDevices.Add(device);
}

/// <summary>Of one device: row by row, with all that the audit log tells of changes.</summary>
sealed class TrackedBook(CoppiceDb db) : ReportBook(db)
{
    public override ValueTask<DeviceRow?> DeviceAsync(string id, CancellationToken cancel) => Db.Devices.FindAsync([id], cancel);

    public override ValueTask<DeviceModelRow?> ModelAsync(string device, ModelName model, CancellationToken cancel) => Db.DeviceModels.FindAsync([device, model], cancel);

    public override ValueTask<RolloutRow?> RolloutAsync(long number, CancellationToken cancel) => Db.Rollouts.FindAsync([number], cancel);

    public override ValueTask<RolloutDeviceRow?> RolloutDeviceAsync(long number, string device, CancellationToken cancel) => Db.RolloutDevices.FindAsync([number, device], cancel);

    public override void Add(ReportRow report) => Db.Reports.Add(report);

    public override void Add(DeviceModelRow model) => Db.DeviceModels.Add(model);
}

/// <summary>Of many devices: read together, and written together by the fastest way that the database has.</summary>
sealed class BatchBook : ReportBook
{
    readonly Dictionary<string, DeviceRow> devices;
    readonly Dictionary<(string, ModelName), DeviceModelRow> models;
    readonly Dictionary<long, RolloutRow> rollouts = [];
    readonly Dictionary<(long, string), RolloutDeviceRow> ofRollouts = [];
    readonly List<ReportRow> reports = [];
    readonly List<DeviceModelRow> newModels = [];
    readonly Dictionary<DeviceModelRow, string?> servedBefore = []; // of those that may have changed, as the column has it
    readonly Dictionary<string, string> factsBefore;

    BatchBook(CoppiceDb db, Dictionary<string, DeviceRow> devices, Dictionary<(string, ModelName), DeviceModelRow> models) : base(db)
    {
        (this.devices, this.models) = (devices, models);
        factsBefore = devices.ToDictionary(device => device.Key, device => device.Value.Facts, StringComparer.Ordinal);
    }

    /// <param name="engine">The database's.</param>
    /// <param name="db">In a write.</param>
    /// <param name="ids">The devices.</param>
    /// <param name="numbers">Rollouts that their reports name.</param>
    /// <param name="cancel">Ends the call.</param>
    public static async Task<BatchBook> ReadAsync(DatabaseEngine engine, CoppiceDb db, string[] ids, long[] numbers, CancellationToken cancel)
    {
        // Without EF Core, which would look for the query, and build the rows, for as long as the database takes.
        var found = await engine.LookUpAsync(db, ids, [(DeviceRow.Hearing, nameof(DeviceRow.Id)), (DeviceModelRow.Table, nameof(DeviceModelRow.Device))], cancel);
        var book = new BatchBook(
            db, found[0].Select(DeviceRow.Of).ToDictionary(row => row.Id, StringComparer.Ordinal), found[1].Select(DeviceModelRow.Of).ToDictionary(row => (row.Device, row.Model)));
        if (numbers.Length == 0)
            return book;
        foreach (var row in await db.Rollouts.Where(row => numbers.Contains(row.Number)).ToListAsync(cancel))
            book.rollouts[row.Number] = row;
        foreach (var row in await db.RolloutDevices.Where(row => numbers.Contains(row.Rollout) && ids.Contains(row.Device)).ToListAsync(cancel))
            book.ofRollouts[(row.Rollout, row.Device)] = row;
        return book;
    }

    public override ValueTask<DeviceRow?> DeviceAsync(string id, CancellationToken cancel) => new(devices.GetValueOrDefault(id));

    public override ValueTask<DeviceModelRow?> ModelAsync(string device, ModelName model, CancellationToken cancel)
    {
        if (models.TryGetValue((device, model), out var row))
            servedBefore.TryAdd(row, row.Serving?.ToString());
        return new(row);
    }

    public override ValueTask<RolloutRow?> RolloutAsync(long number, CancellationToken cancel) => new(rollouts.GetValueOrDefault(number));

    public override ValueTask<RolloutDeviceRow?> RolloutDeviceAsync(long number, string device, CancellationToken cancel) => new(ofRollouts.GetValueOrDefault((number, device)));

    public override void Add(ReportRow report) => reports.Add(report);

    public override void Add(DeviceModelRow model)
    {
        models[(model.Device, model.Model)] = model;
        newModels.Add(model);
    }

    public override void Add(RolloutDeviceRow device)
    {
        ofRollouts[(device.Rollout, device.Device)] = device;
        base.Add(device);
    }

    /// <summary>Writes reports, devices and what they run; the rest is tracked and saved with the write.</summary>
    public async Task WriteAsync(DatabaseEngine engine, CancellationToken cancel)
    {
        await engine.InsertAsync(Db, ReportRow.Table, reports.Select(row => row.Values()), cancel);
        await engine.InsertAsync(Db, DeviceModelRow.Table, newModels.Select(row => row.Values()), cancel);
        foreach (var row in newModels)
            servedBefore.Remove(row);
        await engine.UpdateAsync(
            Db,
            [
                (DeviceModelRow.StillServing, [.. servedBefore.Where(row => row.Key.Serving?.ToString() == row.Value).Select(row => row.Key.StillServingValues())]),
                (DeviceModelRow.Table, [.. servedBefore.Where(row => row.Key.Serving?.ToString() != row.Value).Select(row => row.Key.Values())]),
                (DeviceRow.HeardOf, [.. devices.Values.Select(row => row.HeardValues())]),
                (DeviceRow.FactsOf, [.. devices.Values.Where(row => row.Facts != factsBefore[row.Id]).Select(row => row.FactsValues())]),
            ],
            cancel);
        await FollowFactsAsync(engine, cancel);
    }

    async Task FollowFactsAsync(DatabaseEngine engine, CancellationToken cancel)
    {
        var added = new List<DeviceMarkRow>();
        foreach (var device in devices.Values.Where(device => device.Facts != factsBefore[device.Id]))
        {
            var change = MarkedDevices.Change(device.Id, (factsBefore[device.Id], device.Labels), (device.Facts, device.Labels));
            added.AddRange(change.New);
            foreach (var gone in change.Gone)
                await Db.DeviceMarks.Where(row => row.Name == gone.Name && row.Value == gone.Value && row.Device == gone.Device).ExecuteDeleteAsync(cancel);
        }

        await engine.InsertAsync(Db, DeviceMarkRow.Table, added.Select(row => row.Values()), cancel);
    }
}
