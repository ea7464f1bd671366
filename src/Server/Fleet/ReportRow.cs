using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Storage;

namespace Coppice.Server.Fleet;

/// <summary>A report as it came; never changed.</summary>
sealed class ReportRow
{
    /// <summary>When it came, see <see cref="WeekOf"/>: reports are forgotten by the week.</summary>
    public required long Week { get; set; }
    public required string Device { get; set; }
    public required long Sequence { get; set; }
    public required DateTimeOffset At { get; set; }
    public required DateTimeOffset ReceivedAt { get; set; }
    public required ReportKind Kind { get; set; }
    public required ModelName Model { get; set; }
    public required SemanticVersion Release { get; set; }
    public string? Variant { get; set; }
    public string? Rollout { get; set; }
    public int Attempt { get; set; }

    /// <summary>Whether it is about a release that answers nobody.</summary>
    public bool Shadow { get; set; }
    public string? Why { get; set; }
    public long? BytesFetched { get; set; }
    public long? BytesTotal { get; set; }
    public string? BytesByWay { get; set; }
    public string? Measures { get; set; }

    public static TableShape Table { get; } = new(
        "Reports",
        [
            new("At", ColumnKind.Integer), new("Attempt", ColumnKind.Integer), new("BytesByWay", ColumnKind.Text), new("BytesFetched", ColumnKind.Integer), new("BytesTotal", ColumnKind.Integer), new("Device", ColumnKind.Text),
            new("Kind", ColumnKind.Text), new("Measures", ColumnKind.Text), new("Model", ColumnKind.Text), new("ReceivedAt", ColumnKind.Integer), new("Release", ColumnKind.Text), new("Rollout", ColumnKind.Text),
            new("Sequence", ColumnKind.Integer), new("Shadow", ColumnKind.Boolean), new("Variant", ColumnKind.Text), new("Week", ColumnKind.Integer), new("Why", ColumnKind.Text),
        ],
        ["Week", "Device", "Sequence"], null);

    /// <summary>The week of a moment: whole ones since 1970, which began on a Thursday.</summary>
    public static long WeekOf(DateTimeOffset moment) => (long)Math.Floor((moment - DateTimeOffset.UnixEpoch) / TimeSpan.FromDays(7));

    /// <summary>The first moment of a week.</summary>
    public static DateTimeOffset WeekBegins(long week) => DateTimeOffset.UnixEpoch.AddDays(7 * week);

    public object?[] Values() =>
    [
        At.ToUnixTimeMilliseconds(), (long)Attempt, BytesByWay, BytesFetched, BytesTotal, Device, Kind.ToString(), Measures, Model.ToString(), ReceivedAt.ToUnixTimeMilliseconds(), Release.ToString(), Rollout, Sequence, Shadow, Variant, Week, Why,
    ];

    public static ReportRow Of(string device, Report report, DateTimeOffset now) => new()
    {
        Week = WeekOf(now),
        Device = device,
        Sequence = report.Sequence,
        At = report.At,
        ReceivedAt = now,
        Kind = report.Kind,
        Model = report.Model,
        Release = report.Release,
        Variant = report.Variant,
        Rollout = report.Rollout,
        Attempt = report.Attempt,
        Shadow = report.Shadow == true,
        Why = report.Why,
        BytesFetched = report.BytesFetched,
        BytesTotal = report.BytesTotal,
        BytesByWay = StoredText.Of(report.BytesByWay),
        Measures = StoredText.Of(report.Measures),
    };

    public KeptReport View() => new(
        new(Sequence, At, Kind, Model, Release)
        {
            Variant = Variant,
            Rollout = Rollout,
            Attempt = Attempt,
            Shadow = Shadow ? true : null,
            Why = Why,
            BytesFetched = BytesFetched,
            BytesTotal = BytesTotal,
            BytesByWay = StoredText.Bytes(BytesByWay),
            Measures = StoredText.Figures(Measures),
        }, ReceivedAt);
}
