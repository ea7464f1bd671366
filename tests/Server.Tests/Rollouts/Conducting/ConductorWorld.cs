using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Server.Rollouts;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Rollouts.Conducting;

/// <summary>What goes wrong while something is done.</summary>
public enum Fault
{
    None,

    /// <summary>The database refuses a row, in the middle of a transaction.</summary>
    Tables,

    /// <summary>The tree's disk is full.</summary>
    Tree,

    /// <summary>The process ends while it writes the tree, and another starts.</summary>
    Death,
}

/// <summary>A conductor, its devices, its operators, and everything that can go wrong around them, one act after the other. After each, <see cref="ConductorChecks"/> holds what must be true against what is there.</summary>
sealed class ConductorWorld : IDisposable
{
    const string Operator = "op";

    /// <summary>Where a row can be refused: before and after each thing that belongs together.</summary>
    static readonly string[] Refusals = ["INSERT ON Events", "INSERT ON RolloutDecisions", "INSERT ON Reports", "INSERT ON RolloutDevices", "UPDATE ON RolloutDevices", "UPDATE ON Rollouts", "UPDATE ON Models", "UPDATE ON Devices"];

    readonly ConductorTemplate template;
    readonly string file;
    readonly SqliteConnection tables;
    readonly ConductorClock time;
    readonly MemoryTree tree;
    readonly ConductorChecks checks;
    readonly List<Report>[] said = [.. Enumerable.Range(0, ConductorTemplate.Devices).Select(_ => new List<Report>())];
    readonly long[] answered = new long[ConductorTemplate.Devices];
    ConductingServer conductor;

    ConductorWorld(ConductorTemplate template, string file, SqliteConnection tables, MemoryTree tree, ConductorClock time, ConductingServer conductor)
    {
        (this.template, this.file, this.tables, this.tree, this.time, this.conductor) = (template, file, tables, tree, time, conductor);
        checks = new(tables, tree, template.Root);
    }

    /// <summary>What was done, for who looks for the act that broke something.</summary>
    public List<string> Acts { get; } = [];

    /// <summary>Rollouts as they stand, by number.</summary>
    public IReadOnlyDictionary<long, KnownRollout> Rollouts => checks.Rollouts;

    public static async Task<ConductorWorld> StartAsync()
    {
        var template = await ConductorTemplate.GetAsync();
        var file = ConductorTemplate.MemoryFile();
        var tables = new SqliteConnection($"Data Source={file}");
        tables.Open();
        template.FillTables(tables);
        var (tree, time) = (template.Tree(), new ConductorClock());
        var world = new ConductorWorld(template, file, tables, tree, time, await ConductingServer.StartAsync(file, tree, template.OnlineKey, time));
        await world.checks.HoldAsync(world.conductor, world.time.Now);
        return world;
    }

    /// <summary>An operator starts a rollout.</summary>
    public Task StartRolloutAsync(StartRollout wanted, Fault fault = default, int step = 0) =>
        DoAsync($"start {wanted.Release} of {wanted.Phases.Length} phases{(wanted.Arms.IsEmpty ? "" : ", an experiment")}", fault, step, () => conductor.Rollouts.StartAsync(wanted, Operator, time.Now, CancellationToken.None));

    /// <summary>An operator orders something.</summary>
    public Task OrderAsync(RolloutVerb verb, long rollout, int? phase = null, int? attempt = null, Fault fault = default, int step = 0) =>
        DoAsync($"{verb} r-{rollout}", fault, step, () => conductor.Rollouts.OrderAsync(rollout, verb, new("ordered") { Phase = phase, Attempt = attempt }, Operator, time.Now, CancellationToken.None));

    /// <summary>An operator makes an arm everybody's.</summary>
    public Task PromoteAsync(long rollout, string arm, Fault fault = default, int step = 0) =>
        DoAsync($"promote {arm} of r-{rollout}", fault, step, () => conductor.Rollouts.PromoteAsync(rollout, new(arm, $"{ConductorChecks.Promotes}{arm}"), Operator, time.Now, CancellationToken.None));

    /// <summary>A test bench says how it came out.</summary>
    public Task CheckAsync(long rollout, int phase, bool good, Fault fault = default, int step = 0) =>
        DoAsync($"bench is {good} in phase {phase} of r-{rollout}", fault, step, () => conductor.Rollouts.CheckAsync(rollout, new("bench", good, "seen", phase), Operator, time.Now, CancellationToken.None));

    /// <summary>An operator bars a release.</summary>
    public Task RevokeAsync(int release, Fault fault = default, int step = 0) =>
        DoAsync($"revoke {release}", fault, step, () => conductor.Releases.RevokeAsync(Bearing, ConductorTemplate.Release(release), "unsafe", Operator, time.Now, CancellationToken.None));

    /// <summary>The worker's clock rings.</summary>
    public Task JudgeAsync(Fault fault = default, int step = 0) => DoAsync("judge", fault, step, () => conductor.Worker.JudgeAsync(CancellationToken.None));

    /// <summary>The server ends, and starts again.</summary>
    public Task RestartAsync() => DoAsync("restart", Fault.None, 0, StartAgainAsync);

    /// <summary>Time passes, or a clock is set.</summary>
    public Task SetClockAsync(TimeSpan by)
    {
        time.Now += by;
        return DoAsync($"clock {by}", Fault.None, 0, () => Task.FromResult(conductor.Repository.Tree.RefreshExpiry(time.Now)));
    }

    /// <summary>Something happens on a device; nobody hears of it yet.</summary>
    public void Happens(int device, ReportKind kind, string rollout, Coppice.Registry.SemanticVersion release, int attempt, ImmutableDictionary<string, double>? measures = null, bool shadow = false) =>
        said[device].Add(new(said[device].Count + 1, time.Now, kind, Bearing, release) { Rollout = rollout, Attempt = attempt, Why = kind is ReportKind.Refused or ReportKind.TakenBack ? "worse" : null, Measures = measures, Shadow = shadow ? true : null });

    /// <summary>What a device would send now: everything that was not answered, or some of it.</summary>
    public (int Device, ReportBatch Batch) Send(int device, int most = int.MaxValue) =>
        (device, new([.. said[device].Where(report => report.Sequence > answered[device]).Take(Math.Min(most, ReportBatch.MaxReports))]));

    /// <summary>A message arrives: for the first time, again, late, or after later ones.</summary>
    public Task ArriveAsync((int Device, ReportBatch Batch) message, bool answers = true, Fault fault = default, int step = 0)
    {
        var (device, batch) = message;
        var text = $"{ConductorTemplate.Device(device)} says {string.Join(", ", batch.Reports.Select(report => $"{report.Sequence} {report.Kind} {report.Rollout}/{report.Attempt}"))}{(answers ? "" : ", and hears no answer")}";
        return DoAsync(text, fault, step, async () =>
        {
            if (batch.Reports.IsEmpty)
                return 0;
            var kept = await conductor.Reports.KeepAsync(ConductorTemplate.Device(device), batch, time.Now, CancellationToken.None);
            checks.Keep(ConductorTemplate.Device(device), batch.Reports, kept.Through);
            if (answers)
                answered[device] = Math.Max(answered[device], kept.Through ?? 0);
            return 0;
        });
    }

    /// <summary>Messages of different devices arrive at once and are kept within one write; what must be true is held after the next act.</summary>
    public async Task ArriveTogetherAsync(IReadOnlyList<(int Device, ReportBatch Batch)> messages)
    {
        var kept = await conductor.Reports.KeepAllAsync([.. messages.Select(message => (ConductorTemplate.Device(message.Device), message.Batch, time.Now))], CancellationToken.None);
        foreach (var ((device, batch), answer) in messages.Zip(kept))
        {
            checks.Keep(ConductorTemplate.Device(device), batch.Reports, answer.Through);
            answered[device] = Math.Max(answered[device], answer.Through ?? 0);
        }
    }

    /// <summary>Somebody writes into the tables past the server: what must be true is not any more, and the checks say so.</summary>
    public Task TamperAsync(string sql) => DoAsync("tamper", Fault.None, 0, () =>
    {
        Run(sql);
        return Task.CompletedTask;
    });

    public void Dispose()
    {
        conductor.Dispose();
        checks.Dispose();
        tables.Dispose();
    }

    Task DoAsync(string what, Fault fault, int step, Func<Task> act) => DoAsync(what, fault, step, async () =>
    {
        await act();
        return 0;
    });

    async Task DoAsync<T>(string what, Fault fault, int step, Func<Task<T>> act)
    {
        var refusal = Refusals[step % Refusals.Length];
        Acts.Add(fault switch { Fault.None => what, Fault.Tables => $"{what}, but no {refusal}", _ => $"{what}, but {fault} after {step} steps" });
        if (fault == Fault.Tables)
            Run($"CREATE TRIGGER refused BEFORE {refusal} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
        else if (fault != Fault.None)
            tree.RefuseAfter(step);
        try
        {
            await act();
        }
        catch (Exception e) when ((fault == Fault.Tables && e is DbUpdateException or SqliteException) || (fault is Fault.Tree or Fault.Death && e is IOException))
        {
            Acts[^1] += ": it failed";
        }
        finally
        {
            if (fault == Fault.Tables)
                Run("DROP TRIGGER refused");
        }

        if (tree.Mend() && fault == Fault.Death)
            await StartAgainAsync();
        await checks.HoldAsync(conductor, time.Now);
    }

    async Task StartAgainAsync()
    {
        conductor.Dispose();
        conductor = await ConductingServer.StartAsync(file, tree, template.OnlineKey, time);
    }

    void Run(string sql)
    {
        using var command = tables.CreateCommand();
#pragma warning disable CA2100 // the text is this file's
        command.CommandText = sql;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }
}
