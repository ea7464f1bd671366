using System.Diagnostics;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.RegularExpressions;
using Coppice.Cli.Quickstart;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Tests;
using Coppice.Trust;

namespace Coppice.EndToEnd;

/// <summary>
/// docs/guides/devices.md, command by command as it is written, against a server that takes reports by certificates alone: so each device that has reported has proved
/// itself by one, directly or through nginx with the guide's own configuration.
/// </summary>
public sealed partial class DevicesGuideTests : IAsyncLifetime
{
    readonly int tlsPort = Nginx.FreePort();
    readonly Dictionary<string, ChildProcess> processes = [];
    readonly ECDsa plantKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    X509Certificate2 plantRoot = null!;
    Nginx? nginx;
    Site site = null!;
    string pin = "";
    string token = "";

    public async Task InitializeAsync()
    {
        var request = new CertificateRequest("CN=Plant root", plantKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        plantRoot = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
        if (!OperatingSystem.IsWindows())
            site = await Site.StartAsync("--listen", $"https://127.0.0.1:{tlsPort}", "--trust-proxy", "127.0.0.9", "--require-certificates");
    }

    public async Task DisposeAsync()
    {
        foreach (var process in processes.Values)
            await process.DisposeAsync();
        if (nginx is not null)
            await nginx.DisposeAsync();
        if (site is not null)
            await site.DisposeAsync();
        plantRoot.Dispose();
        plantKey.Dispose();
    }

    /// <summary>The page's commands, in its order: lines of blocks, and cells of tables.</summary>
    static List<string> Guide(out string proxy)
    {
        var page = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "guides", "devices.md"));
        proxy = Block().Matches(page).Single(block => block.Groups[1].Value == "nginx").Groups[2].Value;
        return [.. Command().Matches(page).Select(found => found.Groups[1].Success ? found.Groups[1].Value : found.Groups[2].Value)];
    }

    static string Csv() => Block().Matches(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "guides", "devices.md"))).Select(block => block.Groups[2].Value).Single(text => text.StartsWith("device,", StringComparison.Ordinal));

    [GeneratedRegex("^```([a-z]*)\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();

    [GeneratedRegex(@"^(coppice [^\n]*)$|(?<=\|[^\n]*)`(coppice [^`]*)`(?=[^\n]*\|)", RegexOptions.Multiline)]
    private static partial Regex Command();

    [Fact]
    public async Task Every_command_of_the_guide_does_what_the_page_says_with_certificates_directly_and_through_nginx()
    {
        if (OperatingSystem.IsWindows())
            return; // the page is for a POSIX shell
        var commands = Guide(out var proxy);
        pin = (await RunAsync("coppice ca list")).Split(' ', '\n').Last(word => Sha256Digest.TryParse(word, out _));
        foreach (var line in commands)
            await TryAsync(line, proxy);
        Assert.InRange(commands.Count, 15, 40);

        await ProvedAsync("till-3"); // it waited for the operator, and for its time to ask again
        Assert.Equal("oslo", (await site.Control.GetDeviceAsync("till-3")).Labels["site"]);
        await Assert.ThrowsAsync<ControlException>(() => site.Control.GetDeviceAsync("till-4"));
        var events = (await site.Control.ListEventsAsync(limit: 500)).Events.Select(said => said.Kind).ToHashSet();
        HashSet<EventKind> wanted = [EventKind.DeviceEnrolled, EventKind.DeviceAccepted, EventKind.DeviceRejected, EventKind.DeviceRevoked, EventKind.DeviceReplaced, EventKind.DeviceSuspected, EventKind.DeviceCleared, EventKind.AuthorityChanged];
        Assert.Superset(wanted, events);
    }

    async Task TryAsync(string line, string proxy)
    {
        switch (line)
        {
            case var create when create.StartsWith("coppice join-token create", StringComparison.Ordinal):
                token = (await RunAsync(create)).Split('\n')[0];
                Assert.True(JoinToken.TryParse(token, out var made) && made.Authority.ToString() == pin, token);
                break;
            case var agent when agent.StartsWith("coppice agent --server", StringComparison.Ordinal):
                var words = agent.Replace("https://coppice.example:8443", $"https://127.0.0.1:{tlsPort}", StringComparison.Ordinal)
                    .Replace("cpj_…", token, StringComparison.Ordinal).Replace("/var/lib/coppice-agent", site.PathOf("till-0"), StringComparison.Ordinal).Split(' ');
                processes["till-0"] = ChildProcess.Start(Site.Program, Variables(), [.. words.Skip(1), "--name", "till-0", "--json"]);
                await ProvedAsync("till-0");
                Assert.Equal("oslo", (await site.Control.GetDeviceAsync("till-0")).Labels["site"]);
                await ThroughAMirrorAsync();
                break;
            case var list when list.StartsWith("coppice device list --server", StringComparison.Ordinal):
                var overTls = list.Replace("https://coppice.example:8443", $"https://127.0.0.1:{tlsPort}", StringComparison.Ordinal);
                using (var http = new HttpClient())
                    await File.WriteAllBytesAsync(site.PathOf("roots.pem"), await http.GetByteArrayAsync(new Uri(site.Url, "v1/authority/roots.pem")));
                Assert.Contains("till-0", await RunAsync(overTls), StringComparison.Ordinal);
                await File.WriteAllTextAsync(site.PathOf("others.pem"), plantRoot.ExportCertificatePem());
                foreach (var roots in (string[][])[["--roots", site.PathOf("others.pem")], []])
                {
                    var (exit, errors) = await site.RunAsync(["device", "list", "--server", $"https://127.0.0.1:{tlsPort}", .. roots]);
                    Assert.NotEqual(0, exit);
                    Assert.Contains("certificate", errors, StringComparison.OrdinalIgnoreCase);
                }

                break;
            case "coppice device authorise devices.csv":
                await RunAsync("coppice agent sealing-key --data till-2 --name till-2"); // the keys are made at the first need
                var key = (await RunAsync("coppice agent status --data till-2")).Split(' ', ',', '\n').First(word => Sha256Digest.TryParse(word, out _));
                await File.WriteAllTextAsync(site.PathOf("devices.csv"), Csv().Replace("3f0c8a…64 hexadecimal digits", key, StringComparison.Ordinal).Replace("91bb07…64 hexadecimal digits", Sha256Digest.Of("bergen"u8).ToString(), StringComparison.Ordinal));
                await RunAsync(line);
                foreach (var device in (string[])["till-1", "till-2"])
                {
                    StartUnknown(device);
                    await ProvedAsync(device);
                }

                break;
            case "coppice device authorise":
                Assert.Contains(Sha256Digest.Of("bergen"u8).ToString(), await RunAsync(line), StringComparison.Ordinal);
                break;
            case "coppice device pending":
                StartUnknown("till-3");
                StartUnknown("till-4");
                await Site.UntilAsync(async () => (await site.Control.ListWaitingAsync()).Devices.Length == 2, "two devices wait");
                Assert.Contains("till-4", await RunAsync(line), StringComparison.Ordinal);
                break;
            case "coppice device reject till-4":
                await RunAsync(line);
                await ThroughNginxAsync(proxy);
                break;
            case "coppice ca import chain.pem":
                await CertifyAsync();
                await RunAsync(line);
                await RunAsync("coppice ca rotate");
                await AgainAsync("till-0"); // it knows only the server's first authority
                break;
            case var revoke when revoke.StartsWith("coppice device revoke till-1", StringComparison.Ordinal):
                await RunAsync(line);
                await processes["till-1"].EventAsync(told => told.GetRawText().Contains("device-revoked", StringComparison.Ordinal), "be refused", Site.Patience, CancellationToken.None);
                Assert.Equal((DeviceState.Revoked, "stolen"), await site.Control.GetDeviceAsync("till-1") is var thief ? (thief.State, thief.RevokedWhy) : default);
                break;
            case "coppice device replace till-1":
                var before = await site.Control.GetDeviceAsync("till-1");
                Start("till-1", "till-1-new", "--server", $"https://127.0.0.1:{tlsPort}", "--join", (await RunAsync(line)).Split('\n')[0]);
                await Site.UntilAsync(async () => (await site.Control.GetDeviceAsync("till-1")) is { State: DeviceState.Enrolled } now && now.Key != before.Key && now.LastSeen > before.LastSeen, "the new device in the old one's place");
                Assert.Equal("oslo", (await site.Control.GetDeviceAsync("till-1")).Labels["site"]);
                break;
            case "coppice device retire till-1":
                await RunAsync(line);
                Assert.Equal(DeviceState.Retired, (await site.Control.GetDeviceAsync("till-1")).State);
                break;
            case "coppice device list":
                await CloneAsync("till-2");
                Assert.Contains("suspect: cloned", await RunAsync(line), StringComparison.Ordinal);
                break;
            case "coppice device accept till-1":
                await RunAsync(line.Replace("till-1", "till-2", StringComparison.Ordinal)); // till-1 is gone for good by now
                Assert.Null((await site.Control.GetDeviceAsync("till-2")).Suspect);
                break;
            default: // accept till-3, ca request, list --state silent, list --state STATE
                await RunAsync(line.Replace("STATE", "enrolled", StringComparison.Ordinal));
                break;
        }
    }

    /// <summary>A device that comes without a token: by the list, or by an operator's word.</summary>
    void StartUnknown(string name) => Start(name, name, "--server", $"https://127.0.0.1:{tlsPort}", "--root", Root(), "--authority", pin);

    string Root() => Sha256Digest.Of(File.ReadAllBytes(site.PathOf("server", "repository", "metadata", "1.root.json"))).ToString();

    ChildProcess Start(string name, string folder, params string[] more) => processes[folder] =
        ChildProcess.Start(Site.Program, Variables(), ["agent", "--data", site.PathOf(folder), "--name", name, "--model", "plant/bearing", "--poll", "1m", "--check-in", "1s", "--json", .. more]);

    /// <summary>Starts a device's agent again, with nothing but what its folder holds.</summary>
    async Task AgainAsync(string name)
    {
        await processes[name].TerminateAsync(CancellationToken.None);
        await processes[name].DisposeAsync();
        var seen = (await site.Control.GetDeviceAsync(name)).LastSeen;
        Start(name, name, "--server", $"https://127.0.0.1:{tlsPort}");
        await Site.UntilAsync(async () => (await site.Control.GetDeviceAsync(name)).LastSeen > seen, $"{name} heard of again");
    }

    /// <summary>Waits until the server has taken a report of a device.</summary>
    Task ProvedAsync(string name) => Site.UntilAsync(async () =>
    {
        try
        {
            var device = await site.Control.GetDeviceAsync(name);
            return device.LastSeen > device.EnrolledAt;
        }
        catch (ControlException e) when (e.Problem.Status == 404) // not yet
        {
            return false;
        }
    }, $"{name} proved itself");

    /// <summary>A mirror that knows the server by its authority carries a device's enrolment, which the device signed, and cannot do more: reports want a certificate here.</summary>
    async Task ThroughAMirrorAsync()
    {
        var mirror = processes["mirror"] = ChildProcess.Start(Site.Program, Variables(), "mirror", "--upstream", $"https://127.0.0.1:{tlsPort}", "--authority", pin, "--root", Root(), "--data", site.PathOf("mirror"), "--listen", "http://127.0.0.1:0", "--json");
        var address = (await mirror.EventAsync(told => told.TryGetProperty("url", out _), "mirror", Site.Patience, CancellationToken.None)).GetProperty("url").GetString()!;
        var device = Start("till-7", "till-7", "--server", address, "--join", token);
        await device.EventAsync(told => told.GetRawText().Contains("problems/certificate", StringComparison.Ordinal), "be asked for its certificate", Site.Patience, CancellationToken.None);
        Assert.Equal(DeviceState.Enrolled, (await site.Control.GetDeviceAsync("till-7")).State);
        await device.KillAsync();
        await mirror.KillAsync();
    }

    /// <summary>The guide's configuration, with this test's paths and ports; the proxy's certificate is of a root that this machine's devices take for a public one.</summary>
    async Task ThroughNginxAsync(string proxy)
    {
        var (folder, port) = (Directory.CreateTempSubdirectory("coppice-proxy-").FullName, Nginx.FreePort());
        using (var http = new HttpClient { BaseAddress = site.Url })
        {
            foreach (var name in (string[])["issuers.pem", "revoked.pem"])
                await File.WriteAllTextAsync(Path.Combine(folder, name), await http.GetStringAsync($"v1/authority/{name}"));
        }

        using (var key = ECDsa.Create(ECCurve.NamedCurves.nistP256))
        {
            var request = new CertificateRequest("CN=proxy", key, HashAlgorithmName.SHA256);
            var names = new SubjectAlternativeNameBuilder();
            names.AddDnsName("localhost");
            request.CertificateExtensions.Add(names.Build());
            using var certificate = request.Create(plantRoot, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(10), [7]);
            await File.WriteAllTextAsync(Path.Combine(folder, "site.pem"), certificate.ExportCertificatePem() + "\n");
            await File.WriteAllTextAsync(Path.Combine(folder, "site.key"), key.ExportPkcs8PrivateKeyPem() + "\n");
        }

        var server = proxy.Replace("listen 8443 ssl;", $"listen 127.0.0.1:{port} ssl; ssl_crl {folder}/revoked.pem;", StringComparison.Ordinal).Replace("/etc/nginx", folder, StringComparison.Ordinal)
            .Replace("proxy_pass http://127.0.0.1:8420;", $"proxy_bind 127.0.0.9; proxy_pass {site.Url.GetLeftPart(UriPartial.Authority)};", StringComparison.Ordinal);
        Assert.Contains("proxy_bind", server, StringComparison.Ordinal);
        nginx = await Nginx.StartAsync(folder, port, server);
        await File.WriteAllTextAsync(site.PathOf("plant-root.pem"), plantRoot.ExportCertificatePem() + "\n");
        var open = (await RunAsync("coppice join-token create --public-tls")).Split('\n')[0];
        Assert.True(JoinToken.TryParse(open, out var read) && read.Authority is null, open);
        processes["till-6"] = ChildProcess.Start(
            Site.Program, new Dictionary<string, string>(Variables()) { ["SSL_CERT_FILE"] = site.PathOf("plant-root.pem") },
            "agent", "--data", site.PathOf("till-6"), "--name", "till-6", "--model", "plant/bearing", "--poll", "1m", "--check-in", "1s", "--json", "--server", $"https://localhost:{port}", "--join", open);
        await ProvedAsync("till-6");
        await processes["till-6"].KillAsync();

        // The same header from somebody who is no proxy, beside the certificate's own device: not taken.
        using var forger = new HttpClient { BaseAddress = site.Url };
        using var forged = new HttpRequestMessage(HttpMethod.Post, "v1/reports") { Content = new StringContent("""{"reports":[]}""", System.Text.Encoding.UTF8, "application/json") };
        forged.Headers.TryAddWithoutValidation("X-SSL-Client-Cert", Uri.EscapeDataString(X509Certificate2.CreateFromPem(await File.ReadAllTextAsync(site.PathOf("till-6", "device.pem"))).ExportCertificatePem() + "\n"));
        using var refused = await forger.SendAsync(forged);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        Assert.Contains("only from a trusted proxy", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    /// <summary>What an authority elsewhere does with the server's request.</summary>
    async Task CertifyAsync()
    {
        var asked = CertificateRequest.LoadSigningRequestPem(await File.ReadAllTextAsync(site.PathOf("coppice.csr")), HashAlgorithmName.SHA256, CertificateRequestLoadOptions.UnsafeLoadCertificateExtensions);
        using var issued = asked.Create(plantRoot, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(20), [8]);
        await File.WriteAllTextAsync(site.PathOf("chain.pem"), issued.ExportCertificatePem() + "\n" + plantRoot.ExportCertificatePem() + "\n");
    }

    /// <summary>Copies a device's folder and runs both, until the server has noticed; then the copy is gone.</summary>
    async Task CloneAsync(string name)
    {
        await processes[name].TerminateAsync(CancellationToken.None);
        await processes[name].DisposeAsync();
        Directory.CreateDirectory(site.PathOf("copy"));
        foreach (var file in Directory.EnumerateFiles(site.PathOf(name)))
            File.Copy(file, Path.Combine(site.PathOf("copy"), Path.GetFileName(file)));
        Start(name, name, "--server", $"https://127.0.0.1:{tlsPort}");
        var copy = Start(name, "copy", "--server", $"https://127.0.0.1:{tlsPort}");
        await Site.UntilAsync(async () => (await site.Control.GetDeviceAsync(name)).Suspect == "cloned", "the copy was noticed");
        await copy.KillAsync();
    }

    Dictionary<string, string> Variables() => new() { ["XDG_CONFIG_HOME"] = site.PathOf("config"), ["COPPICE_SERVER"] = site.Url.ToString(), ["COPPICE_TOKEN"] = "@" + site.PathOf("server", "admin.token") };

    async Task<string> RunAsync(string line)
    {
        var start = new ProcessStartInfo("bash", ["-c", line]) { WorkingDirectory = site.Folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in Variables())
            start.Environment[name] = value;
        start.Environment["PATH"] = Path.GetDirectoryName(Site.Program) + ":" + start.Environment["PATH"];
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var said = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{line}\nended with {process.ExitCode}:\n{said}\n{await errors}");
        return said;
    }
}
