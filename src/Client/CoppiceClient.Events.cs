using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Coppice.Protocol;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>What happens, as it happens, until the server ends the stream; it does now and then. Go on with the last event's id.</summary>
    /// <param name="after">The last event seen; null for what happens from now on.</param>
    /// <param name="cancel">Ends the stream.</param>
    public async IAsyncEnumerable<ControlEvent> StreamEventsAsync(long? after = null, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Get, "v1/events/stream" + Query(("after", after?.ToString(CultureInfo.InvariantCulture))), null, cancel);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancel));
        while (true)
        {
            string? line;
            try
            {
                line = await reader.ReadLineAsync(cancel);
            }
            catch (Exception e) when (e is IOException or HttpRequestException or System.Net.Sockets.SocketException)
            {
                yield break; // cut off; the caller goes on from the last event
            }

            if (line is null)
                yield break;
            // Each event has one line of data, and in it all that the other lines say.
            if (line.StartsWith("data: ", StringComparison.Ordinal))
                yield return JsonSerializer.Deserialize(line.AsSpan(6), ControlContext.Default.ControlEvent) ?? throw new ControlException(new(Title: "The answer cannot be read.", Detail: "An event of the stream is null."));
        }
    }

    /// <summary>Has events sent somewhere.</summary>
    public Task<CreatedWebhook> CreateWebhookAsync(CreateWebhook wanted, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, "v1/webhooks", wanted, ControlContext.Default.CreateWebhook, ControlContext.Default.CreatedWebhook, cancel);

    /// <summary>Where events are sent.</summary>
    public Task<WebhookPage> ListWebhooksAsync(CancellationToken cancel = default) => GetAsync("v1/webhooks", ControlContext.Default.WebhookPage, cancel);

    /// <summary>What was sent to a webhook and what came of it, newest event first.</summary>
    public Task<DeliveryPage> ListDeliveriesAsync(string webhook, DeliveryState? state = null, long? before = null, int limit = 100, CancellationToken cancel = default) => GetAsync(
        $"v1/webhooks/{Escape(webhook)}/deliveries" + Query(("state", state?.ToString().ToLowerInvariant()), ("before", before?.ToString(CultureInfo.InvariantCulture)), ("limit", limit.ToString(CultureInfo.InvariantCulture))),
        ControlContext.Default.DeliveryPage, cancel);

    /// <summary>Sends a made-up event at once.</summary>
    public Task<WebhookTest> TestWebhookAsync(string webhook, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/webhooks/{Escape(webhook)}/test", null, ControlContext.Default.WebhookTest, cancel);

    /// <summary>Sends an event again, or everything that was given up.</summary>
    public async Task ReplayAsync(string webhook, long? what = null, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Post, $"v1/webhooks/{Escape(webhook)}/replay", System.Net.Http.Json.JsonContent.Create(new() { Event = what }, ControlContext.Default.ReplayEvents), cancel);
    }

    /// <summary>Sends no more there.</summary>
    public async Task DeleteWebhookAsync(string webhook, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Delete, $"v1/webhooks/{Escape(webhook)}", null, cancel);
    }
}
