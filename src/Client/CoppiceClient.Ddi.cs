using System.Globalization;
using Coppice.Protocol;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>Makes a token by which devices come in that speak hawkBit's device API; its text is told only now.</summary>
    public Task<CreatedDdiToken> CreateDdiTokenAsync(CreateDdiToken wanted, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, "v1/ddi-tokens", wanted, ControlContext.Default.CreateDdiToken, ControlContext.Default.CreatedDdiToken, cancel);

    /// <summary>A page of such tokens.</summary>
    public Task<DdiTokenPage> ListDdiTokensAsync(string? after = null, int limit = 100, CancellationToken cancel = default) =>
        GetAsync("v1/ddi-tokens" + Query(("after", after), ("limit", limit.ToString(CultureInfo.InvariantCulture))), ControlContext.Default.DdiTokenPage, cancel);

    /// <summary>Lets such a token open nothing any more.</summary>
    public Task<DdiTokenView> RevokeDdiTokenAsync(string id, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Delete, $"v1/ddi-tokens/{Escape(id)}", null, ControlContext.Default.DdiTokenView, cancel);
}
