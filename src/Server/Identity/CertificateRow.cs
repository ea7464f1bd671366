namespace Coppice.Server.Identity;

/// <summary>A certificate that was issued to a device, until it has expired.</summary>
sealed class CertificateRow
{
    /// <summary>Hexadecimal, upper case.</summary>
    public required string Serial { get; set; }
    public required string Device { get; set; }

    /// <summary>The number of the authority that issued it.</summary>
    public required int Authority { get; set; }
    public required DateTimeOffset IssuedAt { get; set; }
    public required DateTimeOffset ExpiresAt { get; set; }
    public DateTimeOffset? RevokedAt { get; set; }

    /// <summary>PEM, with those above it but for the root.</summary>
    public required string Pem { get; set; }
}
