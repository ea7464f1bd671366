using System.Security.Claims;
using System.Text.Encodings.Web;
using Coppice.Server.Fleet;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Coppice.Server.Ddi;

/// <summary>Devices that speak DDI prove themselves with <c>Authorization: TargetToken</c>, one device's, or <c>GatewayToken</c>, which speaks for many.</summary>
sealed class DdiProof(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, DdiTokenStore tokens, DeviceStore devices, TimeProvider time)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    /// <summary>Scheme and policy.</summary>
    public const string Name = "ddi";

    const string Target = "TargetToken ";
    const string Gateway = "GatewayToken ";
    const string Wanted = "Send 'Authorization: TargetToken TOKEN' or 'GatewayToken TOKEN'; an operator makes one with 'coppice ddi-token create'.";

    ProblemHttpResult? refusal;

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var header = Request.Headers.Authorization.ToString();
        var ofOne = header.StartsWith(Target, StringComparison.OrdinalIgnoreCase);
        if (!ofOne && !header.StartsWith(Gateway, StringComparison.OrdinalIgnoreCase))
            return AuthenticateResult.NoResult();
        var controller = Context.GetRouteValue("controller") as string ?? "";
        if (DdiCaller.DeviceOf(controller) is not { } device)
            return Refuse(Problems.Of(400, "validation", "The id is no device's.", $"'{DeviceRules.Shown(controller)}' is not an id; use 1 to 64 letters, digits, '-', '_', '.' or ':'. Capitals count as small letters, ':' as '-'."));
        var now = time.GetUtcNow();
        var (caller, problem) = await tokens.WhoAsync(header[header.IndexOf(' ', StringComparison.Ordinal)..].Trim(), ofOne, device, controller, now, Context.RequestAborted);
        if (caller is null)
            return Refuse(problem!);
        var standing = await devices.StandingAsync(device, Context.RequestAborted);
        if (standing?.RetiredAt is not null)
            return Refuse(Problems.Of(403, "device-retired", "The device is retired.", $"'{device}' was taken out by an operator."));
        if (standing?.RevokedAt is not null)
            return Refuse(Problems.Of(403, "device-revoked", "The device is revoked.", $"'{device}' was revoked by an operator."));
        if (standing?.SigningKey.StartsWith(DdiTokenStore.NoKey, StringComparison.Ordinal) != true)
            return Refuse(Problems.Of(409, "device-known", "The id is taken.", $"'{device}' has an agent of its own, which proves itself by its key."));
        Context.Features.Set(caller);
        return AuthenticateResult.Success(new(new ClaimsPrincipal(new ClaimsIdentity([new Claim(ClaimTypes.Name, device)], Scheme.Name)), Scheme.Name));
    }

    AuthenticateResult Refuse(ProblemHttpResult why)
    {
        refusal = why;
        return AuthenticateResult.Fail(why.ProblemDetails.Detail!);
    }

    protected override Task HandleChallengeAsync(AuthenticationProperties properties) => (refusal ?? Problems.Unauthorised(Wanted)).ExecuteAsync(Context);
}
