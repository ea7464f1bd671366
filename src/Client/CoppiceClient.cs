using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Coppice.Protocol;

namespace Coppice.Client;

/// <summary>The control API over HTTP, typed. One instance serves any number of calls at a time.</summary>
/// <remarks>Every call throws <see cref="ControlException"/> when the server refuses or cannot be reached.</remarks>
public sealed partial class CoppiceClient : IDisposable
{
    readonly HttpClient http;
    readonly bool owned;
    readonly Func<CancellationToken, ValueTask<AuthenticationHeaderValue?>> authorization;

    /// <summary>A client of one server for one operator.</summary>
    /// <param name="server">Where the server listens.</param>
    /// <param name="token">An operator's token; null for what needs none.</param>
    /// <param name="connections">How connections are made, disposed of with the client; null for those that go by public roots.</param>
    public CoppiceClient(Uri server, string? token, SocketsHttpHandler? connections = null)
        : this(new HttpClient(connections ?? new()) { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan }, token) => owned = true; // a blob takes as long as it takes; calls are cancelled

    /// <summary>A client over an HTTP client that somebody else keeps.</summary>
    /// <param name="http">With the server as its base address; not disposed of.</param>
    /// <param name="token">An operator's token; null for what needs none.</param>
    public CoppiceClient(HttpClient http, string? token)
    {
        this.http = http;
        var authorization = token is null ? null : new AuthenticationHeaderValue("Bearer", token);
        this.authorization = _ => ValueTask.FromResult(authorization);
    }

    /// <summary>A client of one server for somebody whose token changes: a sign-in is renewed now and then.</summary>
    /// <param name="server">Where the server listens.</param>
    /// <param name="token">Asked before each call.</param>
    /// <param name="connections">How connections are made, disposed of with the client; null for those that go by public roots.</param>
    public CoppiceClient(Uri server, Func<CancellationToken, ValueTask<string>> token, SocketsHttpHandler? connections = null)
    {
        http = new(connections ?? new()) { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan };
        owned = true;
        authorization = async cancel => new("Bearer", await token(cancel));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (owned)
            http.Dispose();
    }

    Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancel) => SendAsync(HttpMethod.Get, path, null, type, cancel);

    Task<T> SendAsync<TBody, T>(HttpMethod method, string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken cancel, string? revision = null) =>
        SendAsync(method, path, JsonContent.Create(body, bodyType), type, cancel, revision);

    async Task<T> SendAsync<T>(HttpMethod method, string path, HttpContent? content, JsonTypeInfo<T> type, CancellationToken cancel, string? revision = null)
    {
        using var response = await SendAsync(method, path, content, cancel, revision: revision);
        return await ReadAsync(response, path, type, cancel);
    }

    async Task<T> ReadAsync<T>(HttpResponseMessage response, string path, JsonTypeInfo<T> type, CancellationToken cancel)
    {
        try
        {
            return await response.Content.ReadFromJsonAsync(type, cancel) ?? throw new JsonException("the answer is null");
        }
        catch (JsonException e)
        {
            throw new ControlException(new(Title: "The answer cannot be read.", Status: (int)response.StatusCode,
                Detail: $"{http.BaseAddress}{path} does not answer as a Coppice server of this version would: {e.Message}"), e);
        }
    }

    async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancel, HttpStatusCode? alsoGood = null, string? revision = null)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        if (revision is not null)
            request.Headers.IfMatch.Add(new($"\"{revision}\""));
        request.Headers.Authorization = await authorization(cancel);
        HttpResponseMessage response;
        try
        {
            response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        }
        catch (HttpRequestException e) when (e.HttpRequestError == HttpRequestError.SecureConnectionError)
        {
            throw new ControlException(new("/problems/untrusted", "The server's certificate is not believed.", null,
                $"{http.BaseAddress}: {e.InnerException?.Message ?? e.Message} Behind the server's own authority, go by its roots: take v1/authority/roots.pem from the machine itself once, and give it with --roots or COPPICE_ROOTS."), e);
        }
        catch (Exception e) when (e is HttpRequestException or SocketException) // bare where the server ends as it is reached
        {
            throw new ControlException(new("/problems/unreachable", "The server cannot be reached.", null,
                $"{http.BaseAddress} does not answer ({e.Message}); check --server, and that 'coppice serve' runs there."), e);
        }

        if (response.IsSuccessStatusCode || response.StatusCode == alsoGood)
            return response;
        using (response)
            throw new ControlException(await ProblemAsync(response, cancel));
    }

    static async Task<ControlProblem> ProblemAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        if (response.Content.Headers.ContentType?.MediaType == "application/problem+json")
        {
            try
            {
                if (await response.Content.ReadFromJsonAsync(ControlContext.Default.ControlProblem, cancel) is { } problem)
                    return problem;
            }
            catch (JsonException)
            {
                // Not a Coppice server's problem; the status still tells something.
            }
        }

        // The answer to a HEAD has no body that could say it.
        var detail = response.StatusCode == HttpStatusCode.Unauthorized ? "It does not know the token; check --token or COPPICE_TOKEN." : null;
        return new(null, $"The server answered {(int)response.StatusCode} {response.ReasonPhrase}.", (int)response.StatusCode, detail);
    }

    /// <summary>Text in a path or query.</summary>
    static string Escape(string text) => Uri.EscapeDataString(text);

    /// <summary>A query of the parts that are given.</summary>
    static string Query(params ReadOnlySpan<(string Name, string? Value)> parts)
    {
        var given = new List<string>();
        foreach (var (name, value) in parts)
        {
            if (value is not null)
                given.Add($"{name}={Escape(value)}");
        }

        return given.Count == 0 ? "" : "?" + string.Join('&', given);
    }
}
