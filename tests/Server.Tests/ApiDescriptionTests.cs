using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Coppice.Server.Tests;

public sealed class ApiDescriptionTests : IAsyncLifetime
{
    static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    static string GoldenFile()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Coppice.slnx")))
            folder = folder.Parent ?? throw new InvalidOperationException("The tests run outside of the repository.");
        return Path.Combine(folder.FullName, "tests", "Golden", "openapi-v1.json");
    }

    [Fact]
    public async Task The_description_is_the_golden_one()
    {
        // COPPICE_GOLDEN=write makes the file anew, for a change that is meant; the diff then shows what callers will see.
        var found = JsonNode.Parse(await server.Anyone.GetStringAsync("openapi/v1.json"))!.ToJsonString(Indented) + "\n";
        if (Environment.GetEnvironmentVariable("COPPICE_GOLDEN") == "write")
            await File.WriteAllTextAsync(GoldenFile(), found);

        Assert.Equal(await File.ReadAllTextAsync(GoldenFile()), found);
    }

    [Fact]
    public async Task Every_operation_but_the_open_ones_demands_a_token()
    {
        string[] open = ["/v1/enrol", "/v1/sign-in", "/healthz", "/readyz", "/v1/authority/roots.pem", "/v1/authority/issuers.pem", "/v1/authority/revoked.pem"];
        var paths = JsonNode.Parse(await server.Anyone.GetStringAsync("openapi/v1.json"))!["paths"]!.AsObject();
        Assert.InRange(paths.Count, 20, 100);
        foreach (var (path, operations) in paths)
        {
            foreach (var (method, operation) in operations!.AsObject())
            {
                Assert.Equal(!open.Contains(path), operation!["security"] is not null);
                if (open.Contains(path))
                    continue;
                using var request = new HttpRequestMessage(HttpMethod.Parse(method.ToUpperInvariant()), path.Replace("{", "x", StringComparison.Ordinal).Replace("}", "", StringComparison.Ordinal));
                if (method is "post" or "put" && !path.StartsWith("/v1/blobs", StringComparison.Ordinal))
                    request.Content = Answers.Json("{}");
                using var answer = await server.Anyone.SendAsync(request);
                Assert.True((int)answer.StatusCode == 401, $"{method} {path} answered {(int)answer.StatusCode} to nobody.");
            }
        }
    }

    [Fact]
    public async Task Refusals_of_the_framework_have_stable_types_and_details_too()
    {
        Assert.Equal("/problems/not-found", (await server.Anyone.GetAsync("nothing").ProblemAsync(404)).Type);
        Assert.Equal("/problems/method", (await server.Operator.DeleteAsync("v1/rollouts").ProblemAsync(405)).Type);
        Assert.Equal("/problems/media-type", (await server.Operator.PostAsync("v1/rollouts", new StringContent("x")).ProblemAsync(415)).Type);
        Assert.Equal("/problems/malformed", (await server.Operator.PostAsync("v1/rollouts", Answers.Json("{")).ProblemAsync(400)).Type);
        Assert.Contains("body is missing", (await server.Operator.PostAsync("v1/rollouts", Answers.Json("")).ProblemAsync(400)).Detail);
        Assert.Contains("$.bogus: is not known", (await server.Operator.PostAsync("v1/join-tokens", Answers.Json("""{"expiresIn":"1h","maxUses":1,"bogus":1}""")).ProblemAsync(400)).Detail);
        Assert.Contains("not a duration", (await server.Operator.PostAsync("v1/join-tokens", Answers.Json("""{"expiresIn":"soon","maxUses":1}""")).ProblemAsync(400)).Detail);
        Assert.Contains("maxUses", (await server.Operator.PostAsync("v1/join-tokens", Answers.Json("""{"expiresIn":"1h"}""")).ProblemAsync(400)).Detail);
        Assert.Equal("/problems/malformed", (await server.Operator.GetAsync("v1/events?after=x").ProblemAsync(400)).Type);
    }
}
