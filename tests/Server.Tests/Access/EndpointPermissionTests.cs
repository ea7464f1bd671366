using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Ddi;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;

namespace Coppice.Server.Tests.Access;

/// <summary>Every route of the server against the permission table; a route that is added later is walked over too.</summary>
public sealed class EndpointPermissionTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    RouteEndpoint[] Endpoints() => [.. server.Get<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>().Where(endpoint => endpoint.RoutePattern.RawText is not null)];

    static bool IsOpen(RouteEndpoint endpoint) => endpoint.Metadata.GetMetadata<IAllowAnonymous>() is not null;

    static bool IsDevices(RouteEndpoint endpoint) => endpoint.Metadata.OfType<IAuthorizeData>().Any(data => data.Policy is BearerTokens.Device or DdiProof.Name);

    [Fact]
    public void Every_endpoint_is_open_a_devices_or_names_the_permission_that_it_demands()
    {
        var endpoints = Endpoints();
        Assert.InRange(endpoints.Length, 30, 300);
        foreach (var endpoint in endpoints)
        {
            if (IsOpen(endpoint) || IsDevices(endpoint))
                continue;
            Assert.True(endpoint.Metadata.OfType<IAuthorizeData>().Any(data => data.Policy == BearerTokens.Operator), $"{endpoint.DisplayName} asks nobody who they are");
            Assert.True(endpoint.Metadata.GetMetadata<Needs>() is not null, $"{endpoint.DisplayName} names no permission: say .Needs(Permission.…) where it is mapped");
        }
    }

    [Theory]
    [InlineData(Role.Viewer)]
    [InlineData(Role.Publisher)]
    [InlineData(Role.Operator)]
    [InlineData(Role.Admin)]
    public async Task At_every_endpoint_a_role_is_refused_exactly_where_the_table_says_no(Role role)
    {
        using var client = await server.OperatorAsync("somebody", new RoleGrant(role));
        var judged = 0;
        foreach (var endpoint in Endpoints().Where(endpoint => !IsOpen(endpoint) && !IsDevices(endpoint)))
        {
            var permission = endpoint.Metadata.GetMetadata<Needs>()!.Permission;
            foreach (var method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods)
            {
                if (method == "GET" && endpoint.RoutePattern.RawText!.EndsWith("/stream", StringComparison.Ordinal))
                    continue; // answers for ever; has its own tests
                server.Time.Advance(TimeSpan.FromMinutes(1)); // else its refusals would not all be noted
                using var request = new HttpRequestMessage(new(method), Filled(endpoint));
                if (method is "POST" or "PUT" or "PATCH" && !endpoint.RoutePattern.RawText!.Contains("blobs", StringComparison.Ordinal))
                    request.Content = Answers.Json("{}");
                using var answer = await client.SendAsync(request);
                var forbidden = (int)answer.StatusCode == 403;
                Assert.True(forbidden == !PermissionTable.Of(permission).Allows(role), $"{method} {endpoint.RoutePattern.RawText} answered {(int)answer.StatusCode} to {role}, who {(forbidden ? "has" : "lacks")} {permission}");
                Assert.NotEqual(401, (int)answer.StatusCode);
                Assert.True((int)answer.StatusCode < 500, $"{method} {endpoint.RoutePattern.RawText} answered {(int)answer.StatusCode}");
                if (forbidden && method != "HEAD")
                    Assert.Equal(PermissionTable.Name(permission), System.Text.Json.JsonSerializer.Deserialize(await answer.Content.ReadAsStringAsync(), ControlContext.Default.ControlProblem)!.Permission);
                judged++;
            }
        }

        Assert.InRange(judged, 25, 300);
    }

    static string Filled(RouteEndpoint endpoint) => string.Join('/', endpoint.RoutePattern.PathSegments.Select(segment => string.Concat(segment.Parts.Select(part => part switch
    {
        Microsoft.AspNetCore.Routing.Patterns.RoutePatternLiteralPart literal => literal.Content,
        Microsoft.AspNetCore.Routing.Patterns.RoutePatternParameterPart { Name: "owner" } => "plant",
        Microsoft.AspNetCore.Routing.Patterns.RoutePatternParameterPart { Name: "name" } => "nobody",
        Microsoft.AspNetCore.Routing.Patterns.RoutePatternParameterPart { Name: "version" } => "1.0.0",
        Microsoft.AspNetCore.Routing.Patterns.RoutePatternParameterPart { Name: "sha256" } => new string('0', 64),
        _ => "x-0",
    }))));
}
