using System.Globalization;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Authorization.Policy;

namespace Coppice.Server.Access;

/// <summary>What every request passes before anything else: limits for those who have proved nothing, and no secrets in the clear beyond this machine.</summary>
static class Gate
{
    public static void AddGate(this IServiceCollection services) =>
        services.AddSingleton<CallerAddresses>().AddSingleton<RequestLimits>().AddSingleton<ReadingGate>().AddSingleton<IAuthorizationMiddlewareResultHandler, CountedRefusals>();

    public static void UseGate(this WebApplication app)
    {
        var callers = app.Services.GetRequiredService<CallerAddresses>();
        var limits = app.Services.GetRequiredService<RequestLimits>();
        var reading = app.Services.GetRequiredService<ReadingGate>();
        var options = app.Services.GetRequiredService<ControlPlaneOptions>();
        app.Use(async (context, next) =>
        {
            var endpoint = context.GetEndpoint();
            var kind = endpoint is null ? RequestKind.Reading : endpoint.Metadata.GetMetadata<RequestKind>();
            if (kind != RequestKind.Reading && !options.AllowPlainHttp && !callers.IsPrivate(context))
            {
                await Problems.Of(403, "plain-http", "Not in the clear.",
                    $"{context.Request.Method} {context.Request.Path} came over plain HTTP from {context.Connection.RemoteIpAddress}; use https, or name the proxy that speaks TLS with --trust-proxy. --allow-plain-http lifts this where the network itself is private.").ExecuteAsync(context);
                return;
            }

            var address = callers.AddressOf(context);
            if ((kind == RequestKind.Reading ? reading.Take(address) : kind is not null ? limits.Take(kind, address) : null) is { } wait)
                await TooManyAsync(context, address, wait);
            else
                await next(context);
        });
    }

    static Task TooManyAsync(HttpContext context, System.Net.IPAddress address, TimeSpan wait)
    {
        var seconds = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds));
        context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        return Problems.Of(429, "too-many-requests", "Too many requests.", $"{address}, or all callers together, asked more often than is taken of those who have not proved who they are; wait {seconds} s.").ExecuteAsync(context);
    }

    /// <summary>Counts callers whose proof failed. Those who prove who they are pass at any time: behind one address there may be many.</summary>
    sealed class CountedRefusals(RequestLimits limits, CallerAddresses callers) : IAuthorizationMiddlewareResultHandler
    {
        readonly AuthorizationMiddlewareResultHandler otherwise = new();

        public Task HandleAsync(RequestDelegate next, HttpContext context, AuthorizationPolicy policy, PolicyAuthorizationResult authorizeResult)
        {
            var address = callers.AddressOf(context);
            return authorizeResult.Challenged && limits.Take(RequestKind.Failing, address) is { } wait
                ? TooManyAsync(context, address, wait)
                : otherwise.HandleAsync(next, context, policy, authorizeResult);
        }
    }
}
