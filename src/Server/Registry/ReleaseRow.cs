using System.Text.Json;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Server.Registry;

/// <summary>A line of releases.</summary>
sealed class ModelRow
{
    public required ModelName Name { get; set; }

    /// <summary>Of the rollout plan; 0 while nobody has rolled the model out.</summary>
    public long Serial { get; set; }

    /// <summary>The serial of the plan that the tree is known to hold.</summary>
    public long Published { get; set; }
}

/// <summary>A release; only its revocation ever changes.</summary>
sealed class ReleaseRow
{
    public required ModelName Model { get; set; }
    public required SemanticVersion Version { get; set; }
    public required Sha256Digest Digest { get; set; }
    public required byte[] Manifest { get; set; }
    public required string Variants { get; set; }
    public required long Length { get; set; }
    public required DateTimeOffset PublishedAt { get; set; }
    public required string PublishedBy { get; set; }
    public DateTimeOffset? RevokedAt { get; set; }
    public string? RevokedBy { get; set; }
    public string? RevokedWhy { get; set; }

    public static ReleaseRow Of(ReleaseManifest manifest, byte[] bytes, string by, DateTimeOffset now) => new()
    {
        Model = manifest.Model,
        Version = manifest.Version,
        Digest = Sha256Digest.Of(bytes),
        Manifest = bytes,
        Variants = JsonSerializer.Serialize([.. manifest.Variants.Select(variant => variant.Name)], ControlContext.Default.ImmutableArrayString),
        Length = manifest.Files.Sum(file => file.Length),
        PublishedAt = now,
        PublishedBy = by,
    };

    public ReleaseView View(int serving) => new(
        Model, Version, Digest, PublishedAt, PublishedBy, Length, JsonSerializer.Deserialize(Variants, ControlContext.Default.ImmutableArrayString), serving,
        RevokedAt is { } at ? new(at, RevokedBy!, RevokedWhy!) : null);
}
