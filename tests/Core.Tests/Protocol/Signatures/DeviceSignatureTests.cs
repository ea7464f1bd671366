using System.Globalization;
using System.Text;
using Coppice.Protocol.Signatures;
using Coppice.Trust;

namespace Coppice.Core.Tests.Protocol.Signatures;

public sealed class DeviceSignatureTests : IDisposable
{
    static readonly DateTimeOffset Now = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);
    static readonly byte[] Body = """{"reports":[]}"""u8.ToArray();

    readonly DeviceKey key = DeviceKey.Create();

    static int Cases => int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    public void Dispose() => key.Dispose();

    Dictionary<string, string> Sign(string path = "/v1/reports") =>
        DeviceSignature.Sign(key, "till-1", "POST", path, "application/json", Body, Now).ToDictionary();

    bool Verifies(Dictionary<string, string> headers, string method = "POST", string target = "/v1/reports", string type = "application/json") =>
        DeviceSignature.TryRead(headers["Signature-Input"], headers["Signature"], out var input, out var signature, out _)
        && input.Base(name => DeviceSignature.ValueOf(name, method, target, type, headers["Content-Digest"])) is { } signed
        && key.Public.Verify(signed, signature);

    /// <summary>RFC 9421, appendix B.2.4: a response signed with ecdsa-p256-sha256 by the key of B.1.3.</summary>
    [Fact]
    public void The_published_signature_of_RFC_9421_with_P256_verifies()
    {
        const string Info = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==";
        var message = new Dictionary<string, string>
        {
            ["@status"] = "200",
            ["content-type"] = "application/json",
            ["content-digest"] = "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
            ["content-length"] = "23",
        };
        Assert.True(DevicePublicKey.TryParse(Info, out var published));
        Assert.True(SignatureInput.TryRead(
            """sig-b24=("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256" """.TrimEnd(),
            "sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==:",
            "sig-b24", out var input, out var signature));

        Assert.True(published.Verify(input.Base(message.GetValueOrDefault)!, signature));
        Assert.Equal((1618884473, "test-key-ecc-p256"), (input.Created!.Value, input.KeyId));
        message["content-length"] = "24";
        Assert.False(published.Verify(input.Base(message.GetValueOrDefault)!, signature));
    }

    [Fact]
    public void A_signature_is_over_method_path_query_type_and_body_and_over_its_own_parameters()
    {
        var headers = Sign("/v1/reports?a=1");
        Assert.True(Verifies(headers, target: "/v1/reports?a=1"));

        Assert.False(Verifies(headers, method: "PUT", target: "/v1/reports?a=1"));
        Assert.False(Verifies(headers, target: "/v1/renew?a=1"));
        Assert.False(Verifies(headers, target: "/v1/reports?a=2"));
        Assert.False(Verifies(headers, target: "/v1/reports?a=1", type: "text/plain"));
        foreach (var (from, to) in new[] { ("till-1", "till-2"), ("created=17", "created=27") })
            Assert.False(Verifies(new(headers) { ["Signature-Input"] = headers["Signature-Input"].Replace(from, to, StringComparison.Ordinal) }, target: "/v1/reports?a=1"));
        Assert.False(Verifies(new(headers) { ["Content-Digest"] = ContentDigest.Of("other"u8) }, target: "/v1/reports?a=1"));
        Assert.True(ContentDigest.TryRead(headers["Content-Digest"], out var digest));
        Assert.Equal(System.Security.Cryptography.SHA256.HashData(Body), digest);
    }

    [Theory]
    [InlineData("\"@method\" ", "", "must cover")] // less than all is signed
    [InlineData(";tag=\"coppice-device\"", "", "not tagged")]
    [InlineData("coppice-device", "coppice-other", "not tagged")]
    [InlineData("ecdsa-p256-sha256", "hmac-sha256", "not tagged")]
    [InlineData("device=(", "other=(", "cannot be read")]
    [InlineData("till-1", "Till 1", "device's id")]
    [InlineData(";keyid=\"till-1\"", "", "device's id")]
    [InlineData("created=", "expires=", "cannot be read")] // what is not heeded is not taken
    [InlineData("\"@path\"", "\"@path\";req", "cannot be read")]
    public void A_signature_that_leaves_something_out_is_refused_before_anything_is_verified(string from, string to, string why)
    {
        var headers = Sign();

        Assert.False(DeviceSignature.TryRead(headers["Signature-Input"].Replace(from, to, StringComparison.Ordinal), headers["Signature"], out _, out _, out var problem));
        Assert.Contains(why, problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, null)]
    [InlineData(-300, null)]
    [InlineData(300, null)]
    [InlineData(-301, "ago")]
    [InlineData(301, "ahead")]
    [InlineData(999_999_999_999_999 - 1_795_000_000, "ahead")]
    public void A_clock_may_be_five_minutes_off_and_what_is_beyond_is_said(long seconds, string? why)
    {
        var problem = DeviceSignature.TimeProblem(Now.ToUnixTimeSeconds() + seconds, Now, DeviceSignature.ClockTolerance);

        if (why is null)
            Assert.Null(problem);
        else
            Assert.Contains(why, problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_the_headers_hold_reading_them_ends_in_a_signature_or_a_reason_within_bounded_memory()
    {
        var headers = Sign();
        var random = new Random(9421);
        var read = 0;
        for (var i = 0; i < Cases; i++)
        {
            var (input, signature, digest) = (Mutated(headers["Signature-Input"], random), random.Next(3) == 0 ? Mutated(headers["Signature"], random) : headers["Signature"], Mutated(headers["Content-Digest"], random));
            var before = GC.GetAllocatedBytesForCurrentThread();
            if (DeviceSignature.TryRead(input, signature, out var found, out _, out var problem))
            {
                read++;
                Assert.True(DeviceRequest.IsDevice(found.KeyId), $"case {i}: {input}");
                Assert.NotNull(found.Base(name => DeviceSignature.ValueOf(name, "POST", "/v1/reports", "application/json", "d")));
                DeviceSignature.TimeProblem(found.Created!.Value, Now, DeviceSignature.ClockTolerance);
            }
            else
                Assert.NotEmpty(problem);
            ContentDigest.TryRead(digest, out _);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 60_000 + (20 * (input.Length + signature.Length + digest.Length)), $"case {i}: {input}");
        }

        Assert.InRange(read, Cases / 100, Cases * 9 / 10);
    }

    static readonly string[] Odd = ["\"", "(", ")", ";", ",", "=", ":", " ", "\t", "\\", "é", "\0", "created=999999999999999", "device=", "\"@method\"", new('x', 5000), new('(', 300)];

    static string Mutated(string text, Random random)
    {
        var built = new StringBuilder(text);
        for (var changes = random.Next(3); changes > 0; changes--)
        {
            var at = random.Next(built.Length + 1);
            switch (random.Next(4))
            {
                case 0 when built.Length > 0:
                    built.Remove(Math.Min(at, built.Length - 1), Math.Min(1 + random.Next(8), built.Length - Math.Min(at, built.Length - 1)));
                    break;
                case 1 when at < built.Length:
                    built[at] = (char)random.Next(1, 300);
                    break;
                case 2:
                    built.Length = at;
                    break;
                default:
                    built.Insert(at, Odd[random.Next(Odd.Length)]);
                    break;
            }
        }

        return built.ToString();
    }
}
