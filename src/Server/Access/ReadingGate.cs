using System.Net;

namespace Coppice.Server.Access;

/// <summary>Counts who reads what anybody may read. Programs of this machine are not counted.</summary>
sealed class ReadingGate(RequestLimits limits, CallerAddresses callers)
{
    /// <summary>Counts a request.</summary>
    /// <returns>How long to wait; null when the request is taken.</returns>
    public TimeSpan? Take(IPAddress address) => IPAddress.IsLoopback(address) ? null : limits.Take(RequestKind.Reading, address);

    /// <summary>Counts a request, and says whether it is taken.</summary>
    public bool LetsIn(HttpContext context) => Take(callers.AddressOf(context)) is null;
}
