using System.Net.Http.Json;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Coppice.Protocol;

namespace Coppice.Server.Tests.Identity;

/// <summary>Servers that speak TLS, and devices that show certificates.</summary>
static class Identities
{
    public static Task<RunningServer> TlsServerAsync(Func<ControlPlaneOptions, ControlPlaneOptions>? with = null, FakeTime? time = null) =>
        RunningServer.StartAsync(options => (with?.Invoke(options) ?? options) with { Listen = "http://127.0.0.1:0;https://127.0.0.1:0" }, time: time);

    /// <summary>A client that shows a certificate; whom it talks to is tested elsewhere.</summary>
    public static HttpClient Showing(this RunningServer server, X509Certificate2? certificate)
    {
#pragma warning disable CA5359 // this machine's own server; what is tested is whom it believes
        var handler = new SocketsHttpHandler { UseCookies = false, SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true } };
#pragma warning restore CA5359
        if (certificate is not null)
            handler.SslOptions.ClientCertificateContext = SslStreamCertificateContext.Create(certificate, null, offline: true);
        return new(handler) { BaseAddress = server.Plane.DeviceUrl };
    }

    /// <summary>The certificate of an answer, with the device's key.</summary>
    public static X509Certificate2 Certificate(this TestDevice device, string? pem)
    {
        using var certificate = X509Certificate2.CreateFromPem(pem);
        return device.Key.With(certificate);
    }

    public static async Task<(TestDevice Device, X509Certificate2 Certificate)> JoinAsync(this RunningServer server, string id)
    {
        var device = new TestDevice(server, id);
        var answer = await device.JoinAsync((await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1))).Token);
        return (device, device.Certificate(answer.Certificate));
    }

    /// <summary>A report without a signature: what counts is the certificate.</summary>
    public static Task<HttpResponseMessage> ReportAsync(this HttpClient http, params Report[] reports) =>
        http.PostAsJsonAsync("v1/reports", new ReportBatch([.. reports]), DeviceMessagesContext.Default.ReportBatch);

    public static async Task<ControlEvent[]> EventsAsync(this RunningServer server, params EventKind[] kinds) =>
        [.. (await server.Client.ListEventsAsync(limit: 500)).Events.Where(said => kinds.Contains(said.Kind))];
}
