using System.Collections.Immutable;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Coppice.Agent.Storage;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>The device's side of the server: enrols it and delivers its reports.</summary>
/// <param name="http">Without redirects.</param>
/// <param name="server">The server's address, ending in '/'.</param>
/// <param name="token">To enrol with; null when the device is enrolled already.</param>
/// <param name="disk">Keeps identity and labels.</param>
/// <param name="queue">Reports to deliver.</param>
public sealed class DeviceLink(HttpClient http, Uri server, JoinToken? token, IDisk disk, ReportQueue queue)
{
    const int MaxAnswer = 256 << 10;

    ImmutableDictionary<string, string>? sentFacts;

    /// <summary>Tells the operator's labels when they came.</summary>
    public event Action<ImmutableDictionary<string, string>>? Labelled;

    /// <summary>Makes the device known, unless this server knows it.</summary>
    /// <returns>Whether it was made known now.</returns>
    /// <exception cref="LinkException">The server refuses or is not there.</exception>
    public async Task<bool> EnrolAsync(DeviceIdentity identity, ImmutableDictionary<string, string> facts, CancellationToken cancel)
    {
        if (identity.Server == server.ToString())
            return false;
        if (token is null)
            throw new LinkException($"{server} does not know this device; give a join token.");
        var request = new EnrolRequest(token.Secret, identity.Device, identity.Key, facts);
        var answer = await PostAsync("v1/enrol", request, DeviceMessagesContext.Default.EnrolRequest, DeviceMessagesContext.Default.EnrolAnswer, null, cancel);
        if (answer.Device != identity.Device)
            throw new LinkException($"{server} enrolled '{answer.Device}' where this is '{identity.Device}'.");
        (identity with { Server = server.ToString() }).Save(disk);
        sentFacts = facts;
        Keep(answer.Labels);
        return true;
    }

    /// <summary>Delivers all reports that wait; with none, says that the device is there.</summary>
    /// <exception cref="LinkException">The server refuses or is not there; the reports stay.</exception>
    public async Task ReportAsync(DeviceIdentity identity, ImmutableDictionary<string, string> facts, CancellationToken cancel)
    {
        do
        {
            var reports = queue.Next();
            var changed = sentFacts is null || !SameFacts(sentFacts, facts);
            var batch = new ReportBatch(reports, changed ? facts : null);
            while (reports.Length > 1 && JsonSerializer.SerializeToUtf8Bytes(batch, DeviceMessagesContext.Default.ReportBatch).Length > ReportBatch.MaxBytes)
                batch = batch with { Reports = reports = reports[..(reports.Length / 2)] }; // many long reasons: in several batches
            var bearer = new AuthenticationHeaderValue("Bearer", $"{identity.Device}:{identity.Key}");
            var answer = await PostAsync("v1/reports", batch, DeviceMessagesContext.Default.ReportBatch, DeviceMessagesContext.Default.ReportAnswer, bearer, cancel);
            sentFacts = facts;
            if (answer.Labels is { } labels)
                Keep(labels);
            if (!queue.Confirm(answer.Through) && !reports.IsEmpty)
                throw new LinkException($"{server} has reports up to {answer.Through} and did not take {reports[0].Sequence} to {reports[^1].Sequence}.");
        }
        while (queue.Waiting > 0);
    }

    /// <summary>Asks for content keys.</summary>
    /// <param name="identity">Whose.</param>
    /// <param name="keys">Their names, at most <see cref="KeyRequest.MaxKeys"/>.</param>
    /// <param name="sealingKey">What they are to be sealed to: SubjectPublicKeyInfo in base64.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="LinkException">The server refuses or is not there.</exception>
    public Task<KeyAnswer> KeysAsync(DeviceIdentity identity, ImmutableArray<Sha256Digest> keys, string sealingKey, CancellationToken cancel) => PostAsync(
        "v1/keys", new KeyRequest(keys) { SealingKey = sealingKey }, DeviceMessagesContext.Default.KeyRequest, DeviceMessagesContext.Default.KeyAnswer,
        new("Bearer", $"{identity.Device}:{identity.Key}"), cancel);

    // What is free changes all the time and concerns the device alone.
    static bool SameFacts(ImmutableDictionary<string, string> a, ImmutableDictionary<string, string> b) =>
        a.Count == b.Count && a.All(fact => fact.Key.EndsWith(".free", StringComparison.Ordinal) || (b.TryGetValue(fact.Key, out var other) && other == fact.Value));

    void Keep(ImmutableDictionary<string, string> labels)
    {
        var bytes = StateJson.Write(labels.OrderBy(label => label.Key, StringComparer.Ordinal).ToImmutableDictionary());
        if (disk.ReadSmall(DataFolder.Labels, StateJson.MaxBytes) is not { } known || !StateJson.TryRead(known, out ImmutableDictionary<string, string>? old)
            || old.Count != labels.Count || !old.All(label => labels.TryGetValue(label.Key, out var value) && value == label.Value))
            disk.Replace(DataFolder.Labels, bytes);
        Labelled?.Invoke(labels);
    }

    async Task<TAnswer> PostAsync<TRequest, TAnswer>(
        string path, TRequest message, JsonTypeInfo<TRequest> messageType, JsonTypeInfo<TAnswer> answerType, AuthenticationHeaderValue? bearer, CancellationToken cancel)
    {
        var address = new Uri(server, path);
        using var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(message, messageType));
        content.Headers.ContentType = new("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = content };
        request.Headers.Authorization = bearer;

        // The client's own time-out ends with the headers; a server may stop after them.
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        late.CancelAfter(http.Timeout);
        try
        {
            return await AnswerAsync(request, address, answerType, late.Token);
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new LinkException($"{address} did not answer within {http.Timeout.TotalSeconds:0} s.", e);
        }
    }

    async Task<TAnswer> AnswerAsync<TAnswer>(HttpRequestMessage request, Uri address, JsonTypeInfo<TAnswer> answerType, CancellationToken cancel)
    {
        using var response = await HttpTrouble.SendAsync(http, request, cancel);
        if (!response.IsSuccessStatusCode)
        {
            var trouble = HttpTrouble.Of(response, address);
            var said = (int)response.StatusCode is >= 400 and < 500 ? HttpTrouble.Shown(await HttpTrouble.ReadAsync(response, address, MaxAnswer, cancel)) : "";
            throw new LinkException($"{trouble.Message}{(said.Length > 0 ? " It said: " : "")}{said}") { After = trouble.After, Unknown = trouble.Unknown };
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
