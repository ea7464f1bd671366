using System.Security.Claims;
using Coppice.Access;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace Coppice.Server.Access;

/// <summary>Verifies tokens that an OpenID Connect provider signed, and finds out who they are and what they may do.</summary>
/// <remarks>
/// Signature by a key of the provider's own set, named by its id, with RS256, PS256 or ES256 and nothing else; issuer, audience and life. The set is fetched anew when it is old, and when
/// a token names a key that is not in it, though not for every such token: anybody can send one.
/// </remarks>
sealed partial class OidcTokens(OidcSettings settings, OperatorStore operators, TimeProvider time, ILogger<OidcTokens> log) : IDisposable
{
    /// <summary>Largest token taken, in characters.</summary>
    public const int MaxLength = 16 << 10;

    /// <summary>How far the clocks of provider and server may be apart.</summary>
    public static readonly TimeSpan Skew = TimeSpan.FromMinutes(1);

    static readonly TimeSpan KeysAreFresh = TimeSpan.FromHours(12);
    static readonly TimeSpan BetweenFetches = TimeSpan.FromSeconds(10);
    static readonly string[] Algorithms = [SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.EcdsaSha256];

    readonly HttpClient http = new(new SocketsHttpHandler { AllowAutoRedirect = false }) { Timeout = TimeSpan.FromSeconds(10), MaxResponseContentBufferSize = 1 << 20 };
    readonly JsonWebTokenHandler tokens = new() { MapInboundClaims = false, MaximumTokenSizeInBytes = MaxLength };
    readonly SemaphoreSlim fetching = new(1);
    OpenIdConnectConfiguration? known;
    DateTimeOffset knownAt = DateTimeOffset.MinValue;
    DateTimeOffset triedAt = DateTimeOffset.MinValue;

    /// <summary>Whether a text could be such a token at all: three parts of base64url.</summary>
    public static bool Looks(string text) => text.Length <= MaxLength && text.Count(c => c == '.') == 2 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    /// <summary>Whose token it is; else why it opens nothing.</summary>
    public async Task<(Caller? Caller, string? Why)> WhoAsync(string token, string? origin, CancellationToken cancel)
    {
        if (!Looks(token))
            return (null, "The token is of no kind that is taken here.");
        var (claims, why) = await VerifyAsync(token, cancel);
        return claims is null ? (null, why) : await WhoAsync(claims, origin, cancel);
    }

    public void Dispose()
    {
        http.Dispose();
        fetching.Dispose();
    }

    async Task<(Caller? Caller, string? Why)> WhoAsync(ClaimsIdentity claims, string? origin, CancellationToken cancel)
    {
        if (claims.FindFirst("sub")?.Value is not { Length: > 0 and <= 255 } sub)
            return (null, "The token has no 'sub' of 1 to 255 characters.");
        var mapped = settings.GrantsOf(claims.FindAll(settings.GroupsClaim).Select(claim => claim.Value).ToHashSet(StringComparer.Ordinal));
        if (await operators.OfSubjectAsync(sub, cancel) is { } known)
        {
            if (known.RemovedAt is { } removed)
                return (null, $"The operator {known.Name} was removed at {removed:u}.");
            return (new($"operator:{known.Name}", known.Name, Caller.SignIn, new Rights([.. GrantText.Layer(known.Grants), .. mapped]), origin) { Operator = known.Name }, null);
        }

        return (new($"oidc:{settings.Issuer}#{sub}", "oidc:" + NameOf(claims, sub), Caller.SignIn, new Rights([.. mapped]), origin), null);
    }

    string NameOf(ClaimsIdentity claims, string sub)
    {
        var name = claims.FindFirst(settings.NameClaim)?.Value;
        if (settings.NameClaim == "email" && !string.Equals(claims.FindFirst("email_verified")?.Value, "true", StringComparison.OrdinalIgnoreCase))
            name = null; // anybody may claim an address that nobody has checked
        return name is { Length: > 0 and <= 128 } && !name.Any(char.IsControl) ? name : sub;
    }

    async Task<(ClaimsIdentity? Claims, string? Why)> VerifyAsync(string token, CancellationToken cancel)
    {
        try
        {
            var result = await tokens.ValidateTokenAsync(token, Parameters(await KeysAsync(again: false, cancel)));
            if (result.Exception is SecurityTokenSignatureKeyNotFoundException)
                result = await tokens.ValidateTokenAsync(token, Parameters(await KeysAsync(again: true, cancel))); // the provider may have new keys
            return result.IsValid ? (result.ClaimsIdentity, null) : (null, Why(result.Exception));
        }
        catch (Exception e) when (e is HttpRequestException or IOException or InvalidOperationException or ArgumentException or System.Text.Json.JsonException or OperationCanceledException && !cancel.IsCancellationRequested)
        {
            LogUnreachable(settings.Issuer, e);
            return (null, $"The keys of {settings.Issuer} cannot be fetched, so that its sign-ins cannot be checked; API tokens still work.");
        }
    }

    TokenValidationParameters Parameters(OpenIdConnectConfiguration provider) => new()
    {
        ValidIssuer = settings.Issuer,
        ValidAudience = settings.Audience,
        ValidAlgorithms = Algorithms,
        IssuerSigningKeys = provider.SigningKeys,
        TryAllIssuerSigningKeys = false,
        RequireSignedTokens = true,
        RequireExpirationTime = true,
        RequireAudience = true,
        // By the server's clock, as everything else.
        LifetimeValidator = (notBefore, expires, _, _) =>
        {
            var now = time.GetUtcNow().UtcDateTime;
            return expires is { } end && now < end + Skew && (notBefore is not { } start || now >= start - Skew);
        },
        NameClaimType = "sub",
    };

    static string Why(Exception? e) => e switch
    {
        SecurityTokenInvalidLifetimeException => "The sign-in has expired, or is not good yet; sign in again with 'coppice login'.",
        SecurityTokenInvalidAudienceException => "The token is for another audience.",
        SecurityTokenInvalidIssuerException => "The token is of another issuer.",
        SecurityTokenSignatureKeyNotFoundException => "The token is signed by a key that its issuer does not have.",
        SecurityTokenInvalidAlgorithmException => "The token is signed in a way that is not taken.",
        SecurityTokenNoExpirationException => "The token has no expiry.",
        SecurityTokenInvalidSignatureException => "The token's signature is not good.",
        _ => "The token cannot be read.",
    };

    async Task<OpenIdConnectConfiguration> KeysAsync(bool again, CancellationToken cancel)
    {
        var now = time.GetUtcNow();
        if (known is { } fresh && now - knownAt < KeysAreFresh && (!again || now - triedAt < BetweenFetches))
            return fresh;
        await fetching.WaitAsync(cancel);
        try
        {
            if (known is { } there && now <= knownAt && !again)
                return there; // another request fetched them meanwhile
            triedAt = now;
            try
            {
                var retriever = new HttpDocumentRetriever(http) { RequireHttps = !new Uri(settings.Issuer).IsLoopback };
                var found = await OpenIdConnectConfigurationRetriever.GetAsync(settings.Issuer.TrimEnd('/') + "/.well-known/openid-configuration", retriever, cancel);
                if (found.Issuer != settings.Issuer)
                    throw new InvalidOperationException($"The provider calls itself '{found.Issuer}', not '{settings.Issuer}'; write its own name for itself in the settings.");
                (known, knownAt) = (found, now);
            }
            catch (Exception e) when (known is not null && e is HttpRequestException or IOException or InvalidOperationException or ArgumentException or System.Text.Json.JsonException or OperationCanceledException && !cancel.IsCancellationRequested)
            {
                LogUnreachable(settings.Issuer, e); // the keys from before are as good as they were
            }

            return known!;
        }
        finally
        {
            fetching.Release();
        }
    }

    [LoggerMessage(LogLevel.Warning, "The keys of {Issuer} could not be fetched.")]
    partial void LogUnreachable(string issuer, Exception e);
}
