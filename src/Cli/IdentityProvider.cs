using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Client;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary>An OpenID Connect provider, as a public client meets it: the device authorisation grant (RFC 8628), and a browser with a loopback redirect and PKCE (RFC 8252, RFC 7636).</summary>
sealed class IdentityProvider : IDisposable
{
    static readonly TimeSpan BrowserPatience = TimeSpan.FromMinutes(10);

    readonly HttpClient http = new(new SocketsHttpHandler { AllowAutoRedirect = false }) { Timeout = TimeSpan.FromSeconds(30), MaxResponseContentBufferSize = 1 << 20 };
    readonly SignIn where;
    ProviderDocument document = null!;

    IdentityProvider(SignIn where) => this.where = where;

    public string? DeviceEndpoint => document.DeviceAuthorizationEndpoint;

    /// <exception cref="ControlException">There is no provider there, or it calls itself something else.</exception>
    public static async Task<IdentityProvider> DiscoverAsync(SignIn where, CancellationToken cancel)
    {
        if (!Uri.TryCreate(where.Issuer, UriKind.Absolute, out var issuer) || !(issuer.Scheme == Uri.UriSchemeHttps || (issuer.Scheme == Uri.UriSchemeHttp && issuer.IsLoopback)))
            throw new UsageException($"--issuer: '{where.Issuer}' is no address of a provider; give it with https://.");
        var provider = new IdentityProvider(where);
        try
        {
            var address = where.Issuer.TrimEnd('/') + "/.well-known/openid-configuration";
            using var answer = await provider.SendAsync(new(HttpMethod.Get, address), cancel);
            provider.document = answer.IsSuccessStatusCode
                ? JsonSerializer.Deserialize(await answer.Content.ReadAsStringAsync(cancel), SignInContext.Default.ProviderDocument)!
                : throw Failed($"{address} answers {(int)answer.StatusCode}.");
            if (provider.document.Issuer != where.Issuer)
                throw Failed($"{address} is of '{provider.document.Issuer}', not of '{where.Issuer}'.");
            return provider;
        }
        catch (JsonException e)
        {
            provider.Dispose();
            throw Failed($"The document of {where.Issuer} cannot be read: {e.Message}");
        }
        catch
        {
            provider.Dispose();
            throw;
        }
    }

    /// <summary>Signs in with a code that the person types in on any machine.</summary>
    public async Task<SignedIn> SignInByCodeAsync(Action<string> say, TimeProvider time, CancellationToken cancel)
    {
        var begun = await AskAsync(document.DeviceAuthorizationEndpoint!, SignInContext.Default.DeviceAuthorization, cancel, ("client_id", where.ClientId), ("scope", where.Scopes));
        say($"Open {begun.VerificationUri} and enter the code {begun.UserCode}{(begun.VerificationUriComplete is { } whole ? $", or open {whole}" : "")}");
        var pause = TimeSpan.FromSeconds(begun.Interval ?? 5);
        for (var end = time.GetUtcNow() + TimeSpan.FromSeconds(begun.ExpiresIn); time.GetUtcNow() < end;)
        {
            await Task.Delay(pause, time, cancel);
            var answer = await TokenAsync(cancel, ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", begun.DeviceCode));
            switch (answer.Error)
            {
                case null:
                    return Taken(answer, nonce: null);
                case "authorization_pending":
                    continue;
                case "slow_down":
                    pause += TimeSpan.FromSeconds(5);
                    continue;
                default:
                    throw Failed(Words(answer));
            }
        }

        throw Failed("The code was not entered in time; begin again.");
    }

    /// <summary>Signs in with a browser on this machine, which is sent back to this program.</summary>
    public async Task<SignedIn> SignInByBrowserAsync(Action<string> say, CancellationToken cancel)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var back = $"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture)}/";
        var (verifier, state, nonce) = (Unguessable(), Unguessable(), Unguessable());
        var challenge = Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(verifier)));
        say("Open this in a browser on this machine:\n" + document.AuthorizationEndpoint + "?" + Form(
            ("response_type", "code"), ("client_id", where.ClientId), ("redirect_uri", back), ("scope", where.Scopes), ("state", state), ("nonce", nonce),
            ("code_challenge", challenge), ("code_challenge_method", "S256")));
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(BrowserPatience);
        var query = await ReturnedAsync(listener, state, patience.Token);
        if (query.GetValueOrDefault("iss") is { } issuer && issuer != where.Issuer)
            throw Failed($"The answer came from '{issuer}', not from '{where.Issuer}'.");
        if (query.GetValueOrDefault("code") is not { } code)
            throw Failed($"{query.GetValueOrDefault("error", "no code")}: {query.GetValueOrDefault("error_description", "the provider gave no reason")}");
        var answer = await TokenAsync(cancel, ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", back), ("code_verifier", verifier));
        return answer.Error is null ? Taken(answer, nonce) : throw Failed(Words(answer));
    }

    public void Dispose() => http.Dispose();

    /// <summary>Another ID token for a refresh token.</summary>
    public static async Task<SignedIn> RefreshAsync(SignedIn old, CancellationToken cancel)
    {
        using var provider = await DiscoverAsync(new(old.Issuer, old.ClientId, ""), cancel);
        var answer = await provider.TokenAsync(cancel, ("grant_type", "refresh_token"), ("refresh_token", old.RefreshToken!));
        if (answer.Error is not null)
            throw Failed($"The sign-in could not be renewed ({Words(answer)}); sign in again with 'coppice login'.");
        return provider.Taken(answer with { RefreshToken = answer.RefreshToken ?? old.RefreshToken }, nonce: null);
    }

    // Whatever else a browser asks for, a favicon, is not the answer.
    static async Task<Dictionary<string, string>> ReturnedAsync(TcpListener listener, string state, CancellationToken cancel)
    {
        while (true)
        {
            using var connection = await listener.AcceptTcpClientAsync(cancel);
            await using var stream = connection.GetStream();
            using var reader = new StreamReader(stream, Encoding.ASCII, leaveOpen: true);
            var line = await reader.ReadLineAsync(cancel) ?? "";
            while (await reader.ReadLineAsync(cancel) is { Length: > 0 })
            {
                // The headers say nothing of use; they are read so that the browser takes the answer.
            }

            var query = line.Split(' ') is ["GET", var path, ..] && path.IndexOf('?', StringComparison.Ordinal) is >= 0 and var mark ? Read(path[(mark + 1)..]) : [];
            var ours = query.TryGetValue("state", out var returned) && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(returned), Encoding.UTF8.GetBytes(state));
            var words = ours ? "Signed in. This page may be closed; go on in the terminal." : "Nothing is here.";
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {(ours ? "200 OK" : "404 Not Found")}\r\nContent-Type: text/plain\r\nContent-Length: {words.Length}\r\nConnection: close\r\n\r\n{words}"), cancel);
            if (ours)
                return query;
        }
    }

    static Dictionary<string, string> Read(string query)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var part in query.Split('&').Select(part => part.Split('=', 2)).Where(part => part.Length == 2))
            values[Uri.UnescapeDataString(part[0])] = Uri.UnescapeDataString(part[1].Replace('+', ' '));
        return values;
    }

    Task<TokenAnswer> TokenAsync(CancellationToken cancel, params (string Name, string Value)[] form) =>
        AskAsync(document.TokenEndpoint, SignInContext.Default.TokenAnswer, cancel, [.. form, ("client_id", where.ClientId)]);

    async Task<T> AskAsync<T>(string address, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, CancellationToken cancel, params (string Name, string Value)[] form)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = new StringContent(Form(form), Encoding.UTF8, "application/x-www-form-urlencoded") };
        using var answer = await SendAsync(request, cancel);
        try
        {
            return JsonSerializer.Deserialize(await answer.Content.ReadAsStringAsync(cancel), type) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw Failed($"{address} answers {(int)answer.StatusCode} with what cannot be read: {e.Message}");
        }
    }

    async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancel)
    {
        try
        {
            return await http.SendAsync(request, cancel);
        }
        catch (HttpRequestException e)
        {
            throw Failed($"{request.RequestUri} does not answer: {e.Message}");
        }
    }

    SignedIn Taken(TokenAnswer answer, string? nonce)
    {
        if (answer.IdToken?.Split('.') is not [_, var payload, _])
            throw Failed("The provider gave no ID token; 'openid' must be among the scopes.");
        IdClaims claims;
        try
        {
            // Not verified here: it came straight from the provider, and the server verifies it.
            claims = JsonSerializer.Deserialize(Base64Url.DecodeFromChars(payload), SignInContext.Default.IdClaims) ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or FormatException)
        {
            throw Failed($"The provider's ID token cannot be read: {e.Message}");
        }

        if (nonce is not null && claims.Nonce != nonce)
            throw Failed("The ID token is not an answer to this sign-in: its nonce is another.");
        return new(where.Issuer, where.ClientId, answer.IdToken, DateTimeOffset.FromUnixTimeSeconds(claims.Exp), answer.RefreshToken);
    }

    static string Unguessable() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));

    static string Form(params IEnumerable<(string Name, string Value)> values) => string.Join('&', values.Select(value => $"{value.Name}={Uri.EscapeDataString(value.Value)}"));

    static string Words(TokenAnswer answer) => answer.ErrorDescription is null ? answer.Error! : $"{answer.Error}: {answer.ErrorDescription}";

    static ControlException Failed(string detail) => new(new(Title: "Signing in failed.", Detail: detail));
}

/// <summary>What a provider's document says, as far as it is used.</summary>
sealed record ProviderDocument(string Issuer, string AuthorizationEndpoint, string TokenEndpoint, string? DeviceAuthorizationEndpoint = null);

/// <summary>A code for a person to type in.</summary>
sealed record DeviceAuthorization(string DeviceCode, string UserCode, string VerificationUri, int ExpiresIn, string? VerificationUriComplete = null, int? Interval = null);

/// <summary>What a token endpoint answers.</summary>
sealed record TokenAnswer(string? IdToken = null, string? RefreshToken = null, string? Error = null, string? ErrorDescription = null);

/// <summary>Claims that are read here.</summary>
sealed record IdClaims(long Exp, string? Nonce = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ProviderDocument))]
[JsonSerializable(typeof(DeviceAuthorization))]
[JsonSerializable(typeof(TokenAnswer))]
[JsonSerializable(typeof(IdClaims))]
[JsonSerializable(typeof(SignedIn))]
sealed partial class SignInContext : JsonSerializerContext;
