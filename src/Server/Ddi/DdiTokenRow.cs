using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Storage;
using Coppice.Trust;

namespace Coppice.Server.Ddi;

/// <summary>A token by which devices that speak DDI come in, by the hash of its secret.</summary>
sealed class DdiTokenRow
{
    public required string Id { get; set; }
    public required string Hash { get; set; }

    /// <summary>Whose it is; null for a gateway's, which speaks for many.</summary>
    public string? Device { get; set; }

    /// <summary>Names of models, parted by spaces.</summary>
    public required string Models { get; set; }
    public required string Labels { get; set; }
    public required int MaxDevices { get; set; }
    public required DateTimeOffset CreatedAt { get; set; }
    public required string CreatedBy { get; set; }
    public DateTimeOffset? RevokedAt { get; set; }
    public string? RevokedBy { get; set; }

    public ImmutableArray<ModelName> ModelNames => [.. Models.Split(' ').Select(ModelName.Parse)];

    public DdiTokenView View(int devices) => new(Id, ModelNames, CreatedAt, CreatedBy)
    {
        Device = Device,
        Labels = StoredText.Texts(Labels),
        MaxDevices = MaxDevices,
        Devices = devices,
        RevokedAt = RevokedAt,
        RevokedBy = RevokedBy,
    };
}

/// <summary>A device that speaks DDI.</summary>
sealed class DdiDeviceRow
{
    public required string Device { get; set; }

    /// <summary>The token that it last came by.</summary>
    public required string Token { get; set; }

    /// <summary>When it last told its attributes.</summary>
    public DateTimeOffset? ToldAt { get; set; }
}

/// <summary>Digests of a blob that old clients hold downloads against.</summary>
sealed class DdiDigestRow
{
    public required Sha256Digest Blob { get; set; }
    public required string Sha1 { get; set; }
    public required string Md5 { get; set; }
}
