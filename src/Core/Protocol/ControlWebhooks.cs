using System.Collections.Immutable;

namespace Coppice.Protocol;

/// <summary>Events are to be sent somewhere: <c>POST /v1/webhooks</c>.</summary>
/// <param name="Name">For people. 1 to 64 characters.</param>
/// <param name="Target"><c>https://…</c>, or <c>mailto:ops@example.org</c>.</param>
public sealed record CreateWebhook(string Name, string Target)
{
    /// <summary>Which kinds of events; empty for all.</summary>
    public ImmutableArray<EventKind> Kinds { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Events about which models: <c>*</c>, <c>vision/*</c>, <c>vision/cam*</c> or <c>vision/camera</c>.</summary>
    public string Models { get; init => field = value ?? "*"; } = "*";

    /// <summary>The first event is the one after this; null for the next one that happens.</summary>
    public long? After { get; init; }
}

/// <summary>Where events are sent.</summary>
/// <param name="Id">Unique on the server: <c>w-3</c>.</param>
/// <param name="Name">For people.</param>
/// <param name="Target">URL or address.</param>
/// <param name="Kinds">Empty for all.</param>
/// <param name="Models">Events about which models.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="CreatedBy">Who made it.</param>
/// <param name="Position">Everything up to this event was sent, given up, or is none of its.</param>
/// <param name="Dead">Events that were given up; <c>coppice webhook replay</c> sends them again.</param>
public sealed record WebhookView(string Id, string Name, string Target, ImmutableArray<EventKind> Kinds, string Models, DateTimeOffset CreatedAt, string CreatedBy, long Position, int Dead)
{
    /// <summary>What is being tried; null when everything was sent.</summary>
    public WebhookDelivery? Trying { get; init; }

    /// <summary>Since when nothing is sent; null while it works.</summary>
    public DateTimeOffset? DisabledAt { get; init; }

    /// <summary>Why nothing is sent.</summary>
    public string? DisabledWhy { get; init; }
}

/// <summary>A new webhook; its secret is told only now.</summary>
/// <param name="Secret">As Standard Webhooks writes it: <c>whsec_…</c>.</param>
/// <param name="View">As lists will show it.</param>
public sealed record CreatedWebhook(string Secret, WebhookView View);

/// <summary>What came of sending an event.</summary>
public enum DeliveryState
{
    /// <summary>It is being tried; what follows waits for it.</summary>
    Pending,

    /// <summary>Somebody wants it sent again; nothing waits for it.</summary>
    Again,

    /// <summary>It was taken.</summary>
    Delivered,

    /// <summary>It was given up.</summary>
    Dead,
}

/// <summary>The sending of an event.</summary>
/// <param name="Event">Its id.</param>
/// <param name="State">What came of it.</param>
/// <param name="Attempts">How often it was tried.</param>
/// <param name="NextAt">When it is tried next, while it is.</param>
public sealed record WebhookDelivery(long Event, DeliveryState State, int Attempts, DateTimeOffset NextAt)
{
    /// <summary>HTTP status of the last answer; null when there was none.</summary>
    public int? LastStatus { get; init; }

    /// <summary>What was wrong the last time.</summary>
    public string? LastError { get; init; }

    /// <summary>When it was taken or given up.</summary>
    public DateTimeOffset? DoneAt { get; init; }
}

/// <summary>Webhooks in the order of their ids.</summary>
public sealed record WebhookPage(ImmutableArray<WebhookView> Webhooks);

/// <summary>A webhook's deliveries, newest event first.</summary>
/// <param name="Deliveries">At most as many as were asked for.</param>
/// <param name="Next">Give it as <c>before</c> for older ones; null at the end.</param>
public sealed record DeliveryPage(ImmutableArray<WebhookDelivery> Deliveries, long? Next = null);

/// <summary>Events are to be sent again: <c>POST /v1/webhooks/{id}/replay</c>.</summary>
public sealed record ReplayEvents
{
    /// <summary>This event; null for all that were given up.</summary>
    public long? Event { get; init; }
}

/// <summary>What came of a test: <c>POST /v1/webhooks/{id}/test</c>.</summary>
/// <param name="Taken">Whether the receiver took it.</param>
/// <param name="Status">HTTP status; null when there was none.</param>
/// <param name="Error">What was wrong.</param>
public sealed record WebhookTest(bool Taken, int? Status = null, string? Error = null);

/// <summary>The body that a webhook gets, after Standard Webhooks.</summary>
/// <param name="Type">The event's kind.</param>
/// <param name="Timestamp">When it happened.</param>
/// <param name="Data">The event.</param>
public sealed record WebhookBody(string Type, DateTimeOffset Timestamp, ControlEvent Data);
