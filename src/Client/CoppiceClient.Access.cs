using System.Collections.Immutable;
using System.Globalization;
using Coppice.Protocol;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>Where people sign in.</summary>
    public Task<SignIn> GetSignInAsync(CancellationToken cancel = default) => GetAsync("v1/sign-in", ControlContext.Default.SignIn, cancel);

    /// <summary>Who the token is for and what it may do.</summary>
    public Task<WhoAmI> GetMeAsync(CancellationToken cancel = default) => GetAsync("v1/me", ControlContext.Default.WhoAmI, cancel);

    /// <summary>What each role may.</summary>
    public Task<ImmutableArray<PermissionRow>> GetPermissionsAsync(CancellationToken cancel = default) => GetAsync("v1/permissions", ControlContext.Default.ImmutableArrayPermissionRow, cancel);

    /// <summary>All operators, in the order of their names.</summary>
    public Task<OperatorPage> ListOperatorsAsync(CancellationToken cancel = default) => GetAsync("v1/operators", ControlContext.Default.OperatorPage, cancel);

    /// <summary>Makes an operator known, or replaces what they may do.</summary>
    /// <param name="name">Their name.</param>
    /// <param name="wanted">What they may do.</param>
    /// <param name="revision">Only while they are at this <see cref="OperatorView.Revision"/>; null in any case.</param>
    /// <param name="cancel">Stops waiting.</param>
    public Task<OperatorView> PutOperatorAsync(string name, PutOperator wanted, string? revision = null, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Put, $"v1/operators/{Escape(name)}", wanted, ControlContext.Default.PutOperator, ControlContext.Default.OperatorView, cancel, revision);

    /// <summary>Takes an operator's rights and revokes their tokens.</summary>
    /// <param name="name">Their name.</param>
    /// <param name="revision">Only while they are at this <see cref="OperatorView.Revision"/>; null in any case.</param>
    /// <param name="cancel">Stops waiting.</param>
    public async Task RemoveOperatorAsync(string name, string? revision = null, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Delete, $"v1/operators/{Escape(name)}", null, cancel, revision: revision);
    }

    /// <summary>Makes an API token.</summary>
    public Task<CreatedApiToken> CreateTokenAsync(CreateApiToken wanted, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, "v1/tokens", wanted, ControlContext.Default.CreateApiToken, ControlContext.Default.CreatedApiToken, cancel);

    /// <summary>A page of tokens: one's own, or everybody's for who manages operators.</summary>
    public Task<ApiTokenPage> ListTokensAsync(string? after = null, int limit = 100, CancellationToken cancel = default) =>
        GetAsync("v1/tokens" + Query(("after", after), ("limit", limit.ToString(CultureInfo.InvariantCulture))), ControlContext.Default.ApiTokenPage, cancel);

    /// <summary>Revokes a token at once.</summary>
    public Task<ApiTokenView> RevokeTokenAsync(string id, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Delete, $"v1/tokens/{Escape(id)}", null, ControlContext.Default.ApiTokenView, cancel);
}
