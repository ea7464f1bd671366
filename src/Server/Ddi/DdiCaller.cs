using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Server.Ddi;

/// <summary>A device that speaks DDI and has proved itself.</summary>
/// <param name="Device">As it is known here.</param>
/// <param name="Controller">As it calls itself, and as links name it.</param>
/// <param name="Token">Id of the token that it showed.</param>
/// <param name="Models">What it runs.</param>
sealed record DdiCaller(string Device, string Controller, string Token, ImmutableArray<ModelName> Models)
{
    /// <summary>The id of a device by what it calls itself: hawkBit takes capitals and colons, as in hardware addresses.</summary>
    /// <returns>Null when no id comes of it.</returns>
    public static string? DeviceOf(string controller)
    {
        var device = controller.ToLowerInvariant().Replace(':', '-');
        return DeviceRequest.IsDevice(device) ? device : null;
    }
}
