using System.Collections.Immutable;
using System.Net;

namespace Coppice.Server.Access;

/// <summary>From where a request comes: the address that connects, or the one that a trusted proxy names.</summary>
sealed class CallerAddresses(ControlPlaneOptions options)
{
    readonly ImmutableArray<IPNetwork> proxies = options.TrustedProxies;

    /// <summary>Whether the address that connects is a trusted proxy's.</summary>
    public bool IsProxy(HttpContext context) => context.Connection.RemoteIpAddress is { } peer && IsProxy(peer);

    /// <summary>The caller's address.</summary>
    /// <remarks>Of <c>X-Forwarded-For</c> the last address that is not a trusted proxy's; what stands before it anybody could have written.</remarks>
    public IPAddress AddressOf(HttpContext context)
    {
        var peer = Plain(context.Connection.RemoteIpAddress ?? IPAddress.None);
        if (!IsProxy(peer))
            return peer;
        var hops = context.Request.Headers["X-Forwarded-For"].ToString();
        if (hops.Length > 1024)
            return peer;
        foreach (var hop in hops.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Reverse())
        {
            if (!IPAddress.TryParse(hop, out var address))
                return peer;
            peer = Plain(address);
            if (!IsProxy(peer))
                return peer;
        }

        return peer;
    }

    /// <summary>Whether nobody between the caller and here can read along: TLS, this machine, or a trusted proxy, which is answerable for its own side.</summary>
    public bool IsPrivate(HttpContext context) =>
        context.Request.IsHttps || context.Connection.RemoteIpAddress is null || IPAddress.IsLoopback(Plain(context.Connection.RemoteIpAddress)) || IsProxy(context);

    bool IsProxy(IPAddress address)
    {
        var plain = Plain(address);
        foreach (var proxy in proxies)
        {
            if (proxy.Contains(plain))
                return true;
        }

        return false;
    }

    static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
}
