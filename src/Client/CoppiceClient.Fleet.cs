using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>A page of the devices that a selector holds for.</summary>
    public Task<DevicePage> ListDevicesAsync(string? selector = null, string? after = null, int limit = 100, DeviceState? state = null, CancellationToken cancel = default) =>
        GetAsync("v1/devices" + Query(("selector", selector), ("state", state?.ToString().ToLowerInvariant()), ("after", after), ("limit", limit.ToString(CultureInfo.InvariantCulture))), ControlContext.Default.DevicePage, cancel);

    /// <summary>A device.</summary>
    public Task<KnownDevice> GetDeviceAsync(string id, CancellationToken cancel = default) => GetAsync($"v1/devices/{Escape(id)}", ControlContext.Default.KnownDevice, cancel);

    /// <summary>Replaces the labels of a device.</summary>
    /// <param name="id">The device.</param>
    /// <param name="labels">All that it is to have.</param>
    /// <param name="revision">Only while they are at this <see cref="KnownDevice.Revision"/>; null in any case.</param>
    /// <param name="cancel">Stops waiting.</param>
    public Task<KnownDevice> LabelDeviceAsync(string id, ImmutableDictionary<string, string> labels, string? revision = null, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Put, $"v1/devices/{Escape(id)}/labels", new DeviceLabels(labels), ControlContext.Default.DeviceLabels, ControlContext.Default.KnownDevice, cancel, revision);

    /// <summary>Changes some labels of a device and leaves the others as they are, whoever changes them meanwhile.</summary>
    /// <param name="id">The device.</param>
    /// <param name="change">What the labels that are there become; called again when somebody was faster.</param>
    /// <param name="cancel">Stops waiting.</param>
    /// <returns>The device, and whether there was anything to change.</returns>
    public async Task<(KnownDevice Device, bool Changed)> RelabelDeviceAsync(string id, Func<ImmutableDictionary<string, string>, ImmutableDictionary<string, string>> change, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(change);
        const int MostTries = 10;
        for (var tries = 1; ; tries++)
        {
            var device = await GetDeviceAsync(id, cancel);
            var (before, wanted) = (device.Labels, change(device.Labels));
            if (wanted.Count == before.Count && wanted.All(label => before.TryGetValue(label.Key, out var value) && value == label.Value))
                return (device, false);
            try
            {
                return (await LabelDeviceAsync(id, wanted, device.Revision, cancel), true);
            }
            catch (ControlException e) when (e.Type == "/problems/changed" && tries < MostTries)
            {
            }
        }
    }

    /// <summary>Takes a device out for good.</summary>
    public async Task RetireDeviceAsync(string id, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Delete, $"v1/devices/{Escape(id)}", null, cancel);
    }

    /// <summary>Why a device has what it has, and what it does next.</summary>
    /// <param name="device">The device's id.</param>
    /// <param name="model">The model to ask about; null for all that the device has spoken of.</param>
    /// <param name="cancel">Ends the call.</param>
    public Task<DeviceExplanation> ExplainDeviceAsync(string device, ModelName? model = null, CancellationToken cancel = default) =>
        GetAsync($"v1/devices/{Escape(device)}/explanation" + Query(("model", model?.ToString())), ControlContext.Default.DeviceExplanation, cancel);

    /// <summary>What a device reported, newest first.</summary>
    public Task<ReportPage> ListReportsAsync(string device, long? before = null, int limit = 100, CancellationToken cancel = default) =>
        GetAsync($"v1/devices/{Escape(device)}/reports" + Query(("before", before?.ToString(CultureInfo.InvariantCulture)), ("limit", limit.ToString(CultureInfo.InvariantCulture))), ControlContext.Default.ReportPage, cancel);

    /// <summary>Makes a token by which devices join.</summary>
    public Task<CreatedJoinToken> CreateJoinTokenAsync(CreateJoinToken wanted, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, "v1/join-tokens", wanted, ControlContext.Default.CreateJoinToken, ControlContext.Default.CreatedJoinToken, cancel);

    /// <summary>What happened after an event.</summary>
    public Task<EventPage> ListEventsAsync(long after = 0, int limit = 100, string? kind = null, string? model = null, CancellationToken cancel = default) =>
        GetAsync("v1/events" + Query(("after", after.ToString(CultureInfo.InvariantCulture)), ("limit", limit.ToString(CultureInfo.InvariantCulture)), ("kind", kind), ("model", model)), ControlContext.Default.EventPage, cancel);

    /// <summary>Whether the server can do its work.</summary>
    public async Task<Readiness> GetReadinessAsync(CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Get, "readyz", null, cancel, HttpStatusCode.ServiceUnavailable);
        await using var body = await response.Content.ReadAsStreamAsync(cancel);
        return await System.Text.Json.JsonSerializer.DeserializeAsync(body, ControlContext.Default.Readiness, cancel)
            ?? throw new ControlException(new(Title: "The answer cannot be read.", Detail: "readyz answered null."));
    }
}
