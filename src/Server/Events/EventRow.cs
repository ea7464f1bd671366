using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Server.Events;

/// <summary>Something that happened; never changed.</summary>
sealed class EventRow
{
    /// <summary>The name under which the server acts by itself.</summary>
    public const string Itself = "coppice";

    public long Id { get; set; }
    public required DateTimeOffset At { get; set; }
    public required EventKind Kind { get; set; }
    public required string By { get; set; }
    public required string Why { get; set; }
    public ModelName? Model { get; set; }
    public SemanticVersion? Release { get; set; }
    public string? Rollout { get; set; }
    public string? Device { get; set; }

    public ControlEvent View() => new(Id, At, Kind, By, Why) { Model = Model, Release = Release, Rollout = Rollout, Device = Device };
}
