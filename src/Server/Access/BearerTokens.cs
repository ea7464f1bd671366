using System.Security.Claims;
using System.Text.Encodings.Web;
using Coppice.Server.Fleet;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace Coppice.Server.Access;

/// <summary>The two kinds of callers that prove themselves with <c>Authorization: Bearer</c>.</summary>
static class BearerTokens
{
    public const string Operator = "operator";
    public const string Device = "device";

    public static void AddBearerTokens(this IServiceCollection services)
    {
        // The core alone: AddAuthentication would also make keys for cookies, in the user's home.
        services.AddAuthenticationCore(schemes =>
        {
            schemes.AddScheme<OperatorSignIn>(Operator, null);
            schemes.AddScheme<DeviceKeys>(Device, null);
        });
        services.AddWebEncoders().AddTransient<OperatorSignIn>().AddTransient<DeviceKeys>();
        services.AddAuthorizationBuilder()
            .AddPolicy(Operator, policy => policy.AddAuthenticationSchemes(Operator).RequireAuthenticatedUser())
            .AddPolicy(Device, policy => policy.AddAuthenticationSchemes(Device).RequireAuthenticatedUser());
    }

    /// <summary>The operator's or device's name; the endpoint demands that there is one.</summary>
    public static string Name(this ClaimsPrincipal caller) => caller.Identity!.Name!;

    abstract class Handler(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder)
        : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
    {
        protected abstract string Wanted { get; }

        protected abstract Task<string?> WhoAsync(string token, CancellationToken cancel);

        protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
        {
            var header = Request.Headers.Authorization.ToString();
            if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
                return AuthenticateResult.NoResult();
            if (await WhoAsync(header["Bearer ".Length..].Trim(), Context.RequestAborted) is not { } name)
                return AuthenticateResult.Fail("The token is not known.");
            var caller = new ClaimsPrincipal(new ClaimsIdentity([new(ClaimTypes.Name, name)], Scheme.Name));
            return AuthenticateResult.Success(new(caller, Scheme.Name));
        }

        protected override Task HandleChallengeAsync(AuthenticationProperties properties)
        {
            Response.Headers.WWWAuthenticate = "Bearer";
            return Problems.Unauthorised(Wanted).ExecuteAsync(Context);
        }
    }

    sealed class DeviceKeys(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, DeviceStore devices)
        : Handler(options, logger, encoder)
    {
        protected override string Wanted => "Send 'Authorization: Bearer DEVICE:KEY' with the id and key the device enrolled with; enrol again when the server does not know it.";

        protected override async Task<string?> WhoAsync(string token, CancellationToken cancel)
        {
            var colon = token.IndexOf(':', StringComparison.Ordinal);
            return colon > 0 && await devices.ProvesAsync(token[..colon], token[(colon + 1)..], cancel) ? token[..colon] : null;
        }
    }
}
