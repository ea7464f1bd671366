using System.ComponentModel.DataAnnotations.Schema;
using System.Text.Json;
using Coppice.Audit;
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

    /// <summary>Who exactly acted; what they showed and where from. Filled in when the event is saved, from the request under way.</summary>
    public string? Subject { get; set; }
    public string? Credential { get; set; }
    public string? Origin { get; set; }

    /// <summary>JSON; null for none.</summary>
    public string? Changes { get; set; }

    /// <summary>Chains the event to the one before.</summary>
    public string Hash { get; set; } = "";

    /// <summary>The least number that it is given: of an event that tells of a restore, beyond those that were given to events which are lost.</summary>
    [NotMapped]
    public long LeastId { get; init; }

    /// <summary>As the audit log hashes it.</summary>
    public AuditEntry Entry() => new(Id, At.ToUnixTimeMilliseconds(), JsonNamingPolicy.CamelCase.ConvertName(Kind.ToString()), By, Why)
    {
        Subject = Subject,
        Credential = Credential,
        Origin = Origin,
        Model = Model?.ToString(),
        Release = Release?.ToString(),
        Rollout = Rollout,
        Device = Device,
        Changes = Changes is null ? [] : JsonSerializer.Deserialize(Changes, ControlContext.Default.ImmutableArrayAuditChange),
    };

    public ControlEvent View() => new(Id, At, Kind, By, Why) { Model = Model, Release = Release, Rollout = Rollout, Device = Device };
}
