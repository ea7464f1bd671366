using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Fleet;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Rollouts;

/// <summary>Takes the figures of reports to where gates and experiments add them up, so that a verdict reads sums and not a million reports.</summary>
static class RolloutFigures
{
    /// <summary>The arm under which figures of devices stand that run another release of the model.</summary>
    public const string ControlArm = "\u0001control"; // no plan's arm can have this name

    /// <summary>What a shadow's device measured of the release that answers there, on the same requests or samples.</summary>
    public static string OfServing(string metric) => $"\u0001serving {metric}"; // no metric of a plan can have this name

    /// <summary>Most devices of the control that are read when a phase begins.</summary>
    const int MaxControl = 100_000;

    /// <summary>Takes a device's report, of the leading model or of one that comes along.</summary>
    /// <param name="db">In a write.</param>
    /// <param name="rollout">What it is about.</param>
    /// <param name="device">Whose it is, with the attempt and the phase that it counts for.</param>
    /// <param name="report">The report.</param>
    /// <param name="cancel">Ends the call.</param>
    public static async Task TakeAsync(CoppiceDb db, RolloutRow rollout, RolloutDeviceRow device, Report report, CancellationToken cancel)
    {
        if (report.Measures is not { Count: > 0 } measures)
            return;
        var gates = rollout.GateList().Where(gate => gate.Kind == GateKind.Metric && (gate.Model ?? rollout.Model) == report.Model).ToList();
        var before = gates.Any(gate => gate.Against == Reference.Before) ? await BeforeAsync(db, rollout, report, device.Device, cancel) : null;
        foreach (var gate in gates)
        {
            if (ReportFigures.Contribution(gate, measures, before) is { } value)
                await PutAsync(db, rollout, device, gate.Name(), device.Arm, value, cancel);
        }

        if (device.Arm is { } arm && rollout.Terms().Experiment is { } terms && ReportFigures.Value(terms.Metric, measures) is { } primary && double.IsFinite(primary))
        {
            await PutAsync(db, rollout, device, terms.Metric, arm, primary, cancel);
            if (device.Shadow && ReportFigures.Serving(terms.Metric, measures) is { } serving && double.IsFinite(serving))
                await PutAsync(db, rollout, device, OfServing(terms.Metric), terms.Control, serving, cancel);
        }
    }

    /// <summary>Reads the control's figures anew: devices of the model's other rollouts that have not begun with this one.</summary>
    public static async Task ReadControlAsync(CoppiceDb db, RolloutRow rollout, CancellationToken cancel)
    {
        var gates = rollout.GateList().Where(gate => gate is { Kind: GateKind.Metric, Against: Reference.Control }).ToList();
        if (gates.Count == 0)
            return;
        await db.RolloutFigures.Where(row => row.Rollout == rollout.Number && row.Arm == ControlArm).ExecuteDeleteAsync(cancel);
        foreach (var ofModel in gates.GroupBy(gate => gate.Model ?? rollout.Model))
            await ReadControlAsync(db, rollout, ofModel.Key, [.. ofModel], cancel);
    }

    static async Task ReadControlAsync(CoppiceDb db, RolloutRow rollout, ModelName model, List<Gate> gates, CancellationToken cancel)
    {
        var others = OthersOf(db, rollout, model);
        var rows = await db.RolloutDevices.AsNoTracking()
            .Where(row => others.Contains(row.Rollout) && row.Kind == ReportKind.Settled && !row.Shadow && row.Measures != null)
            .Where(row => !db.RolloutDevices.Any(own => own.Rollout == rollout.Number && own.Device == row.Device))
            .OrderByDescending(row => row.Rollout).Take(MaxControl).ToListAsync(cancel);
        foreach (var row in rows.DistinctBy(row => row.Device))
        {
            foreach (var gate in gates)
            {
                if (ReportFigures.Contribution(gate, StoredText.Figures(row.Measures)!, null) is { } value)
                    db.RolloutFigures.Add(new() { Rollout = rollout.Number, Device = row.Device, Name = gate.Name(), Arm = ControlArm, Value = value });
            }
        }
    }

    /// <summary>Rollouts that brought another release of the model by itself, or leading others.</summary>
    static IQueryable<long> OthersOf(CoppiceDb db, RolloutRow rollout, ModelName model)
    {
        var release = model == rollout.Model ? rollout.Release : rollout.MemberList()!.Value.First(member => member.Model == model).Release;
        return db.Rollouts.Where(row => row.Model == model && row.Number != rollout.Number && row.Release != release).Select(row => row.Number);
    }

    /// <summary>What the device last said of the release before, of which it has come through probation.</summary>
    static async Task<IReadOnlyDictionary<string, double>?> BeforeAsync(CoppiceDb db, RolloutRow rollout, Report report, string device, CancellationToken cancel)
    {
        var others = OthersOf(db, rollout, report.Model);
        var measures = await db.RolloutDevices.Where(row => row.Device == device && others.Contains(row.Rollout) && row.Kind == ReportKind.Settled && !row.Shadow && row.Measures != null)
            .OrderByDescending(row => row.Rollout).Select(row => row.Measures).FirstOrDefaultAsync(cancel);
        // A model that only ever came along has no rollout of its own.
        if (measures is null && report.Model != rollout.Model)
        {
            measures = await (await ReportStore.OfDeviceAsync(db, device, cancel)).Where(row => row.Model == report.Model && row.Release != report.Release && row.Kind == ReportKind.Settled && !row.Shadow && row.Measures != null)
                .OrderByDescending(row => row.Sequence).Select(row => row.Measures).FirstOrDefaultAsync(cancel);
        }

        return StoredText.Figures(measures);
    }

    static async Task PutAsync(CoppiceDb db, RolloutRow rollout, RolloutDeviceRow device, string name, string? arm, double value, CancellationToken cancel)
    {
        var row = await db.RolloutFigures.FindAsync([rollout.Number, device.Device, name], cancel);
        if (row is null)
            db.RolloutFigures.Add(row = new() { Rollout = rollout.Number, Device = device.Device, Name = name });
        (row.Attempt, row.Phase, row.Arm, row.Value) = (device.Attempt, device.Phase, arm, value);
    }
}
