using System.Collections.Immutable;
using Coppice.Numerics;
using Coppice.Registry;

namespace Coppice.Rollouts.Rehearsals;

/// <summary>A rollout that is rehearsed: what its plan and its policy say.</summary>
/// <param name="Rollout">As devices would read it, in its first phase.</param>
/// <param name="Phases">With their gates.</param>
/// <param name="Gates">Of phases that name none of their own.</param>
/// <param name="Policy">When it is stopped.</param>
/// <param name="Confidence">How sure gates must be.</param>
/// <param name="Deadline">How long a device may be silent.</param>
public sealed record RehearsedRollout(Rollout Rollout, ImmutableArray<Phase> Phases, ImmutableArray<Gate> Gates, RolloutPolicy Policy, double Confidence, TimeSpan Deadline)
{
    /// <summary>A rollout of the release as nobody has started it yet.</summary>
    public static RehearsedRollout Of(SemanticVersion release, string selector, ImmutableArray<Phase> phases, ImmutableArray<Gate> gates, RolloutPolicy policy, double confidence, TimeSpan deadline) =>
        new(new("r-2", release, default, "rehearsal", selector, [.. phases.Select(phase => phase with { Gates = null })], 0, RolloutState.Running, 1), phases, gates, policy, confidence, deadline);
}

/// <summary>Runs a rollout on simulated devices: each decides by <see cref="ReleaseChoice"/>, and the phases move by <see cref="PhaseVerdict"/>, as in the field.</summary>
/// <remarks>
/// Events in a calendar of minutes, a device having at most one at a time. A device that has nothing to do costs nothing: its polls are
/// counted by how many are on, not run one by one. Reports are delivered when the device is on; the server judges once a simulated minute.
/// </remarks>
public sealed class Rehearsal
{
    const int Minute = 60;
    const int None = -1;

    static readonly ModelName Model = ModelName.Parse("rehearsal/model");
    static readonly SemanticVersion Before = SemanticVersion.Parse("0.0.0-before");

    readonly RehearsedRollout rehearsed;
    readonly RehearsalWorld world;
    readonly SeededRandom random;
    readonly SimulatedDevices devices;
    readonly RehearsalTraffic traffic;
    readonly int[] next;
    readonly int[] due;
    readonly int[] bucket;
    readonly bool[] fetched;
    readonly Queue<int> began = new();
    MetricModel[] models = [];
    Moments[] figures = [];
    readonly List<RehearsedPhase> phases = [];
    readonly long[] counts = new long[8];
    readonly long[] inPhase = new long[8];
    RolloutPlan plan;
    Rollout rollout;
    int since;
    long reached;
    long reachedAtStart;
    bool dirty = true;
    RehearsedStop? stop;
    RehearsedDoubt? doubt;

    Rehearsal(RehearsedRollout rehearsed, RehearsalWorld world)
    {
        (this.rehearsed, this.world) = (rehearsed, world);
        random = new(world.Seed);
        devices = new(world, random.Fork(1));
        next = new int[world.Devices];
        due = new int[world.Devices];
        fetched = new bool[rehearsed.Rollout.FetchEarly == true ? world.Devices : 0];
        bucket = new int[world.Days * 1440 + 1];
        Array.Fill(bucket, None);
        Array.Fill(due, None);
        traffic = new(world);
        rollout = rehearsed.Rollout with { Since = world.Start, StartsAt = rehearsed.Rollout.StartsAt };
        plan = Plan();
        for (var i = 0; i < world.Devices; i++)
            devices.Place[i] = (ushort)Cohort.Of(rollout.Salt, devices.IdOf(i));
        counts[(int)DeviceState.Before] = world.Devices;
    }

    /// <summary>Rehearses.</summary>
    /// <param name="rollout">What is rolled out.</param>
    /// <param name="world">To whom.</param>
    /// <param name="untilDecided">Whether it ends when the rollout is stopped or complete; the hours after that are then left at 0.</param>
    public static RehearsalResult Run(RehearsedRollout rollout, RehearsalWorld world, bool untilDecided = false) => new Rehearsal(rollout, world).Run(untilDecided);

    RehearsalResult Run(bool untilDecided)
    {
        since = rollout.StartsAt is { } starts && starts > world.Start ? (int)Math.Min((starts - world.Start).TotalSeconds, int.MaxValue / 2) : 0;
        rollout = rollout with { Since = world.Start.AddSeconds(since) };
        plan = Plan();
        Publish(0);
        Open(since);
        var minutes = world.Days * 1440;
        var settled = new long[world.Days * 24];
        var failed = new long[world.Days * 24];
        for (var minute = 0; minute < minutes && !(untilDecided && rollout.State != RolloutState.Running); minute++)
        {
            while (bucket[minute] is not None and var device)
            {
                bucket[minute] = next[device];
                Act(device, due[device]);
            }

            Listen((minute + 1) * Minute);
            Conduct((minute + 1) * Minute);
            if (minute % 60 == 59)
                (settled[minute / 60], failed[minute / 60]) = (counts[(int)DeviceState.Settled], Failures(counts));
        }

        Close(null);
        return new(
            [.. phases], rollout.State, stop, counts[(int)DeviceState.Settled], Failures(counts), counts[(int)DeviceState.Silent], counts[(int)DeviceState.Underway], counts[(int)DeviceState.Back],
            traffic.Bytes, traffic.PeakRequests(devices), traffic.PeakBytes(), [.. settled], [.. failed], [.. traffic.RequestsPerHour(devices)], [.. traffic.BytesPerHour()])
        {
            Undecided = rollout.State == RolloutState.Running ? doubt : null,
        };
    }

    /// <summary>What a device does when its time comes.</summary>
    void Act(int device, int second)
    {
        due[device] = None;
        switch (devices.State[device])
        {
            case DeviceState.Before or DeviceState.Settled:
                Decide(device, second);
                break;
            case DeviceState.Underway or DeviceState.Silent:
                Conclude(device, second);
                break;
        }
    }

    void Decide(int device, int second)
    {
        var has = devices.State[device] == DeviceState.Settled;
        var now = devices.TimeOf(device, second);
        var choice = ReleaseChoice.Choose(plan, new(devices.IdOf(device), devices.FactsOf(device), has ? rollout.Release : Before, []), now);
        if (has)
        {
            if (choice is { Kind: ChoiceKind.Take, Rollout: { } older } && older.Release == Before)
                Become(device, DeviceState.Back);
            return;
        }

        if (choice.Kind == ChoiceKind.Take && choice.Rollout!.Release == rollout.Release)
        {
            Begin(device, second);
            return;
        }

        if (choice.Kind == ChoiceKind.Prepare && !fetched[device])
        {
            fetched[device] = true;
            Fetch(device, second, out var here);
            Schedule(device, Math.Max(here, Again(choice, second)), poll: true);
            return;
        }

        if (choice.Again is not null || choice.Kind == ChoiceKind.Prepare)
            Schedule(device, Again(choice, second), poll: false);
    }

    int Again(ReleaseChoice choice, int second) => choice.Again is { } again ? Math.Max(second + 1, (int)Math.Ceiling((again - world.Start).TotalSeconds)) : second + (int)world.Poll.TotalSeconds;

    void Begin(int device, int second)
    {
        devices.Began[device] = second;
        Become(device, DeviceState.Underway);
        began.Enqueue(device);
        traffic.Requests(second, 2);
        var here = second;
        if (fetched.Length == 0 || !fetched[device])
            Fetch(device, second, out here);
        if (random.NextDouble() < world.Lost)
            return; // it never comes back
        var tried = here + (int)world.Trial.TotalSeconds;
        // Refusing is known sooner than settling.
        var refuses = random.NextDouble() < world.Failures / 2 + world.Release.Refused;
        devices.Refuses[device] = refuses;
        var ends = refuses ? tried : tried + (int)world.Probation.TotalSeconds;
        Schedule(device, devices.NextOn(device, ends), poll: false);
    }

    void Fetch(int device, int second, out int here)
    {
        here = devices.After(device, second, devices.FetchSeconds(device));
        traffic.Fetch(second, here);
    }

    void Conclude(int device, int second)
    {
        traffic.Requests(second, 1);
        if (devices.Refuses[device])
        {
            Become(device, DeviceState.Refused);
            return;
        }

        var draw = random.NextDouble();
        if (draw < world.Release.Crashed)
            Become(device, DeviceState.Crashed);
        else if (draw < world.Release.Crashed + world.Failures / 2 + world.Release.TakenBack)
            Become(device, DeviceState.TakenBack);
        else
        {
            Become(device, DeviceState.Settled);
            Report(device);
            if (rollout.State == RolloutState.Reverted)
                Schedule(device, devices.NextPoll(device, second + 1), poll: false);
        }
    }

    /// <summary>A settled device's figures, through the gates' own arithmetic.</summary>
    void Report(int device)
    {
        var at = 0;
        foreach (var gate in Metrics(rollout.Phase))
        {
            var model = models[at];
            var own = model.Middle * Math.Exp(model.Spread * random.NextGaussian());
            var change = 1.0;
            foreach (var (name, effect) in world.Release.Effects)
                change *= name == model.Name ? 1 + effect : 1;
            var value = own * change * Math.Exp(model.Noise * random.NextGaussian());
            if (gate.Contribution(value, own * Math.Exp(model.Noise * random.NextGaussian())) is { } contribution)
                figures[at] = figures[at].Add(contribution);
            at++;
        }
    }

    /// <summary>Devices that have been under way for longer than they may.</summary>
    void Listen(int second)
    {
        while (began.TryPeek(out var device) && devices.Began[device] + rehearsed.Deadline.TotalSeconds <= second)
        {
            began.Dequeue();
            if (devices.State[device] != DeviceState.Underway)
                continue;
            Become(device, DeviceState.Silent);
        }
    }

    void Conduct(int second)
    {
        if (rollout.State != RolloutState.Running || (!dirty && second % (10 * Minute) != 0))
            return;
        dirty = false;
        var evidence = Evidence(second);
        var verdict = PhaseVerdict.Judge(evidence, explain: false);
        switch (verdict.Action)
        {
            case PhaseAction.Wait:
                if (verdict.IsUndecided)
                    doubt ??= new(rollout.Phase, second, PhaseVerdict.Judge(evidence).Why);
                return;
            case PhaseAction.Advance:
                doubt = null;
                Close(second);
                Array.Clear(inPhase);
                rollout = rollout with { Phase = rollout.Phase + 1, Since = world.Start.AddSeconds(second) };
                since = second;
                plan = Plan();
                Publish(second);
                Open(second);
                return;
            case PhaseAction.Complete:
                rollout = rollout with { State = RolloutState.Complete };
                Close(second);
                plan = Plan();
                return;
            default:
                stop = new(verdict.Action, second, verdict.Why, rollout.Phase, rollout.Share, world.Devices - counts[(int)DeviceState.Before]);
                rollout = rollout with { State = verdict.Action == PhaseAction.Revert ? RolloutState.Reverted : RolloutState.Held };
                Close(second);
                plan = Plan();
                Publish(second);
                return;
        }
    }

    PhaseEvidence Evidence(int second)
    {
        RolloutCounts Of(long[] of) => new((int)of[(int)DeviceState.Settled], (int)of[(int)DeviceState.Underway], (int)of[(int)DeviceState.Refused], (int)(of[(int)DeviceState.TakenBack] + of[(int)DeviceState.Crashed]))
        {
            Silent = (int)of[(int)DeviceState.Silent],
            Crashed = (int)of[(int)DeviceState.Crashed],
        };
        var all = Of(counts);
        var absent = reached - (world.Devices - counts[(int)DeviceState.Before]);
        var gates = GatesOf(rollout.Phase);
        var at = 0;
        return new(rollout.State, rollout.Phase, rollout.Phases.Length, TimeSpan.FromSeconds(second - since), rehearsed.Policy, new(all.Refused, all.TakenBack), reached == reachedAtStart && rollout.Phase > 0 ? all : Of(inPhase))
        {
            Soak = rehearsed.Phases[rollout.Phase].Soak,
            Confidence = rehearsed.Confidence,
            Deadline = rehearsed.Deadline,
            Gates = gates,
            Figures = [.. gates.Where(gate => gate.Kind == GateKind.Metric).Select(gate => new GateFigures(gate.Name(), figures[at++], Control(gate)))],
            Checks = second - since >= world.Checks.TotalSeconds ? [.. gates.Where(gate => gate.Kind == GateKind.Check).Select(gate => new CheckResult(gate.Check!, true, "rehearsed"))] : [],
            Absent = (int)Math.Max(0, absent),
            Undecided = doubt is { } known ? TimeSpan.FromSeconds(second - known.At) : null,
        };
    }

    /// <summary>The control that a gate is held against: as many devices as report, as they would without the release.</summary>
    Moments Control(Gate gate)
    {
        if (gate.Against != Reference.Control || ModelOf(gate) is not { } model)
            return default;
        var variance = model.Spread * model.Spread + model.Noise * model.Noise;
        var (mean, spread) = gate.IsRatio ? (Math.Log(model.Middle), variance) : (model.Middle * Math.Exp(variance / 2), model.Middle * model.Middle * Math.Exp(variance) * SpecialFunctions.ExpMinusOne(variance));
        var count = Math.Max(1, world.Devices / 10);
        return new(count, gate.HigherIsWorse ? mean : -mean, spread * (count - 1));
    }

    /// <summary>A new plan is there: devices that it may concern look at it at their next poll.</summary>
    void Publish(int second)
    {
        traffic.PlanChanged(second);
        reachedAtStart = reached;
        reached = 0;
        for (var device = 0; device < world.Devices; device++)
        {
            var reaches = rollout.Reaches(devices.FactsOf(device), devices.Place[device]);
            reached += reaches ? 1 : 0;
            var concerned = devices.State[device] == DeviceState.Before ? reaches && rollout.State == RolloutState.Running : devices.State[device] == DeviceState.Settled && rollout.State == RolloutState.Reverted;
            if (concerned && due[device] == None)
                Schedule(device, second, poll: true);
        }
    }

    void Schedule(int device, int second, bool poll)
    {
        second = poll ? devices.NextPoll(device, second) : devices.State[device] is DeviceState.Before ? devices.NextOn(device, second) : second;
        var minute = second / Minute;
        if (minute >= bucket.Length - 1)
            return; // after the end
        due[device] = second;
        next[device] = bucket[minute];
        bucket[minute] = device;
    }

    void Become(int device, DeviceState state)
    {
        var was = devices.State[device];
        counts[(int)was]--;
        counts[(int)state]++;
        if (was is DeviceState.Underway or DeviceState.Silent)
            inPhase[(int)was] = Math.Max(0, inPhase[(int)was] - 1);
        if (state is not DeviceState.Back)
            inPhase[(int)state]++;
        devices.State[device] = state;
        dirty = true;
    }

    void Open(int second)
    {
        models = [.. Metrics(rollout.Phase).Select(ModelOf)];
        figures = new Moments[models.Length];
        phases.Add(new(rollout.Phase, rollout.Phases[rollout.Phase].Share, second, null, reached, 0, 0));
    }

    void Close(int? second)
    {
        if (phases is [.., { EndedAt: null } last])
            phases[^1] = last with { EndedAt = second, Settled = counts[(int)DeviceState.Settled], Failed = Failures(counts) };
    }

    RolloutPlan Plan() => new(
        RolloutPlan.CurrentSchema, Model, 1,
        [rollout, new Rollout("r-1", Before, default, "before", "", [new(1)], 0, RolloutState.Complete, 1)], []);

    ImmutableArray<Gate> GatesOf(int phase) => rehearsed.Phases[phase].Gates ?? rehearsed.Gates;

    IEnumerable<Gate> Metrics(int phase) => GatesOf(phase).Where(gate => gate.Kind == GateKind.Metric);

    MetricModel ModelOf(Gate gate) => world.Metrics.FirstOrDefault(model => model.Name == gate.Metric)
        ?? new(gate.Metric!, gate.Against is null or Reference.Limit ? (gate.Max ?? gate.Min)!.Value * (gate.Max is not null ? 0.9 : 1 / 0.9) : 1);

    static long Failures(long[] of) => of[(int)DeviceState.Refused] + of[(int)DeviceState.TakenBack] + of[(int)DeviceState.Crashed];
}
