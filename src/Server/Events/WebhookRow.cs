using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Coppice.Access;
using Coppice.Protocol;

namespace Coppice.Server.Events;

/// <summary>Where events are sent.</summary>
sealed class WebhookRow
{
    public long Number { get; set; }
    public required string Name { get; set; }
    public required string Target { get; set; }
    public required string Kinds { get; set; }
    public required string Models { get; set; }

    /// <summary>Whether who made it may see events about no model.</summary>
    public bool SeesAll { get; set; }

    /// <summary>Sealed with the server's key: HMAC needs it as it is.</summary>
    public required byte[] Secret { get; set; }
    public required DateTimeOffset CreatedAt { get; set; }
    public required string CreatedBy { get; set; }
    public long Position { get; set; }
    public DateTimeOffset? DisabledAt { get; set; }
    public string? DisabledWhy { get; set; }

    public string Id => string.Create(CultureInfo.InvariantCulture, $"w-{Number}");

    public static long? TryNumber(string? id) =>
        id is ['w', '-', .. var digits] && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    public ImmutableArray<EventKind> KindList() => JsonSerializer.Deserialize(Kinds, ControlContext.Default.ImmutableArrayEventKind);

    /// <summary>Whether an event is to be sent there.</summary>
    public bool Wants(EventRow row) =>
        (KindList() is var kinds && (kinds.IsEmpty || kinds.Contains(row.Kind)))
        && (row.Model is { } model ? ModelPattern.TryParse(Models, out var models) && models.Holds(model) : SeesAll && Models == "*");

    public WebhookView View(int dead, DeliveryRow? trying) => new(Id, Name, Target, KindList(), Models, CreatedAt, CreatedBy, Position, dead)
    {
        Trying = trying?.View(),
        DisabledAt = DisabledAt,
        DisabledWhy = DisabledWhy,
    };
}

/// <summary>The sending of an event to a webhook.</summary>
sealed class DeliveryRow
{
    public required long Webhook { get; set; }
    public required long Event { get; set; }
    public DeliveryState State { get; set; }
    public int Attempts { get; set; }
    public required DateTimeOffset NextAt { get; set; }
    public int? LastStatus { get; set; }
    public string? LastError { get; set; }
    public DateTimeOffset? DoneAt { get; set; }

    public WebhookDelivery View() => new(Event, State, Attempts, NextAt) { LastStatus = LastStatus, LastError = LastError, DoneAt = DoneAt };
}
