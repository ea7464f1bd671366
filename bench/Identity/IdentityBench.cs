using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Protocol.Signatures;
using Coppice.Server;
using Coppice.Trust;
using Microsoft.Extensions.Logging;

namespace Coppice.Bench.Identity;

/// <summary>What proving a device's identity costs: a signature over a request on the device, its verification on the server, and TLS with certificates on both sides.</summary>
static class IdentityBench
{
    const int Rounds = 5;
    const int Calls = 1_000;
    const int Handshakes = 200;

    public static async Task<int> RunAsync()
    {
        using var key = DeviceKey.Create();
        var body = JsonSerializer.SerializeToUtf8Bytes(
            new ReportBatch([]) { Sending = new(7, "abcdefgh", DateTimeOffset.UnixEpoch) }, DeviceMessagesContext.Default.ReportBatch);
        Console.WriteLine("| what | processor time |");
        Console.WriteLine("|---|---|");
        Signatures(key, body);
        Requests(key);
        await ServerAsync(key, body);
        return 0;
    }

    /// <summary>The code of agent and server, without HTTP.</summary>
    static void Signatures(DeviceKey key, byte[] body)
    {
        var now = DateTimeOffset.UtcNow;
        Say($"sign a request of {body.Length} bytes, on the device", Calls, () => DeviceSignature.Sign(key, "till-1", "POST", "/v1/reports", "application/json", body, now));
        var full = new byte[ReportBatch.MaxBytes];
        Say($"sign a request of {full.Length >> 10} KiB, the largest", Calls, () => DeviceSignature.Sign(key, "till-1", "POST", "/v1/reports", "application/json", full, now));
        var headers = DeviceSignature.Sign(key, "till-1", "POST", "/v1/reports", "application/json", body, now).ToDictionary();
        Say("verify it, on the server: headers read, signature and digest compared", Calls, () => Verify(key.Public.ToString(), headers, body));
    }

    static void Verify(string signer, Dictionary<string, string> headers, byte[] body)
    {
        var digest = headers[ContentDigest.Header];
        if (!DevicePublicKey.TryParse(signer, out var known)
            || !DeviceSignature.TryRead(headers[SignatureInput.Header], headers[SignatureInput.SignatureHeader], out var input, out var signature, out _)
            || !known.Verify(input.Base(name => DeviceSignature.ValueOf(name, "POST", "/v1/reports", "application/json", digest))!, signature)
            || !ContentDigest.TryRead(digest, out var wanted) || !CryptographicOperations.FixedTimeEquals(SHA256.HashData(body), wanted))
            throw new InvalidOperationException("A good request was refused.");
    }

    static void Requests(DeviceKey key)
    {
        Say("make a request for a certificate, on the device", Calls, () => key.RequestCertificate("till-1"));
        var request = key.RequestCertificate("till-1");
        Say("read and verify it, on the server", Calls, () =>
        {
            if (!DeviceRequest.TryRead(request, out _, out var problem))
                throw new InvalidOperationException(problem);
        });
    }

    /// <summary>A whole server in this process, over TLS: the time is that of both sides, with HTTP and the database.</summary>
    static async Task ServerAsync(DeviceKey key, byte[] body)
    {
        var folder = Directory.CreateTempSubdirectory("coppice-bench-identity-").FullName;
        try
        {
            await using var plane = await ControlPlane.StartAsync(new() { Data = Path.Combine(folder, "server"), Listen = "http://127.0.0.1:0;https://127.0.0.1:0", LogLevel = LogLevel.None });
            using var plain = new HttpClient { BaseAddress = plane.Url };
            var certificate = await JoinAsync(plain, plane.First!.JoinToken.Token, key);
            using var shown = key.With(certificate);
            var context = SslStreamCertificateContext.Create(shown, null, offline: true);

            await SayAsync("TLS handshake with both certificates, both sides, no resumption", Handshakes, async () =>
            {
                using var http = Open(plane.DeviceUrl, context, resume: false);
                (await http.GetAsync("healthz")).EnsureSuccessStatusCode().Dispose();
            });
            await SayAsync("the same with a server's certificate alone", Handshakes, async () =>
            {
                using var http = Open(plane.DeviceUrl, null, resume: false);
                (await http.GetAsync("healthz")).EnsureSuccessStatusCode().Dispose();
            });
            using var connected = Open(plane.DeviceUrl, context, resume: true);
            await SayAsync("a report over an open connection, proved by its certificate, both sides, with HTTP and database", Calls, () => ReportAsync(connected, key, body, signed: false));
            using var unproved = Open(plane.DeviceUrl, null, resume: true);
            await SayAsync("the same, proved by its signature", Calls, () => ReportAsync(unproved, key, body, signed: true));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static HttpClient Open(Uri server, SslStreamCertificateContext? certificate, bool resume)
    {
#pragma warning disable CA5359 // this process's own server; what is measured is the handshake
        var handler = new SocketsHttpHandler { UseCookies = false, SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true, ClientCertificateContext = certificate, AllowTlsResume = resume } };
#pragma warning restore CA5359
        return new(handler) { BaseAddress = server };
    }

    static async Task<X509Certificate2> JoinAsync(HttpClient http, string text, DeviceKey key)
    {
        if (!JoinToken.TryParse(text, out var token))
            throw new InvalidOperationException("The server's first join token is none.");
        using var sealing = SealingKey.Create();
        var body = JsonSerializer.SerializeToUtf8Bytes(
            new("till-1", Convert.ToBase64String(key.RequestCertificate("till-1")), sealing.Public.ToString(), System.Collections.Immutable.ImmutableDictionary<string, string>.Empty) { Token = token.Secret }, DeviceMessagesContext.Default.EnrolRequest);
        using var answer = await http.SendAsync(Signed("v1/enrol", key, body));
        answer.EnsureSuccessStatusCode();
        return X509Certificate2.CreateFromPem(JsonSerializer.Deserialize(await answer.Content.ReadAsByteArrayAsync(), DeviceMessagesContext.Default.EnrolAnswer)!.Certificate!);
    }

    static HttpRequestMessage Signed(string path, DeviceKey key, byte[] body)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new ByteArrayContent(body) { Headers = { ContentType = new("application/json") } } };
        foreach (var (name, value) in DeviceSignature.Sign(key, "till-1", "POST", "/" + path, "application/json", body, DateTimeOffset.UtcNow))
            (name == ContentDigest.Header ? (System.Net.Http.Headers.HttpHeaders)request.Content.Headers : request.Headers).TryAddWithoutValidation(name, value);
        return request;
    }

    static async Task ReportAsync(HttpClient http, DeviceKey key, byte[] body, bool signed)
    {
        using var request = signed ? Signed("v1/reports", key, body) : new HttpRequestMessage(HttpMethod.Post, "v1/reports") { Content = new ByteArrayContent(body) { Headers = { ContentType = new("application/json") } } };
        using var answer = await http.SendAsync(request);
        if (answer.StatusCode != HttpStatusCode.OK)
            throw new InvalidOperationException($"A good report was answered with {(int)answer.StatusCode}: {await answer.Content.ReadAsStringAsync()}");
    }

    static void Say(string what, int count, Action call) => SayAsync(what, count, () =>
    {
        call();
        return Task.CompletedTask;
    }).GetAwaiter().GetResult();

    /// <summary>Processor time of the process for one call, the median of a few rounds: other programs may share the machine.</summary>
    static async Task SayAsync(string what, int count, Func<Task> call)
    {
        for (var i = 0; i < count; i++)
            await call();
        var rounds = new double[Rounds];
        for (var round = 0; round < Rounds; round++)
        {
            var start = Environment.CpuUsage.TotalTime;
            for (var i = 0; i < count; i++)
                await call();
            rounds[round] = (Environment.CpuUsage.TotalTime - start).TotalMicroseconds / count;
        }

        Array.Sort(rounds);
        Console.WriteLine(FormattableString.Invariant($"| {what} | {rounds[Rounds / 2]:0} µs |"));
    }
}
