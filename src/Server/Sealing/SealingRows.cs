using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Server.Sealing;

/// <summary>A model whose releases must be sealed.</summary>
sealed class SealedModelRow
{
    public required ModelName Model { get; set; }

    /// <summary>Which devices are given its keys, by their labels; empty for every device.</summary>
    public required string Selector { get; set; }
    public required DateTimeOffset SetAt { get; set; }
    public required string SetBy { get; set; }
}

/// <summary>A content key, sealed to the server.</summary>
sealed class ContentKeyRow
{
    public required Sha256Digest Key { get; set; }
    public required ModelName Model { get; set; }

    /// <summary>Digest of the server's public key that opens <see cref="Grant"/>.</summary>
    public required Sha256Digest SealedTo { get; set; }
    public required byte[] Grant { get; set; }
    public required DateTimeOffset AddedAt { get; set; }
    public required string AddedBy { get; set; }
}

/// <summary>A key that a device was given, at the first time.</summary>
sealed class KeyGrantRow
{
    public required string Device { get; set; }
    public required Sha256Digest Key { get; set; }
    public required ModelName Model { get; set; }
    public required DateTimeOffset At { get; set; }
}
