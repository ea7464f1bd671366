using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Coppice.Agent.Storage;
using Coppice.Protocol;
using Coppice.Protocol.Signatures;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>The device's side of the server: enrols it, renews its certificate and delivers its reports. Every request is signed by the device's key.</summary>
/// <param name="http">The client to use now; without redirects.</param>
/// <param name="server">The server's address, ending in '/'.</param>
/// <param name="token">To enrol with; null for a device that is on the server's list, or waits for an operator.</param>
/// <param name="identity">Whose side it is.</param>
/// <param name="disk">Keeps count of what was sent.</param>
/// <param name="queue">Reports to deliver.</param>
/// <param name="passport">Takes the operator's labels.</param>
/// <param name="time">The clock.</param>
public sealed class DeviceLink(Func<HttpClient> http, Uri server, JoinToken? token, DeviceIdentity identity, IDisk disk, ReportQueue queue, HeldPassport passport, TimeProvider time)
{
    const string Json = "application/json";

    readonly SendingCounter sendings = new(disk, time);

    const int MaxAnswer = (DevicePassport.MaxBytes / 3 * 4) + (64 << 10);

    ImmutableDictionary<string, string>? sentFacts;

    /// <summary>Whether the server is known by roots of its own authority, which it may renew; a device that goes by public roots takes none.</summary>
    public bool TakesRoots { get; init; } = true;

    /// <summary>Tells that a certificate or roots came.</summary>
    public event Action? Certified;

    /// <summary>Makes the device known, unless this server knows it.</summary>
    /// <returns>Whether it was made known now.</returns>
    /// <exception cref="LinkException">The server refuses, is not there, or has an operator asked first.</exception>
    public async Task<bool> EnrolAsync(ImmutableDictionary<string, string> facts, CancellationToken cancel)
    {
        if (identity.Server == server.ToString())
            return false;
        var request = new EnrolRequest(identity.Device, Request(), identity.Sealing.Public.ToString(), facts) { Token = token?.Secret };
        var answer = await PostAsync("v1/enrol", request, DeviceMessagesContext.Default.EnrolRequest, DeviceMessagesContext.Default.EnrolAnswer, cancel);
        if (answer.Device != identity.Device)
            throw new LinkException($"{server} enrolled '{answer.Device}' where this is '{identity.Device}'.");
        Keep(() => identity.Join(server.ToString(), answer.Certificate, TakesRoots ? answer.Authorities : null));
        sentFacts = facts;
        return true;
    }

    /// <summary>Renews the certificate when its time has come.</summary>
    /// <returns>Whether it was renewed now.</returns>
    /// <exception cref="LinkException">The server refuses or is not there; the certificate that is there is good for a while yet.</exception>
    public async Task<bool> RenewAsync(CancellationToken cancel)
    {
        if (identity.RenewAt is not { } due || time.GetUtcNow() < due)
            return false;
        var answer = await PostAsync("v1/renew", new RenewRequest(Request()), DeviceMessagesContext.Default.RenewRequest, DeviceMessagesContext.Default.RenewAnswer, cancel);
        Keep(() => identity.Keep(answer.Certificate, TakesRoots ? answer.Authorities : null));
        return true;
    }

    /// <summary>Delivers all reports that wait; with none, says that the device is there.</summary>
    /// <exception cref="LinkException">The server refuses or is not there; the reports stay.</exception>
    public async Task ReportAsync(ImmutableDictionary<string, string> facts, CancellationToken cancel)
    {
        do
        {
            var reports = queue.Next();
            var changed = sentFacts is null || !SameFacts(sentFacts, facts);
            var batch = new ReportBatch(reports, changed ? facts : null) { Sending = sendings.Next(), Labels = DevicePassport.DigestOf(passport.Labels) };
            while (reports.Length > 1 && JsonSerializer.SerializeToUtf8Bytes(batch, DeviceMessagesContext.Default.ReportBatch).Length > ReportBatch.MaxBytes)
                batch = batch with { Reports = reports = reports[..(reports.Length / 2)] }; // many long reasons: in several batches
            var answer = await PostAsync("v1/reports", batch, DeviceMessagesContext.Default.ReportBatch, DeviceMessagesContext.Default.ReportAnswer, cancel);
            if (answer.Through is not { } through)
            {
                if (reports.IsEmpty)
                    return; // a mirror without its server: it keeps reports when there are some
                throw new LinkException($"{server} does not say whether it took {reports[0].Sequence} to {reports[^1].Sequence}.");
            }

            sentFacts = facts;
            if (!queue.Confirm(through, answer.OnTheWay is not true) && !reports.IsEmpty)
                throw new LinkException($"{server} has reports up to {through} and did not take {reports[0].Sequence} to {reports[^1].Sequence}.");
            if (answer.Passport is { } signed)
                passport.Take(signed, batch.Sending.Nonce);
        }
        while (queue.Waiting > 0);
    }

    /// <summary>Asks for content keys; they come sealed to the key that the device enrolled with.</summary>
    /// <param name="keys">Their names, at most <see cref="KeyRequest.MaxKeys"/>.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="LinkException">The server refuses or is not there.</exception>
    public Task<KeyAnswer> KeysAsync(ImmutableArray<Sha256Digest> keys, CancellationToken cancel) =>
        PostAsync("v1/keys", new KeyRequest(keys), DeviceMessagesContext.Default.KeyRequest, DeviceMessagesContext.Default.KeyAnswer, cancel);

    string Request() => Convert.ToBase64String(identity.Key.RequestCertificate(identity.Device));

    void Keep(Action certified)
    {
        try
        {
            certified();
        }
        catch (InvalidDataException e)
        {
            throw new LinkException($"{server}: {e.Message}", e);
        }

        Certified?.Invoke();
    }

    // What is free changes all the time and concerns the device alone.
    static bool SameFacts(ImmutableDictionary<string, string> a, ImmutableDictionary<string, string> b) =>
        a.Count == b.Count && a.All(fact => fact.Key.EndsWith(".free", StringComparison.Ordinal) || (b.TryGetValue(fact.Key, out var other) && other == fact.Value));

    async Task<TAnswer> PostAsync<TRequest, TAnswer>(
        string path, TRequest message, JsonTypeInfo<TRequest> messageType, JsonTypeInfo<TAnswer> answerType, CancellationToken cancel)
    {
        var address = new Uri(server, path);
        var body = JsonSerializer.SerializeToUtf8Bytes(message, messageType);
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new(Json);
        using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = content };
        foreach (var (name, value) in DeviceSignature.Sign(identity.Key, identity.Device, request.Method.Method, address.PathAndQuery, Json, body, time.GetUtcNow()))
            (name == ContentDigest.Header ? (HttpHeaders)content.Headers : request.Headers).TryAddWithoutValidation(name, value);

        // The client's own time-out ends with the headers; a server may stop after them.
        var client = http();
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        late.CancelAfter(client.Timeout);
        try
        {
            return await AnswerAsync(client, request, address, answerType, late.Token);
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new LinkException($"{address} did not answer within {client.Timeout.TotalSeconds:0} s.", e);
        }
    }

    async Task<TAnswer> AnswerAsync<TAnswer>(HttpClient client, HttpRequestMessage request, Uri address, JsonTypeInfo<TAnswer> answerType, CancellationToken cancel)
    {
        using var response = await HttpTrouble.SendAsync(client, request, cancel);
        if (response.StatusCode == HttpStatusCode.Accepted)
        {
            throw new LinkException($"{server} lets '{identity.Device}' in when an operator has accepted it; its key is {identity.Key.Public.Digest}.")
            {
                After = response.Headers.RetryAfter?.Delta ?? TimeSpan.FromSeconds(30),
                Waits = true,
            };
        }

        if (!response.IsSuccessStatusCode)
        {
            var trouble = HttpTrouble.Of(response, address);
            var said = (int)response.StatusCode is >= 400 and < 500 ? HttpTrouble.Shown(await HttpTrouble.ReadAsync(response, address, MaxAnswer, cancel)) : "";
            throw new LinkException($"{trouble.Message}{(said.Length > 0 ? " It said: " : "")}{said}")
            {
                After = trouble.After,
                Unknown = trouble.Unknown && !said.Contains("/problems/clock", StringComparison.Ordinal), // to enrol again would not put a clock right
            };
        }

        var bytes = await HttpTrouble.ReadAsync(response, address, MaxAnswer, cancel);
        try
        {
            return JsonSerializer.Deserialize(bytes, answerType) ?? throw new JsonException("the answer is null.");
        }
        catch (JsonException e)
        {
            throw new LinkException($"{address} answered {response.Content.Headers.ContentType?.ToString() ?? "unnamed type"} that is not a Coppice server's: {HttpTrouble.Shown(bytes)}", e);
        }
    }
}
