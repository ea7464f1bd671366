using System.Collections.Immutable;
using Coppice.Fleet;

namespace Coppice.Rollouts.Rehearsals;

/// <summary>The fleet, the release and the network that a rollout is rehearsed on.</summary>
public sealed record RehearsalWorld
{
    /// <summary>How many devices there are.</summary>
    public int Devices { get; init; } = 100_000;

    /// <summary>How long it is watched.</summary>
    public int Days { get; init; } = 14;

    /// <summary>Decides everything that is random.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>When it begins.</summary>
    public DateTimeOffset Start { get; init; } = new(2026, 1, 5, 8, 0, 0, TimeSpan.Zero); // a Monday

    /// <summary>Between two looks of a device at the repository.</summary>
    public TimeSpan Poll { get; init; } = TimeSpan.FromHours(1);

    /// <summary>From the last byte to the end of a trial.</summary>
    public TimeSpan Trial { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a device watches a new release.</summary>
    public TimeSpan Probation { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Bytes that a device fetches: of a patch, where there is one.</summary>
    public long Bytes { get; init; } = 20_000_000;

    /// <summary>Files that it fetches.</summary>
    public int Files { get; init; } = 3;

    /// <summary>Bytes a second of the middle device's link.</summary>
    public double Link { get; init; } = 500_000;

    /// <summary>How links differ: the deviation of the logarithm of their speed.</summary>
    public double LinkSpread { get; init; } = 1;

    /// <summary>When devices are on.</summary>
    public PresenceMix Presence { get; init; } = PresenceMix.Typical;

    /// <summary>Share of devices on which even a good release fails: half in trial, half in probation.</summary>
    public double Failures { get; init; } = 0.002;

    /// <summary>Share of devices that go away for good after they began.</summary>
    public double Lost { get; init; } = 0.001;

    /// <summary>What is wrong with the release.</summary>
    public Badness Release { get; init; } = Badness.None;

    /// <summary>The figures that devices report; those that gates ask for and that are missing here are 1, or nine tenths of a limit, and vary by a fifth.</summary>
    public ImmutableArray<MetricModel> Metrics { get; init; } = [];

    /// <summary>How long after a phase began somebody outside says that each check is good.</summary>
    public TimeSpan Checks { get; init; } = TimeSpan.FromHours(2);

    /// <summary>Facts and shares of the devices that have them, where <see cref="Fleet"/> is empty.</summary>
    public ImmutableArray<FactShare> Facts { get; init; } = [];

    /// <summary>Real devices, taken in turn; empty for made-up ones.</summary>
    public ImmutableArray<FleetDevice> Fleet { get; init; } = [];
}

/// <summary>What is wrong with a release.</summary>
/// <param name="Refused">Share of devices that refuse it in trial, beside the usual failures.</param>
/// <param name="TakenBack">Share of devices that take it back in probation.</param>
/// <param name="Crashed">Share of devices whose host it takes down in probation; they take it back.</param>
public sealed record Badness(double Refused = 0, double TakenBack = 0, double Crashed = 0)
{
    /// <summary>Nothing.</summary>
    public static Badness None { get; } = new();

    /// <summary>By how much the release changes a metric, as a ratio: 0.1 is a tenth more.</summary>
    public ImmutableArray<(string Metric, double Change)> Effects { get; init => field = value.IsDefault ? [] : value; } = [];
}

/// <summary>A figure that devices report.</summary>
/// <param name="Name">As gates name it.</param>
/// <param name="Middle">Of the middle device.</param>
/// <param name="Spread">Deviation of its logarithm between devices.</param>
/// <param name="Noise">Deviation of its logarithm between two reports of one device.</param>
public sealed record MetricModel(string Name, double Middle, double Spread = 0.2, double Noise = 0.1);

/// <summary>A fact that a share of the devices has.</summary>
public sealed record FactShare(string Name, string Value, double Share);

/// <summary>A device of the real fleet.</summary>
public sealed record FleetDevice(string Id, FactSet Facts);

/// <summary>Shares of devices by when they are on, and how far their local times lie apart. What is left over is on at random, half of the hours.</summary>
/// <param name="Always">On day and night.</param>
/// <param name="Office">On from eight to six, Monday to Friday.</param>
/// <param name="Evening">On from five to eleven in the evening, every day.</param>
/// <param name="Zones">Hours of time zones over which they are spread.</param>
public sealed record PresenceMix(double Always, double Office, double Evening, int Zones)
{
    /// <summary>Machines in plants and shops, offices and homes of one continent.</summary>
    public static PresenceMix Typical { get; } = new(0.4, 0.3, 0.2, 4);

    /// <summary>All of them, always.</summary>
    public static PresenceMix AllOn { get; } = new(1, 0, 0, 1);
}
