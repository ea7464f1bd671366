using System.Text.Json.Serialization;

namespace Coppice.Mirror.Reports;

/// <summary>A device's signed request, kept as it came: the mirror can carry it on or withhold it, and cannot change it.</summary>
/// <param name="Path">Path and query, as signed.</param>
/// <param name="ContentType">As signed.</param>
/// <param name="Headers">Digest of the body, signature and what it covers: see <see cref="Carried"/>.</param>
/// <param name="Body">The bytes; base64 in JSON.</param>
public sealed record CarriedRequest(string Path, string? ContentType, IReadOnlyDictionary<string, string> Headers, byte[] Body)
{
    /// <summary>Headers that go with a request: what proves whose it is, and nothing else.</summary>
    public static readonly string[] Carried = ["Content-Digest", "Signature", "Signature-Input"];
}

/// <summary>What upstream said to a request.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="ContentType">Of the body.</param>
/// <param name="Body">At most as long as an answer is.</param>
public sealed record UpstreamAnswer(int Status, string? ContentType, byte[] Body);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(CarriedRequest))]
sealed partial class CarriedContext : JsonSerializerContext;
