using System.Collections.Immutable;
using System.Globalization;
using Coppice.Protocol;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>Devices that ask to be let in.</summary>
    public Task<WaitingPage> ListWaitingAsync(CancellationToken cancel = default) => GetAsync("v1/waiting-devices", ControlContext.Default.WaitingPage, cancel);

    /// <summary>Takes suspicion from a device whose identity is put right.</summary>
    public async Task ClearDeviceAsync(string id, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Post, $"v1/devices/{Escape(id)}/clear", null, cancel);
    }

    /// <summary>Lets a device in that asks.</summary>
    public Task AcceptDeviceAsync(string id, WaitingAnswer answer, CancellationToken cancel = default) => AnswerAsync(id, "accept", answer, cancel);

    /// <summary>Turns a device away that asks.</summary>
    public Task RejectDeviceAsync(string id, WaitingAnswer answer, CancellationToken cancel = default) => AnswerAsync(id, "reject", answer, cancel);

    /// <summary>Lets devices join without a token.</summary>
    public Task<AuthoriseAnswer> AuthoriseDevicesAsync(ImmutableArray<AuthorisedDevice> devices, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, "v1/authorised-devices", new AuthoriseDevices(devices), ControlContext.Default.AuthoriseDevices, ControlContext.Default.AuthoriseAnswer, cancel);

    /// <summary>A page of the devices that may join without a token and have not yet.</summary>
    public Task<AuthorisedPage> ListAuthorisedAsync(long after = 0, int limit = 100, CancellationToken cancel = default) =>
        GetAsync("v1/authorised-devices" + Query(("after", after.ToString(CultureInfo.InvariantCulture)), ("limit", limit.ToString(CultureInfo.InvariantCulture))), ControlContext.Default.AuthorisedPage, cancel);

    /// <summary>Takes a device's keys as stolen.</summary>
    public Task<KnownDevice> RevokeDeviceAsync(string id, string why, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/devices/{Escape(id)}/revoke", new Reason(why), ControlContext.Default.Reason, ControlContext.Default.KnownDevice, cancel);

    /// <summary>Makes a token by which a device with new keys takes the place of another, once.</summary>
    public Task<CreatedJoinToken> ReplaceDeviceAsync(string id, ReplaceDevice wanted, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/devices/{Escape(id)}/replace", wanted, ControlContext.Default.ReplaceDevice, ControlContext.Default.CreatedJoinToken, cancel);

    /// <summary>The authorities of the server, oldest first.</summary>
    public Task<AuthorityList> ListAuthoritiesAsync(CancellationToken cancel = default) => GetAsync("v1/authorities", ControlContext.Default.AuthorityList, cancel);

    /// <summary>Makes the authority that issues from now on.</summary>
    public Task<AuthorityList> RotateAuthorityAsync(CancellationToken cancel = default) => SendAsync(HttpMethod.Post, "v1/authorities/rotate", null, ControlContext.Default.AuthorityList, cancel);

    /// <summary>A request, PKCS#10 in PEM, for a certificate by which the server issues below an authority elsewhere.</summary>
    public Task<PemText> RequestAuthorityAsync(CancellationToken cancel = default) => SendAsync(HttpMethod.Post, "v1/authorities/request", null, ControlContext.Default.PemText, cancel);

    /// <summary>Hands in what an authority elsewhere made of the request.</summary>
    public Task<AuthorityList> ImportAuthorityAsync(string pem, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, "v1/authorities/import", new PemText(pem), ControlContext.Default.PemText, ControlContext.Default.AuthorityList, cancel);

    async Task AnswerAsync(string id, string verb, WaitingAnswer answer, CancellationToken cancel)
    {
        using var response = await SendAsync(HttpMethod.Post, $"v1/waiting-devices/{Escape(id)}/{verb}", System.Net.Http.Json.JsonContent.Create(answer, ControlContext.Default.WaitingAnswer), cancel);
    }
}
