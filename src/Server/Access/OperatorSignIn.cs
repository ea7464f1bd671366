using System.Security.Claims;
using System.Text.Encodings.Web;
using Coppice.Access;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace Coppice.Server.Access;

/// <summary>Operators prove themselves with <c>Authorization: Bearer</c> and an API token, or a token that the identity provider signed.</summary>
sealed class OperatorSignIn(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, TokenStore tokens, TimeProvider time, IServiceProvider services)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    const string Wanted = "Send 'Authorization: Bearer TOKEN' with an operator's token; the first is in the file admin.token of the server's data folder.";

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var header = Request.Headers.Authorization.ToString();
        if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return AuthenticateResult.NoResult();
        var (caller, why) = await WhoAsync(header["Bearer ".Length..].Trim());
        return caller is null
            ? AuthenticateResult.Fail(why!)
            : AuthenticateResult.Success(new(new ClaimsPrincipal(new OperatorIdentity(caller)), Scheme.Name));
    }

    protected override async Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        Response.Headers.WWWAuthenticate = "Bearer";
        var why = (await HandleAuthenticateOnceSafeAsync()).Failure?.Message;
        await Problems.Unauthorised(why is null ? Wanted : $"{why} {Wanted}").ExecuteAsync(Context);
    }

    async Task<(Caller? Caller, string? Why)> WhoAsync(string text)
    {
        var origin = Context.Connection.RemoteIpAddress?.ToString();
        if (ApiToken.TryParse(text, out var token))
            return await tokens.WhoAsync(token, origin, time.GetUtcNow(), Context.RequestAborted);
        if (services.GetService<OidcTokens>() is { } oidc && OidcTokens.Looks(text))
            return await oidc.WhoAsync(text, origin, Context.RequestAborted);
        return (null, text.StartsWith(ApiToken.Prefix, StringComparison.Ordinal)
            ? $"The token is damaged: its check does not fit, or it is not {ApiToken.Length} characters long. Copy it whole."
            : "The token is of no kind that is taken here.");
    }
}
