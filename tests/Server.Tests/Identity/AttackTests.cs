using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Identity;
using Coppice.Trust;
using static Coppice.Protocol.ReportKind;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Identity;

/// <summary>The rows of SECURITY.md that are about devices: who tries what, and what happens.</summary>
public sealed class AttackTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await Identities.TlsServerAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    static byte[] Bytes(ReportBatch batch) => JsonSerializer.SerializeToUtf8Bytes(batch, DeviceMessagesContext.Default.ReportBatch);

    static string Escaped(X509Certificate2 certificate) => Uri.EscapeDataString(certificate.ExportCertificatePem() + "\n");

    [Fact]
    public async Task A_stolen_device_is_refused_at_its_next_call_on_a_connection_that_is_open()
    {
        var (device, certificate) = await server.JoinAsync("till-1");
        using var open = server.Showing(certificate);
        (await open.ReportAsync(Report(1, Switched))).EnsureSuccessStatusCode().Dispose();

        await server.Client.RevokeDeviceAsync("till-1", "stolen from the shop");

        Assert.Equal("/problems/device-revoked", (await open.ReportAsync().ProblemAsync(403)).Type);
        Assert.Equal("/problems/device-revoked", (await device.PostAsync(new([])).ProblemAsync(403)).Type);
        Assert.Equal("/problems/device-revoked", (await device.SendAsync("v1/renew", JsonSerializer.SerializeToUtf8Bytes(new RenewRequest(device.Request(null).Request), DeviceMessagesContext.Default.RenewRequest)).ProblemAsync(403)).Type);
        Assert.Equal("/problems/device-revoked", (await device.EnrolAsync((await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1))).Token).ProblemAsync(403)).Type);
        var known = await server.Client.GetDeviceAsync("till-1");
        Assert.Equal((DeviceState.Revoked, "stolen from the shop"), (known.State, known.RevokedWhy));
        Assert.Empty(known.Models); // no rollout waits for it
        var list = await server.Anyone.GetStringAsync("v1/authority/revoked.pem");
        var crl = CertificateRevocationListBuilder.LoadPem(list, out _);
        Assert.True(crl.RemoveEntry(Convert.FromHexString(certificate.SerialNumber)));
    }

    [Fact]
    public async Task A_device_cannot_report_for_another_by_its_certificate_or_its_signature()
    {
        var (thief, certificate) = await server.JoinAsync("till-1");
        await server.JoinAsync("till-2");

        using var shown = server.Showing(certificate);
        (await shown.ReportAsync(Report(1, Started))).EnsureSuccessStatusCode().Dispose();
        using var signedAsOther = thief.Signed("v1/reports", Bytes(new([Report(1, Started)])), name: "till-2");
        Assert.Equal("/problems/unauthorised", (await server.Anyone.SendAsync(signedAsOther).ProblemAsync(401)).Type);
        using var both = thief.Signed("v1/reports", Bytes(new([Report(2, Started)])), name: "till-2"); // a certificate and another's name in the signature
        using var answer = await shown.SendAsync(both);

        Assert.Equal([2L, 1L], (await server.Client.ListReportsAsync("till-1")).Reports.Select(kept => kept.Report.Sequence));
        Assert.Empty((await server.Client.ListReportsAsync("till-2")).Reports);
    }

    [Fact]
    public async Task A_device_that_lies_counts_as_one_however_often_it_speaks_and_changes_no_other()
    {
        await server.PublishAsync("1.0.0");
        await server.Client.StartRolloutAsync(new(RunningServer.Bearing, RunningServer.V("1.0.0"), [new(1)]) { Policy = new(1, Coppice.Rollouts.PhaseAction.Hold) });
        var (liar, _) = await server.JoinAsync("till-1");
        var (honest, _) = await server.JoinAsync("till-2");
        (await honest.PostAsync(new([Report(1, Switched), Report(2, Settled)]))).EnsureSuccessStatusCode().Dispose();

        for (var i = 0; i < 5; i++)
            (await liar.PostAsync(new([.. Enumerable.Range(1, 40).Select(n => Report((40 * i) + n, n % 2 == 0 ? Refused : TakenBack, why: "it kills"))]))).EnsureSuccessStatusCode().Dispose();
        (await liar.PostAsync(new([Report(201, Settled, rollout: "r-7"), Report(202, Settled, release: "9.9.9")]))).EnsureSuccessStatusCode().Dispose(); // of what there is not
        await server.JudgeAsync();

        var rollout = await server.RolloutAsync();
        Assert.Equal((1, 1), (rollout.Counts.Failures, rollout.Counts.Settled));
        Assert.Equal("1.0.0", Assert.Single((await server.Client.GetDeviceAsync("till-2")).Models).Serving?.ToString());
    }

    [Fact]
    public async Task A_signed_request_that_somebody_recorded_changes_nothing_when_it_is_sent_again_or_altered()
    {
        var (device, _) = await server.JoinAsync("till-1");
        var old = new ReportBatch([Report(1, Switched)], System.Collections.Immutable.ImmutableDictionary<string, string>.Empty.Add("os", "linux")) { Sending = new(1, "aaaaaaaa", server.Time.GetUtcNow()) };
        HttpRequestMessage Recorded(DateTimeOffset at) => device.Signed("v1/reports", Bytes(old), at: at);
        var at = server.Time.GetUtcNow();
        (await server.Anyone.SendAsync(Recorded(at))).EnsureSuccessStatusCode().Dispose();
        server.Time.Advance(TimeSpan.FromMinutes(1));
        await device.PostAsync(new([Report(2, Settled)], System.Collections.Immutable.ImmutableDictionary<string, string>.Empty.Add("os", "windows")) { Sending = new(2, "bbbbbbbb", server.Time.GetUtcNow()) });
        var before = await server.Client.GetDeviceAsync("till-1");
        server.Time.Advance(TimeSpan.FromMinutes(1));

        (await server.Anyone.SendAsync(Recorded(at))).EnsureSuccessStatusCode().Dispose();

        var after = await server.Client.GetDeviceAsync("till-1");
        Assert.Equal((before.LastSeen, "windows", null), (after.LastSeen, after.Facts["os"], after.Suspect));
        Assert.Equal(before.Models.AsEnumerable(), after.Models.AsEnumerable());
        using var altered = Recorded(at);
        altered.Content = new ByteArrayContent(Bytes(old with { Reports = [Report(3, TakenBack)] })) { Headers = { ContentType = new("application/json") } };
        altered.Content.Headers.TryAddWithoutValidation("Content-Digest", Coppice.Protocol.Signatures.ContentDigest.Of(Bytes(old)));
        Assert.Equal("/problems/unauthorised", (await server.Anyone.SendAsync(altered).ProblemAsync(401)).Type);
    }

    [Fact]
    public async Task A_signature_that_is_too_old_or_from_the_future_is_refused_and_the_clock_is_named()
    {
        var (device, _) = await server.JoinAsync("till-1");
        async Task<string?> Said(string path, TimeSpan off)
        {
            using var request = device.Signed(path, Bytes(new([])), at: server.Time.GetUtcNow() + off);
            var problem = await server.Anyone.SendAsync(request).ProblemAsync(401);
            Assert.Equal("/problems/clock", problem.Type);
            return problem.Detail;
        }

        Assert.Contains("ahead", await Said("v1/reports", TimeSpan.FromMinutes(6)), StringComparison.Ordinal);
        Assert.Contains("ago", await Said("v1/reports", TimeSpan.FromDays(-36)), StringComparison.Ordinal); // what a mirror kept comes within 35 days
        Assert.Contains("ago", await Said("v1/renew", TimeSpan.FromMinutes(-6)), StringComparison.Ordinal); // nothing else may be late
        using var late = device.Signed("v1/reports", Bytes(new([Report(1, Started)])), at: server.Time.GetUtcNow().AddDays(-34));
        (await server.Anyone.SendAsync(late)).EnsureSuccessStatusCode().Dispose();
    }

    [Fact]
    public async Task A_forwarded_certificate_counts_from_a_trusted_proxy_only()
    {
        var (device, certificate) = await server.JoinAsync("till-1");
        await using var behind = await Identities.TlsServerAsync(options => options with { TrustedProxies = [IPNetwork.Parse("127.0.0.0/8")] });
        var (_, own) = await behind.JoinAsync("till-1");
        HttpRequestMessage Forging(string header, string value)
        {
            var request = new HttpRequestMessage(HttpMethod.Post, "v1/reports") { Content = Answers.Json("""{"reports":[]}""") };
            request.Headers.TryAddWithoutValidation(header, value);
            return request;
        }

        foreach (var header in ForwardedCertificate.Headers)
        {
            var value = header switch
            {
                "Client-Cert" => $":{Convert.ToBase64String(certificate.RawData)}:",
                "X-SSL-Client-Cert" => Escaped(certificate),
                _ => $"Hash=0a;Cert=\"{Escaped(certificate)}\";Subject=\"CN=till-1, O=x\"",
            };
            using var forged = Forging(header, value);
            var problem = await server.Anyone.SendAsync(forged).ProblemAsync(401);
            Assert.Contains("only from a trusted proxy", problem.Detail, StringComparison.Ordinal);

            using var foreign = Forging(header, value); // through the proxy, but of another server
            Assert.Equal("/problems/certificate", (await behind.Anyone.SendAsync(foreign).ProblemAsync(401)).Type);
            using var passed = Forging(header, value.Replace(Escaped(certificate), Escaped(own), StringComparison.Ordinal).Replace(Convert.ToBase64String(certificate.RawData), Convert.ToBase64String(own.RawData), StringComparison.Ordinal));
            using var answer = await behind.Anyone.SendAsync(passed);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        Assert.Empty((await server.Client.GetDeviceAsync(device.Id)).Models);
    }

    [Fact]
    public async Task Of_several_forwarded_certificates_the_nearest_proxys_counts()
    {
        await using var behind = await Identities.TlsServerAsync(options => options with { TrustedProxies = [IPNetwork.Parse("127.0.0.1/32")] });
        var (_, one) = await behind.JoinAsync("till-1");
        var (_, two) = await behind.JoinAsync("till-2");
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/reports") { Content = new ByteArrayContent(Bytes(new([Report(1, Started)]))) { Headers = { ContentType = new("application/json") } } };
        request.Headers.TryAddWithoutValidation("X-Forwarded-Client-Cert", $"Cert=\"{Escaped(one)}\",By=x;Cert=\"{Escaped(two)}\"");

        (await behind.Anyone.SendAsync(request)).EnsureSuccessStatusCode().Dispose();

        Assert.Empty((await behind.Client.ListReportsAsync("till-1")).Reports);
        Assert.Single((await behind.Client.ListReportsAsync("till-2")).Reports);
    }

    [Fact]
    public async Task A_body_beyond_the_limit_is_refused_whatever_proves_the_device()
    {
        var (device, certificate) = await server.JoinAsync("till-1");
        using var shown = server.Showing(certificate);
        var large = Bytes(new([Report(1, Refused, why: new('x', ReportBatch.MaxBytes))]));

        Assert.Equal("/problems/too-large", (await device.SendAsync("v1/reports", large).ProblemAsync(413)).Type);
        Assert.Equal("/problems/too-large", (await shown.PostAsync("v1/reports", new ByteArrayContent(large) { Headers = { ContentType = new("application/json") } }).ProblemAsync(413)).Type);
        Assert.Equal("/problems/too-large", (await shown.PostAsync("v1/renew", new ByteArrayContent(large) { Headers = { ContentType = new("application/json") } }).ProblemAsync(413)).Type);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_cloned_device_is_noticed_when_both_have_spoken_and_flagged_and_refused_where_policy_says(bool quarantine)
    {
        await using var server = await Identities.TlsServerAsync(options => options with { QuarantineSuspects = quarantine });
        var device = await server.EnrolAsync("till-1");
        async Task<HttpResponseMessage> SayAsync(long number, string nonce)
        {
            server.Time.Advance(TimeSpan.FromSeconds(10));
            return await device.PostAsync(new([]) { Sending = new(number, nonce, server.Time.GetUtcNow()) });
        }

        (await SayAsync(1, "original")).EnsureSuccessStatusCode().Dispose();
        (await SayAsync(2, "original")).EnsureSuccessStatusCode().Dispose(); // here the folder is copied
        (await SayAsync(3, "original")).EnsureSuccessStatusCode().Dispose();
        Assert.Null((await server.Client.GetDeviceAsync("till-1")).Suspect);
        (await SayAsync(3, "thecopy-")).EnsureSuccessStatusCode().Dispose();

        var known = await server.Client.GetDeviceAsync("till-1");
        Assert.Equal(("cloned", server.Time.GetUtcNow()), (known.Suspect, known.SuspectSince));
        Assert.Contains("another installation", Assert.Single(await server.EventsAsync(EventKind.DeviceSuspected)).Why, StringComparison.Ordinal);
        using var next = await SayAsync(4, "original");
        Assert.Equal(quarantine ? HttpStatusCode.Forbidden : HttpStatusCode.OK, next.StatusCode);

        await server.Client.ClearDeviceAsync("till-1");
        (await SayAsync(5, "original")).EnsureSuccessStatusCode().Dispose();
        Assert.Null((await server.Client.GetDeviceAsync("till-1")).Suspect);
        Assert.Single(await server.EventsAsync(EventKind.DeviceCleared));
    }

    [Fact]
    public async Task A_stolen_join_token_lets_in_as_many_as_it_was_made_for_and_replaces_nobody()
    {
        await server.EnrolAsync("till-1");
        var token = (await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1))).Token;

        Assert.Equal("/problems/device-known", (await new TestDevice(server, "till-1").EnrolAsync(token).ProblemAsync(409)).Type);
        await new TestDevice(server, "thief-1").JoinAsync(token);
        Assert.Equal("/problems/join-token", (await new TestDevice(server, "thief-2").EnrolAsync(token).ProblemAsync(401)).Type);
        Assert.Equal("till-1 thief-1", string.Join(' ', (await server.EventsAsync(EventKind.DeviceEnrolled)).Select(said => said.Device))); // and it is on record
    }

    [Fact]
    public async Task An_enrolment_that_somebody_recorded_or_signed_for_another_opens_nothing()
    {
        var token = (await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 5))).Token;
        var device = new TestDevice(server, "till-1");
        var body = JsonSerializer.SerializeToUtf8Bytes(device.Request(token), DeviceMessagesContext.Default.EnrolRequest);
        using var thief = DeviceKey.Create();

        using var byAnother = device.Signed("v1/enrol", body, key: thief);
        Assert.Equal("/problems/unauthorised", (await server.Anyone.SendAsync(byAnother).ProblemAsync(401)).Type);
        using var asAnother = device.Signed("v1/enrol", body, name: "till-2");
        Assert.Contains("signed as 'till-2'", (await server.Anyone.SendAsync(asAnother).ProblemAsync(401)).Detail, StringComparison.Ordinal);
        Assert.Equal("/problems/unauthorised", (await server.Anyone.PostAsync("v1/enrol", new ByteArrayContent(body) { Headers = { ContentType = new("application/json") } }).ProblemAsync(401)).Type);
        using var old = device.Signed("v1/enrol", body, at: server.Time.GetUtcNow().AddMinutes(-6));
        Assert.Equal("/problems/clock", (await server.Anyone.SendAsync(old).ProblemAsync(401)).Type);
        Assert.Empty((await server.Client.ListDevicesAsync()).Devices);
    }

    [Fact]
    public void Whatever_a_forwarded_header_or_a_certificate_holds_it_is_read_or_refused_within_bounded_memory()
    {
        var cases = int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "5000", CultureInfo.InvariantCulture);
        var now = server.Time.GetUtcNow();
        var authorities = server.Get<Authorities>();
        using var key = DeviceKey.Create();
        using var certificate = authorities.Current.IssueDevice("till-1", key.Public, now, TimeSpan.FromDays(1));
        Assert.True(authorities.TryVerify(certificate, now, out _, out _));
        (string Name, string Value)[] headers =
        [
            ("Client-Cert", $":{Convert.ToBase64String(certificate.RawData)}:"), ("X-SSL-Client-Cert", Escaped(certificate)), ("X-Forwarded-Client-Cert", $"By=\"a\\\"b\";Cert=\"{Escaped(certificate)}\""),
        ];
        foreach (var (name, value) in headers)
            Assert.True(ForwardedCertificate.TryRead(name, value, out var der) && der.SequenceEqual(certificate.RawData), name);
        var random = new Random(9440);
        int read = 0, proved = 0;
        for (var i = 0; i < cases; i++)
        {
            var (name, value) = headers[i % headers.Length];
            var spoilt = Mutated(value, random);
            var most = 400_000 + (20 * spoilt.Length);
            // The platform reads its own stores of certificates again every few minutes, whoever asks; what a caller causes comes each time.
            Assert.True(Allocated(name, spoilt) < most || Allocated(name, spoilt) < most, $"case {i}: {spoilt}");
        }

        long Allocated(string name, string spoilt)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            if (ForwardedCertificate.TryRead(name, spoilt, out var der))
            {
                read++;
                try
                {
                    using var found = X509CertificateLoader.LoadCertificate(der);
                    if (authorities.TryVerify(found, now, out var device, out var problem))
                    {
                        proved++;
                        Assert.Equal(("till-1", key.Public), (device.Device, device.Key));
                    }
                    else
                        Assert.NotEmpty(problem);
                }
                catch (System.Security.Cryptography.CryptographicException) // as the caller expects
                {
                }
            }

            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.True(read > cases / 10 && proved < cases * 9 / 10, $"{read} read, {proved} proved of {cases}");
    }

    static string Mutated(string text, Random random)
    {
        var built = new StringBuilder(text);
        for (var changes = random.Next(4); changes > 0 && built.Length > 0; changes--)
        {
            var at = random.Next(built.Length);
            switch (random.Next(4))
            {
                case 0:
                    built[at] = "ABCabc019+/=%:\"\\;, \n\0é"[random.Next(21)];
                    break;
                case 1:
                    built.Remove(at, Math.Min(1 + random.Next(30), built.Length - at));
                    break;
                case 2:
                    built.Insert(at, random.Next(20) == 0 ? new string('A', 30_000) : "%2");
                    break;
                default:
                    built.Insert(at, text);
                    break;
            }
        }

        return built.ToString();
    }
}
