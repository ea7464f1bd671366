using System.Collections.Immutable;
using System.Globalization;
using Coppice.Registry;

namespace Coppice.Quality;

/// <summary>What a trial measured; null where it could not.</summary>
/// <param name="ReleaseAccuracy">On the release's own evaluation set, 0 to 1.</param>
/// <param name="DeviceAccuracy">On the device's own labelled data, 0 to 1; null where the device has none.</param>
/// <param name="ServingAccuracy">Of the release that serves now, on the same samples as <paramref name="DeviceAccuracy"/>, else as <paramref name="ReleaseAccuracy"/>.</param>
/// <param name="GoldenError">Largest difference from the golden outputs, relative to max(1, |golden|).</param>
/// <param name="LatencyP95">Of single runs after warm-up.</param>
/// <param name="Memory">Bytes that load and runs added to the process at their peak.</param>
public sealed record TrialMeasures(
    double? ReleaseAccuracy, double? DeviceAccuracy, double? ServingAccuracy, double? GoldenError, TimeSpan? LatencyP95, long? Memory);

/// <summary>Whether a staged release may serve. Every broken bound is named; an asked-for figure that is missing is a broken bound.</summary>
public static class TrialVerdict
{
    /// <summary>The broken bounds; empty when the release may serve.</summary>
    public static ImmutableArray<string> Judge(TrialLimits limits, TrialMeasures measured)
    {
        var broken = ImmutableArray.CreateBuilder<string>();
        if (limits.MinAccuracy is { } least)
        {
            if (measured.ReleaseAccuracy is null && measured.DeviceAccuracy is null)
                broken.Add($"accuracy must be at least {Share(least)}, but there were no labelled samples to measure it on");
            if (measured.ReleaseAccuracy < least)
                broken.Add($"accuracy {Share(measured.ReleaseAccuracy.Value)} on the release's evaluation set; at least {Share(least)} is asked");
            if (measured.DeviceAccuracy < least)
                broken.Add($"accuracy {Share(measured.DeviceAccuracy.Value)} on this device's own data; at least {Share(least)} is asked");
        }

        if (limits.MaxAccuracyDrop is { } drop && measured.ServingAccuracy is { } serving)
        {
            if ((measured.DeviceAccuracy ?? measured.ReleaseAccuracy) is not { } now)
                broken.Add("accuracy cannot be compared with the serving release: there were no labelled samples");
            else if (serving - now > drop)
                broken.Add($"accuracy {Share(now)} against {Share(serving)} of the serving release; a drop of at most {Share(drop)} is allowed");
        }

        if (limits.MaxGoldenError is { } error && !(measured.GoldenError <= error)) // also when not measured, or NaN
            broken.Add(measured.GoldenError is { } found
                ? string.Create(CultureInfo.InvariantCulture, $"golden outputs differ by {found:g3}; at most {error:g3} is allowed")
                : "golden outputs were asked for, but could not be compared");
        if (limits.MaxLatencyP95 is { } latency && !(measured.LatencyP95 <= latency))
            broken.Add(measured.LatencyP95 is { } took
                ? string.Create(CultureInfo.InvariantCulture, $"95 % of the runs took up to {took.TotalMilliseconds:0.##} ms; at most {latency.TotalMilliseconds:0.##} ms is allowed")
                : "latency is limited, but could not be measured");
        if (limits.MaxMemory is { } memory && !(measured.Memory <= memory))
            broken.Add(measured.Memory is { } used
                ? $"it took {ByteSize.Format(used)} of memory; at most {ByteSize.Format(memory)} is allowed"
                : "memory is limited, but could not be measured");
        return broken.ToImmutable();
    }

    static string Share(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.#} %");
}
