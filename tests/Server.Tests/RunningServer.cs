using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Coppice.Client;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Protocol.Signatures;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Coppice.Tests;
using Coppice.Trust;
using Microsoft.Extensions.DependencyInjection;

namespace Coppice.Server.Tests;

/// <summary>A real server on a port and a data folder of its own, with a clock that the test moves.</summary>
sealed class RunningServer : IAsyncDisposable
{
    public static readonly ModelName Bearing = ModelName.Parse("plant/bearing");

    static readonly AsyncLocal<bool> OnPostgres = new();
    static readonly ConcurrentDictionary<string, PostgresAddress> DatabaseOf = new(StringComparer.Ordinal);

    readonly bool keepData;

    RunningServer(ControlPlane plane, FakeTime time, bool keepData)
    {
        (Plane, Time, this.keepData) = (plane, time, keepData);
        Token = File.ReadAllText(plane.AdminTokenFile).Trim();
        Anyone = new() { BaseAddress = plane.Url };
        Operator = new() { BaseAddress = plane.Url, DefaultRequestHeaders = { Authorization = new("Bearer", Token) } };
        Client = new(plane.Url, Token);
    }

    public ControlPlane Plane { get; }
    public FakeTime Time { get; }
    public string Token { get; }

    /// <summary>Where the first start wrote the offline keys; a server that is started again on a folder is told.</summary>
    public required string OfflineKeys { get; init; }

    /// <summary>Sends no token.</summary>
    public HttpClient Anyone { get; }

    /// <summary>Sends the admin's token.</summary>
    public HttpClient Operator { get; }

    public CoppiceClient Client { get; }

    /// <summary>Called by a test class as it is made: its servers keep their tables in PostgreSQL.</summary>
    public static void UsePostgres() => OnPostgres.Value = true;

    public static string NewFolder() => Path.Combine(Path.GetTempPath(), "coppice-server-tests", Path.GetRandomFileName());

    public static async Task<RunningServer> StartAsync(Func<ControlPlaneOptions, ControlPlaneOptions>? with = null, string? data = null, FakeTime? time = null, string? offlineKeys = null)
    {
        time ??= new();
        var options = new ControlPlaneOptions { Data = data ?? NewFolder(), Listen = "http://127.0.0.1:0", Time = time, FollowDatabaseClock = false, StopPatience = TimeSpan.FromSeconds(20) };
        if (OnPostgres.Value)
            options = options with { Database = data is not null && DatabaseOf.TryGetValue(data, out var known) ? known : DatabaseOf[options.Data] = await NewDatabaseAsync() };
        var plane = await ControlPlane.StartAsync(with?.Invoke(options) ?? options);
        return new(plane, time, data is not null) { OfflineKeys = plane.First?.OfflineKeys ?? offlineKeys ?? "" };
    }

    /// <summary>An empty database of this test's own.</summary>
    public static async Task<PostgresAddress> NewDatabaseAsync()
    {
        var cluster = await PostgresCluster.SharedAsync();
        return PostgresAddress.TryParse(await cluster.NewDatabaseAsync(), out var address, out var problem) ? address : throw new InvalidOperationException(problem);
    }

    /// <summary>Sends a token of another operator.</summary>
    public async Task<HttpClient> OperatorAsync(string name, params RoleGrant[] grants)
    {
        await Client.PutOperatorAsync(name, new([.. grants]));
        var token = await Client.CreateTokenAsync(new("test", TimeSpan.FromDays(300)) { Operator = name });
        return new() { BaseAddress = Plane.Url, DefaultRequestHeaders = { Authorization = new("Bearer", token.Token) } };
    }

    public T Get<T>() where T : notnull => Plane.Services.GetRequiredService<T>();

    public static SemanticVersion V(string version) => SemanticVersion.Parse(version);

    /// <summary>What a publisher signs: one variant of one small file.</summary>
    public static (byte[] Manifest, byte[] Blob) MakeRelease(string version, ModelName? model = null, params ModelRequirement[] requires)
    {
        var blob = Encoding.UTF8.GetBytes($"weights of {model ?? Bearing} {version}");
        var file = new ReleaseFile("model.bin", Sha256Digest.Of(blob), blob.Length);
        return (DocumentJson.Write(new ReleaseManifest(1, model ?? Bearing, V(version), [new("fp32", [file], ModelFormat.Opaque)]) { Notes = "for a test", Requires = requires.Length == 0 ? null : [.. requires] }), blob);
    }

    /// <summary>The next releases metadata with a manifest added, signed with the offline key.</summary>
    public byte[] Sign(byte[] manifest, string version, ModelName? model = null)
    {
        using var key = SigningKey.Import(File.ReadAllBytes(Path.Combine(OfflineKeys, "releases-1.pem")));
        return ReleaseSigning.Prepare(
            Get<Coppice.Server.Registry.Repository>().Tree.CurrentReleases(), RepositoryLayout.ReleaseTarget((model ?? Bearing).ToString(), version), manifest, key, Time.GetUtcNow());
    }

    public async Task<ReleaseView> PublishAsync(string version, ModelName? model = null, params ModelRequirement[] requires)
    {
        var (manifest, blob) = MakeRelease(version, model, requires);
        await Client.PutBlobAsync(Sha256Digest.Of(blob), new MemoryStream(blob), blob.Length);
        return await Client.PublishAsync(model ?? Bearing, new(manifest, Sign(manifest, version, model)));
    }

    public Task<RolloutView> StartRolloutAsync(string version, params Phase[] phases) =>
        Client.StartRolloutAsync(new(Bearing, V(version), phases.Length == 0 ? [new(1)] : [.. phases]));

    public Task<TestDevice> EnrolAsync(string id, params (string Name, string Value)[] facts) => EnrolAsync(new TestDevice(this, id), facts);

    public async Task<TestDevice> EnrolAsync(TestDevice device, params (string Name, string Value)[] facts)
    {
        var token = await Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1));
        using var answer = await device.EnrolAsync(token.Token, facts);
        answer.EnsureSuccessStatusCode();
        return device;
    }

    /// <summary>What the workers' clocks would do.</summary>
    public async Task JudgeAsync()
    {
        Get<Coppice.Server.Registry.ExpiryWorker>().Refresh();
        await Get<RolloutWorker>().JudgeAsync(CancellationToken.None);
        await Get<PlanPublisher>().ReconcileAsync(CancellationToken.None); // the worker that a report woke may still be publishing
    }

    public async Task<RolloutView> RolloutAsync(string id = "r-1") => (await Client.GetRolloutAsync(id)).Rollout;

    /// <summary>The plan as a device gets it: over HTTP, from the pinned root down.</summary>
    public Task<RolloutPlan?> PlanAsDeviceAsync() => new TufWalk(Anyone, Time).PlanAsync(Bearing);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        Anyone.Dispose();
        Operator.Dispose();
        await Plane.DisposeAsync();
        if (!keepData)
            Directory.Delete(Plane.Data, recursive: true);
    }
}

/// <summary>Speaks the device API as an agent would.</summary>
sealed class TestDevice(RunningServer? server, string id)
{
    public string Id => id;

    /// <summary>The same device, at another server.</summary>
    public TestDevice At(RunningServer other) => new(other, id) { Key = Key, Sealing = Sealing };

    public DeviceKey Key { get; init; } = DeviceKey.Create();

    public DevicePublicKey Sealing { get; init; } = NewSealing();

    /// <summary>Over what it speaks; null for the server's first address.</summary>
    public HttpClient? Http { get; init; }

    DateTimeOffset Now => (server?.Time ?? TimeProvider.System).GetUtcNow();

    HttpClient Line => Http ?? server!.Anyone;

    static DevicePublicKey NewSealing()
    {
        using var key = SealingKey.Create();
        return DevicePublicKey.TryParse(key.Public.ToString(), out var made) ? made : throw new InvalidOperationException("A sealing key is no key of a device.");
    }

    public EnrolRequest Request(string? token, params (string Name, string Value)[] facts) =>
        new(id, Convert.ToBase64String(Key.RequestCertificate(id)), Sealing.ToString(), [.. facts.Select(fact => KeyValuePair.Create(fact.Name, fact.Value))])
        {
            Token = JoinToken.TryParse(token, out var join) ? join.Secret : token,
        };

    public Task<HttpResponseMessage> EnrolAsync(string? token, params (string Name, string Value)[] facts) =>
        SendAsync("v1/enrol", JsonSerializer.SerializeToUtf8Bytes(Request(token, facts), DeviceMessagesContext.Default.EnrolRequest));

    /// <summary>Enrols and takes the answer.</summary>
    public async Task<EnrolAnswer> JoinAsync(string? token)
    {
        using var answer = await EnrolAsync(token);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        return (await answer.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.EnrolAnswer))!;
    }

    /// <summary>A request signed by the device's key, or another.</summary>
    public HttpRequestMessage Signed(string path, byte[] body, DeviceKey? key = null, string? name = null, DateTimeOffset? at = null)
    {
        var http = Line;
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new ByteArrayContent(body) { Headers = { ContentType = new("application/json") } } };
        foreach (var (header, value) in DeviceSignature.Sign(key ?? Key, name ?? id, "POST", new Uri(http.BaseAddress!, path).PathAndQuery, "application/json", body, at ?? Now))
            (header == ContentDigest.Header ? (HttpHeaders)request.Content.Headers : request.Headers).TryAddWithoutValidation(header, value);
        return request;
    }

    public async Task<HttpResponseMessage> SendAsync(string path, byte[] body, DeviceKey? key = null)
    {
        using var request = Signed(path, body, key);
        return await Line.SendAsync(request);
    }

    public static Report Report(long sequence, ReportKind kind, string release = "1.0.0", string? rollout = "r-1", int attempt = 1, string? why = null) =>
        new(sequence, new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero), kind, RunningServer.Bearing, RunningServer.V(release)) { Rollout = rollout, Attempt = attempt, Why = why };

    public Task<HttpResponseMessage> PostAsync(ReportBatch batch, DeviceKey? key = null) =>
        SendAsync("v1/reports", JsonSerializer.SerializeToUtf8Bytes(batch, DeviceMessagesContext.Default.ReportBatch), key);

    public async Task<ReportAnswer> SayAsync(params Report[] reports)
    {
        using var answer = await PostAsync(new([.. reports]));
        answer.EnsureSuccessStatusCode();
        return (await answer.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.ReportAnswer))!;
    }
}

/// <summary>The shortest TUF client: every check is Core's, nothing is stored.</summary>
sealed class TufWalk(HttpClient http, TimeProvider time)
{
    public async Task<RolloutPlan?> PlanAsync(ModelName model)
    {
        var trusted = new TrustedMetadataSet(await MetadataAsync("1.root.json"), time.GetUtcNow());
        while (await http.GetAsync($"repository/metadata/{trusted.Root.Signed.Version + 1}.root.json") is { IsSuccessStatusCode: true } next)
            trusted.UpdateRoot(await next.Content.ReadAsByteArrayAsync());
        trusted.UpdateTimestamp(await MetadataAsync("timestamp.json"));
        trusted.UpdateSnapshot(await MetadataAsync($"{trusted.Timestamp!.Signed.Snapshot.Version}.snapshot.json"));
        var search = new TargetSearch(RepositoryLayout.PlanTarget(model.ToString()));
        while (search.Next(out var role, out var delegator))
        {
            var bytes = await MetadataAsync($"{trusted.NamedInSnapshot(role).Version}.{role}.json");
            search.Visit(trusted.UpdateTargets(bytes, role, delegator).Signed);
        }

        if (search.Found is not { } target)
            return null;
        var document = await http.GetByteArrayAsync("repository/targets/" + target.StoredPath(consistentSnapshot: true));
        target.Verify(document);
        return DocumentJson.TryRead(document, out RolloutPlan? plan, out var problems) ? plan : throw new InvalidDataException(string.Join(" ", problems));
    }

    async Task<ReadOnlyMemory<byte>> MetadataAsync(string name) => await http.GetByteArrayAsync("repository/metadata/" + name);
}

static class Answers
{
    /// <summary>The problem in an answer; fails when it is none, or of another status.</summary>
    public static async Task<ControlProblem> ProblemAsync(this Task<HttpResponseMessage> sent, int status)
    {
        using var answer = await sent;
        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        var problem = JsonSerializer.Deserialize(await answer.Content.ReadAsStringAsync(), ControlContext.Default.ControlProblem)!;
        Assert.Equal(status, problem.Status);
        return problem;
    }

    public static StringContent Json(string text) => new(text, Encoding.UTF8, "application/json");
}
