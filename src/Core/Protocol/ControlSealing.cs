using Coppice.Registry;
using Coppice.Trust.Sealing;

namespace Coppice.Protocol;

/// <summary>To whom publishers seal content keys: <c>GET /v1/sealing</c>.</summary>
/// <param name="PublicKey">SubjectPublicKeyInfo in base64; null for a server that keeps no content keys.</param>
public sealed record ServerSealing(string? PublicKey = null);

/// <summary>A model's releases must be sealed: <c>PUT /v1/models/{owner}/{name}/sealing</c>.</summary>
/// <param name="Selector">Which devices are given its keys: a condition on their labels; empty for every device.</param>
public sealed record SealModel(string Selector);

/// <summary>A model whose releases must be sealed.</summary>
/// <param name="Model">The model.</param>
/// <param name="Selector">Which devices are given its keys; empty for every device.</param>
/// <param name="SetAt">Since when.</param>
/// <param name="SetBy">The operator who said so.</param>
/// <param name="Keys">Content keys that the server keeps of it.</param>
/// <param name="Devices">Devices that were given any of them.</param>
public sealed record SealedModel(ModelName Model, string Selector, DateTimeOffset SetAt, string SetBy, int Keys, int Devices);

/// <summary>Keys sealed to one public key: <c>PUT /v1/grants</c> for a device's or group's, <c>PUT /v1/models/{owner}/{name}/keys</c> for the server's.</summary>
/// <param name="Grants">A <see cref="GrantFile"/>; base64 in JSON.</param>
public sealed record SealedGrants(byte[] Grants)
{
    /// <summary>Most bytes of the request: the largest file in base64.</summary>
    public const int MaxBytes = 4 << 20;
}
