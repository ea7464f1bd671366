using Coppice.Protocol;
using Coppice.Server.Storage;

namespace Coppice.Server.Rollouts;

/// <summary>A device's last word on a rollout.</summary>
sealed class RolloutDeviceRow
{
    public required long Rollout { get; set; }
    public required string Device { get; set; }
    public long Sequence { get; set; }
    public int Attempt { get; set; }

    /// <summary>The phase in which the device came to what it says.</summary>
    public int Phase { get; set; }
    public ReportKind Kind { get; set; }
    public DateTimeOffset At { get; set; }

    /// <summary>When the present attempt began there, by the server's clock: silence is counted from it.</summary>
    public DateTimeOffset Since { get; set; }

    /// <summary>Whether the release took its host down.</summary>
    public bool Crashed { get; set; }

    /// <summary>The arm of an experiment.</summary>
    public string? Arm { get; set; }

    /// <summary>Whether it is about a release that runs beside the serving one, and answers nobody.</summary>
    public bool Shadow { get; set; }
    public string? Variant { get; set; }
    public string? Why { get; set; }
    public long? BytesFetched { get; set; }
    public long? BytesTotal { get; set; }
    public string? Measures { get; set; }

    /// <summary>Takes a report into account, unless a later one was.</summary>
    /// <returns>Whether it was.</returns>
    public bool Take(Report report, int phase, DateTimeOffset now)
    {
        if (report.Sequence <= Sequence)
            return false;
        if (Sequence == 0 || Kind != report.Kind || Attempt != report.Attempt)
            Phase = phase;
        if (Sequence == 0 || Attempt != report.Attempt || report.Kind == ReportKind.Started)
            Since = now;
        (Sequence, Attempt, Kind, At, Why) = (report.Sequence, report.Attempt, report.Kind, report.At, report.Why);
        Shadow = report.Shadow == true;
        Crashed = report.Measures?.GetValueOrDefault(ReportFigures.Crashes) > 0;
        (Variant, BytesFetched, BytesTotal) = (report.Variant ?? Variant, report.BytesFetched ?? BytesFetched, report.BytesTotal ?? BytesTotal);
        Measures = StoredText.Of(report.Measures) ?? Measures;
        return true;
    }

    public RolloutDevice View() => new(Device, Kind, Attempt, At)
    {
        Variant = Variant,
        Shadow = Shadow ? true : null,
        Why = Why,
        BytesFetched = BytesFetched,
        BytesTotal = BytesTotal,
        Measures = StoredText.Figures(Measures),
    };
}

/// <summary>What a device adds to a metric.</summary>
sealed class RolloutFigureRow
{
    public required long Rollout { get; set; }
    public required string Device { get; set; }
    public required string Name { get; set; }
    public int Attempt { get; set; }
    public int Phase { get; set; }
    public string? Arm { get; set; }
    public double Value { get; set; }
}

/// <summary>How a check came out in a phase.</summary>
sealed class RolloutCheckRow
{
    public required long Rollout { get; set; }
    public required string Name { get; set; }
    public int Attempt { get; set; }
    public int Phase { get; set; }
    public bool Good { get; set; }
    public required string Why { get; set; }
    public required string By { get; set; }
    public DateTimeOffset At { get; set; }
}
