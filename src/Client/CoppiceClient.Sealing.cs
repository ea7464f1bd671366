using System.Net;
using System.Net.Http.Json;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>To whom publishers seal content keys.</summary>
    public Task<ServerSealing> GetSealingAsync(CancellationToken cancel = default) => GetAsync("v1/sealing", ControlContext.Default.ServerSealing, cancel);

    /// <summary>Whether a model's releases must be sealed, and for whom; null when nothing is said of it.</summary>
    public async Task<SealedModel?> FindSealedModelAsync(ModelName model, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Get, $"v1/models/{model}/sealing", null, cancel, HttpStatusCode.NotFound);
        return response.StatusCode == HttpStatusCode.NotFound ? null : await response.Content.ReadFromJsonAsync(ControlContext.Default.SealedModel, cancel);
    }

    /// <summary>Says that a model's releases must be sealed, and which devices are given its keys.</summary>
    public Task<SealedModel> SealModelAsync(ModelName model, string selector, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Put, $"v1/models/{model}/sealing", new SealModel(selector), ControlContext.Default.SealModel, ControlContext.Default.SealedModel, cancel);

    /// <summary>Lets a model's releases be published in the clear again.</summary>
    public async Task UnsealModelAsync(ModelName model, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Delete, $"v1/models/{model}/sealing", null, cancel);
    }

    /// <summary>Hands in content keys, sealed to the server.</summary>
    public async Task PutKeysAsync(ModelName model, GrantFile grants, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Put, $"v1/models/{model}/keys", JsonContent.Create(new(grants.Write()), ControlContext.Default.SealedGrants), cancel);
    }

    /// <summary>Puts grants into the repository, beside those that are there.</summary>
    public async Task PutGrantsAsync(GrantFile grants, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Put, "v1/grants", JsonContent.Create(new(grants.Write()), ControlContext.Default.SealedGrants), cancel);
    }

    /// <summary>Leaves a public key no grants in the repository.</summary>
    public async Task WithdrawGrantsAsync(Sha256Digest recipient, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Delete, $"v1/grants/{recipient}", null, cancel);
    }
}
