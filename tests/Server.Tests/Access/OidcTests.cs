using System.Buffers.Text;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Tests;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Access;

/// <summary>Against node-oidc-provider in a process of its own.</summary>
public sealed class OidcTests : IAsyncLifetime
{
    readonly HttpClient http = new();
    Peer provider = null!;
    RunningServer server = null!;

    string Issuer => provider.Ready.GetProperty("url").GetString()!;

    public async Task InitializeAsync()
    {
        provider = await Peer.StartAsync("identity-provider.mjs");
        server = await StartAsync(options => options with
        {
            Oidc = new(Issuer, "coppice", "coppice") { Groups = [new("ops", Role.Operator) { Models = "plant/*" }, new("admins", Role.Admin)] },
        });
    }

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        await provider.DisposeAsync();
        http.Dispose();
    }

    /// <summary>An ID token of the provider for somebody who signed in there with a code. Moves the server's clock to when it was made.</summary>
    async Task<string> TokenAsync(string login, string client = "coppice")
    {
        async Task<JsonElement> AskAsync(string path, params (string, string)[] form) => await (await http.PostAsync(Issuer + path, new FormUrlEncodedContent(form.Select(part => KeyValuePair.Create(part.Item1, part.Item2))))).Content.ReadFromJsonAsync<JsonElement>();
        var begun = await AskAsync("/device/auth", ("client_id", client), ("scope", "openid email groups"));
        using (var person = new WebPerson(login))
            Assert.Contains("Sign-in Success", await person.GoAsync(begun.GetProperty("verification_uri_complete").GetString()!));
        var answer = await AskAsync("/token", ("client_id", client), ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", begun.GetProperty("device_code").GetString()!));
        var token = answer.GetProperty("id_token").GetString()!;
        var made = DateTimeOffset.FromUnixTimeSeconds(Part(token, 1)["iat"]!.GetValue<long>());
        server.Time.Advance(made - server.Time.GetUtcNow());
        return token;
    }

    static JsonObject Part(string token, int at) => JsonNode.Parse(Base64Url.DecodeFromChars(token.Split('.')[at]))!.AsObject();

    static string Encoded(JsonObject part) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(part.ToJsonString()));

    async Task<WhoAmI> MeAsync(string token)
    {
        using var client = new CoppiceClient(server.Plane.Url, token);
        return await client.GetMeAsync();
    }

    async Task<string> RefusedAsync(string token)
    {
        using var client = new HttpClient { BaseAddress = server.Plane.Url, DefaultRequestHeaders = { Authorization = new("Bearer", token) } };
        return (await client.GetAsync("v1/me").ProblemAsync(401)).Detail!;
    }

    [Fact]
    public async Task Who_signed_in_has_the_roles_of_their_groups_and_is_known_by_issuer_and_subject()
    {
        var me = await MeAsync(await TokenAsync("ops-alice"));

        Assert.Equal(("oidc:ops-alice@example.org", $"oidc:{Issuer}#ops-alice", "sign-in"), (me.Name, me.Subject, me.Credential));
        Assert.Equal((Role.Operator, "plant/*"), (Assert.Single(me.Rights[0]).Role, me.Rights[0][0].Models));
        Assert.Contains("rollout.start", me.Permissions);
        Assert.Equal("oidc:admins-carol@example.org", (await MeAsync(await TokenAsync("admins-carol"))).Name);
        var nobody = await TokenAsync("dave");
        using var client = new HttpClient { BaseAddress = server.Plane.Url, DefaultRequestHeaders = { Authorization = new("Bearer", nobody) } };
        Assert.Contains("oidc:dave@example.org lacks", (await client.GetAsync("v1/models").ProblemAsync(403)).Detail);
    }

    [Fact]
    public async Task An_operator_with_their_subject_is_one_person_with_and_without_a_token_and_may_make_tokens_of_their_own()
    {
        await server.Client.PutOperatorAsync("alice", new([new(Role.Viewer) { Models = "text/*" }]) { Subject = "ops-alice" });
        var signedIn = await TokenAsync("ops-alice");
        var me = await MeAsync(signedIn);
        Assert.Equal(("alice", "operator:alice", 2), (me.Name, me.Subject, me.Rights[0].Length));

        using var client = new CoppiceClient(server.Plane.Url, signedIn);
        var own = await client.CreateTokenAsync(new("laptop", TimeSpan.FromDays(1)));
        Assert.Equal("operator:alice", (await MeAsync(own.Token)).Subject);
        await server.Client.RemoveOperatorAsync("alice");
        Assert.Contains("was removed", await RefusedAsync(signedIn));
    }

    [Fact]
    public async Task An_address_that_nobody_has_checked_names_nobody() => Assert.Equal("oidc:new-eve", (await MeWithRoleAsync("new-eve")).Name);

    async Task<WhoAmI> MeWithRoleAsync(string login)
    {
        // Somebody without any role is told nothing, not even who they are.
        var token = await TokenAsync(login);
        await using var open = await StartAsync(options => options with { Oidc = new(Issuer, "coppice", "coppice") { Groups = [new("everybody", Role.Viewer)] } }, time: server.Time);
        using var client = new CoppiceClient(open.Plane.Url, token);
        return await client.GetMeAsync();
    }

    [Fact]
    public async Task Attack_a_forged_or_borrowed_JWT_opens_nothing()
    {
        var good = await TokenAsync("ops-alice");
        await MeAsync(good);
        var (header, payload, signature) = (Part(good, 0), Part(good, 1), good.Split('.')[2]);

        string With(Action<JsonObject>? head = null, Action<JsonObject>? body = null, string? signed = null)
        {
            var (h, p) = (header.DeepClone().AsObject(), payload.DeepClone().AsObject());
            head?.Invoke(h);
            body?.Invoke(p);
            return $"{Encoded(h)}.{Encoded(p)}.{signed ?? signature}";
        }

        // alg none, with and without a signature
        await RefusedAsync(With(h => h["alg"] = "none", signed: ""));
        await RefusedAsync(With(h => h["alg"] = "None"));
        // an HMAC under the public key, in the forms that libraries have confused with one
        var jwks = JsonNode.Parse(await http.GetStringAsync(Issuer + "/jwks"))!["keys"]!.AsArray().Single(key => key!["kid"]!.GetValue<string>() == header["kid"]!.GetValue<string>())!;
        using (var rsa = RSA.Create(new RSAParameters { Modulus = Base64Url.DecodeFromChars(jwks["n"]!.GetValue<string>()), Exponent = Base64Url.DecodeFromChars(jwks["e"]!.GetValue<string>()) }))
        {
            foreach (var secret in new[] { Encoding.ASCII.GetBytes(rsa.ExportSubjectPublicKeyInfoPem()), Encoding.ASCII.GetBytes(rsa.ExportRSAPublicKeyPem()), rsa.ExportSubjectPublicKeyInfo(), Encoding.UTF8.GetBytes(jwks.ToJsonString()), Base64Url.DecodeFromChars(jwks["n"]!.GetValue<string>()) })
            {
                var unsigned = With(h => h["alg"] = "HS256", body => body["groups"] = new JsonArray("admins"));
                unsigned = unsigned[..unsigned.LastIndexOf('.')];
                await RefusedAsync($"{unsigned}.{Base64Url.EncodeToString(HMACSHA256.HashData(secret, Encoding.ASCII.GetBytes(unsigned)))}");
            }
        }

        // a key of the forger's own, under the provider's key id, under another, under none, and brought along in the header
        using var forger = RSA.Create(2048);
        string Forged(Action<JsonObject> head, Action<JsonObject>? body = null)
        {
            var unsigned = With(head, body);
            unsigned = unsigned[..unsigned.LastIndexOf('.')];
            return $"{unsigned}.{Base64Url.EncodeToString(forger.SignData(Encoding.ASCII.GetBytes(unsigned), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";
        }

        var parameters = forger.ExportParameters(false);
        Assert.Contains("signature is not good", await RefusedAsync(Forged(_ => { })));
        Assert.Contains("does not have", await RefusedAsync(Forged(h => h["kid"] = "mine")));
        await RefusedAsync(Forged(h => h.Remove("kid")));
        await RefusedAsync(Forged(h => h["jwk"] = new JsonObject { ["kty"] = "RSA", ["n"] = Base64Url.EncodeToString(parameters.Modulus), ["e"] = Base64Url.EncodeToString(parameters.Exponent) }));
        await RefusedAsync(Forged(h => (h["kid"], h["jku"]) = ("mine", "http://127.0.0.1:1/jwks")));
        // what the provider signed, changed
        await RefusedAsync(With(body: p => p["groups"] = new JsonArray("admins")));
        await RefusedAsync(With(body: p => p["sub"] = "admins-carol"));
        await RefusedAsync(good + "AA");
        await RefusedAsync(good[..^4] + "AAAA");
        // what the provider signed for another client
        Assert.Contains("another audience", await RefusedAsync(await TokenAsync("ops-alice", "another")));
        // a server that trusts another issuer
        await using var elsewhere = await StartAsync(options => options with { Oidc = new(Issuer.Replace("127.0.0.1", "localhost", StringComparison.Ordinal), "coppice", "coppice") }, time: server.Time);
        using var stranger = new HttpClient { BaseAddress = elsewhere.Plane.Url, DefaultRequestHeaders = { Authorization = new("Bearer", good) } };
        await stranger.GetAsync("v1/me").ProblemAsync(401);
        // and the good one still opens
        Assert.Equal("oidc:ops-alice@example.org", (await MeAsync(good)).Name);
    }

    [Fact]
    public async Task A_sign_in_ends_with_its_token_give_or_take_a_minute()
    {
        var token = await TokenAsync("ops-alice");
        var life = Part(token, 1)["exp"]!.GetValue<long>() - Part(token, 1)["iat"]!.GetValue<long>();

        server.Time.Advance(TimeSpan.FromSeconds(life) + OidcTokens.Skew - TimeSpan.FromSeconds(1));
        await MeAsync(token);
        server.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Contains("has expired", await RefusedAsync(token));
    }

    [Fact]
    public async Task New_keys_of_the_provider_are_fetched_when_a_token_names_one_and_old_tokens_open_nothing_then()
    {
        var old = await TokenAsync("ops-alice");
        await MeAsync(old);
        await http.GetAsync(Issuer + "/rotate");

        var renewed = await TokenAsync("ops-bob");
        server.Time.Advance(TimeSpan.FromSeconds(30)); // keys are not fetched anew for each token that names an unknown one
        await MeAsync(renewed);
        Assert.Contains("does not have", await RefusedAsync(old));
    }

    [Fact]
    public async Task A_token_signed_with_ES256_is_taken()
    {
        await using var ec = await StartAsync(options => options with { Oidc = new(Issuer, "coppice-ec", "coppice-ec") { Groups = [new("ops", Role.Viewer)] } }, time: server.Time);
        var token = await TokenAsync("ops-alice", "coppice-ec");
        Assert.Equal("ES256", Part(token, 0)["alg"]!.GetValue<string>());
        using var client = new CoppiceClient(ec.Plane.Url, token);
        Assert.Equal("oidc:ops-alice@example.org", (await client.GetMeAsync()).Name);
    }

    [Fact]
    public async Task Without_its_provider_the_server_still_takes_tokens_and_says_what_is_wrong_with_sign_ins()
    {
        var token = await TokenAsync("ops-alice");
        await provider.DisposeAsync();
        Assert.Contains("cannot be fetched", await RefusedAsync(token));
        await server.Client.GetMeAsync();
        Assert.Equal(new SignIn(Issuer, "coppice", "openid email profile groups offline_access"), await server.Client.GetSignInAsync());
    }

    [Fact]
    public async Task Whatever_stands_for_a_JWT_is_refused_and_nothing_throws()
    {
        var cases = int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "3000", System.Globalization.CultureInfo.InvariantCulture);
        var good = await TokenAsync("ops-alice");
        var oidc = server.Get<OidcTokens>();
        Assert.NotNull((await oidc.WhoAsync(good, null, CancellationToken.None)).Caller);
        var random = new Random(20261126);
        for (var i = 0; i < cases; i++)
        {
            var text = good.ToCharArray().ToList();
            for (var changes = random.Next(1, 4); changes > 0; changes--)
            {
                var at = random.Next(text.Count);
                switch (random.Next(5))
                {
                    case 0:
                        text[at] = (char)random.Next(1, 0x300);
                        break;
                    case 1:
                        text.RemoveAt(at);
                        break;
                    case 2:
                        text.InsertRange(at, text.GetRange(0, Math.Min(text.Count, random.Next(1, 50))));
                        break;
                    case 3:
                        text.RemoveRange(at, Math.Min(random.Next(40), text.Count - at));
                        break;
                    default:
                        text[at] = "ABCxyz019-_."[random.Next(12)];
                        break;
                }

                if (text.Count == 0)
                    break;
            }

            var mutated = new string([.. text]);
            var before = GC.GetAllocatedBytesForCurrentThread();
            var (caller, why) = await oidc.WhoAsync(mutated, null, CancellationToken.None);
            Assert.True(caller is null || SameBytes(mutated, good), $"case {i} opened: {mutated}");
            Assert.True(caller is not null || why!.Length > 0);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 2_000_000, $"case {i} took {GC.GetAllocatedBytesForCurrentThread() - before} bytes");
        }
    }

    // The last character of base64url holds bits that say nothing.
    static bool SameBytes(string a, string b) => a.Split('.') is var parts && b.Split('.') is var others && parts.Length == 3
        && parts.Zip(others).All(pair => Base64Url.IsValid(pair.First) && Base64Url.DecodeFromChars(pair.First).AsSpan().SequenceEqual(Base64Url.DecodeFromChars(pair.Second)));
}
