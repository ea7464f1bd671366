using Coppice.Protocol;
using Coppice.Server.Storage;
using Coppice.Trust;

namespace Coppice.Server.Fleet;

/// <summary>A device that asks to be let in, or was turned away.</summary>
sealed class WaitingDeviceRow
{
    public required string Device { get; set; }
    public required string SigningKey { get; set; }
    public required string SealingKey { get; set; }

    /// <summary>Of the signing key.</summary>
    public required Sha256Digest Digest { get; set; }
    public required string Facts { get; set; }
    public required string Address { get; set; }
    public required DateTimeOffset AskedAt { get; set; }
    public required DateTimeOffset LastAsked { get; set; }
    public DateTimeOffset? RejectedAt { get; set; }

    public WaitingDevice View() => new(Device, Digest, StoredText.Texts(Facts), Address, AskedAt, LastAsked);
}

/// <summary>A device that may join without a token, until it has.</summary>
sealed class AuthorisedDeviceRow
{
    public long Id { get; set; }
    public string? Device { get; set; }

    /// <summary>Of the signing key.</summary>
    public Sha256Digest? Digest { get; set; }
    public required string Labels { get; set; }
    public required DateTimeOffset AddedAt { get; set; }
    public required string AddedBy { get; set; }

    public AuthorisedDevice View() => new() { Device = Device, Key = Digest, Labels = StoredText.Texts(Labels) };
}
