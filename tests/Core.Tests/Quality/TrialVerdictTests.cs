using Coppice.Quality;
using Coppice.Registry;

namespace Coppice.Core.Tests.Quality;

public sealed class TrialVerdictTests
{
    static readonly TrialLimits All = new(0.85, 0.02, 1e-3, TimeSpan.FromMilliseconds(10), 50_000_000);
    static readonly TrialMeasures Good = new(0.9, 0.88, 0.89, 1e-4, TimeSpan.FromMilliseconds(9), 40_000_000);

    [Fact]
    public void A_release_within_every_bound_may_serve() => Assert.Empty(TrialVerdict.Judge(All, Good));

    public static TheoryData<string, TrialMeasures> Bad => new()
    {
        { "release's evaluation set", Good with { ReleaseAccuracy = 0.84 } },
        { "own data", Good with { DeviceAccuracy = 0.849, ServingAccuracy = null } },
        { "of the serving release", Good with { ServingAccuracy = 0.95 } },
        { "golden outputs differ", Good with { GoldenError = 0.5 } },
        { "golden outputs were asked for", Good with { GoldenError = null } },
        { "golden outputs differ by NaN", Good with { GoldenError = double.NaN } },
        { "95 % of the runs took up to 11 ms", Good with { LatencyP95 = TimeSpan.FromMilliseconds(11) } },
        { "latency is limited, but", Good with { LatencyP95 = null } },
        { "it took 51 MB", Good with { Memory = 51_000_000 } },
        { "no labelled samples", Good with { ReleaseAccuracy = null, DeviceAccuracy = null, ServingAccuracy = null } },
    };

    [Theory, MemberData(nameof(Bad))]
    public void Each_broken_bound_is_named_alone(string what, TrialMeasures measured) =>
        Assert.Contains(what, Assert.Single(TrialVerdict.Judge(All, measured)), StringComparison.Ordinal);

    [Fact]
    public void Nothing_is_asked_where_nothing_is_limited() =>
        Assert.Empty(TrialVerdict.Judge(TrialLimits.None, new(null, null, null, null, null, null)));
}
