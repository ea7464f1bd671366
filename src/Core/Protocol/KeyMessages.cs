using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>A device asks for content keys: <c>POST /v1/keys</c>, as itself.</summary>
/// <param name="Keys">Their names, as manifests say them: 1 to <see cref="MaxKeys"/>.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // an agent may be newer than its server
public sealed record KeyRequest(ImmutableArray<Sha256Digest> Keys)
{
    /// <summary>Most keys of one request.</summary>
    public const int MaxKeys = 256;

    /// <summary>Most bytes of one request.</summary>
    public const int MaxBytes = 64 << 10;
}

/// <summary>Keys for the device.</summary>
/// <param name="Grants">A <see cref="Trust.Sealing.GrantFile"/>, sealed to the key that the device enrolled; base64 in JSON.</param>
/// <param name="Refused">Keys that it is not given.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // a server may be newer than its agents
public sealed record KeyAnswer(byte[] Grants, ImmutableArray<RefusedKey> Refused);

/// <summary>A key that a device is not given.</summary>
/// <param name="Key">Its name.</param>
/// <param name="Why">In words for a person.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // a server may be newer than its agents
public sealed record RefusedKey(Sha256Digest Key, string Why);
