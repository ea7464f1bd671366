using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Coppice.Server.Fleet;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Identity;

/// <summary>Issues certificates to devices, remembers them, and says which must not be taken any more.</summary>
sealed class CertificateStore(Database database, Authorities authorities, ControlPlaneOptions options)
{
    /// <summary>How long a proxy may go by a revocation list; this server itself asks the database.</summary>
    static readonly TimeSpan ListLife = TimeSpan.FromDays(7);

    /// <summary>A certificate for a device, within a write: the one it has when that is good for a while, else a new one.</summary>
    /// <returns>PEM.</returns>
    public async Task<string> IssueAsync(CoppiceDb db, DeviceRow device, DateTimeOffset now, CancellationToken cancel)
    {
        var issuing = authorities.Current;
        var young = now + (options.CertificateLife * (2 / 3.0)); // a request that was answered, but whose answer was lost, gets the same
        var known = await db.Certificates.Where(row => row.Device == device.Id && row.RevokedAt == null && row.Authority == issuing.Number && row.ExpiresAt > young)
            .OrderByDescending(row => row.ExpiresAt).FirstOrDefaultAsync(cancel);
        if (known is not null)
            return known.Pem;
        if (!DevicePublicKey.TryParse(device.SigningKey, out var key))
            throw new InvalidDataException($"The signing key of '{device.Id}' in the database is none.");
        using var certificate = issuing.IssueDevice(device.Id, key, now, options.CertificateLife);
        await db.Certificates.Where(row => row.Device == device.Id && row.ExpiresAt <= now).ExecuteDeleteAsync(cancel); // an expired one is refused anyway
        var pem = new StringBuilder(certificate.ExportCertificatePem()).Append('\n');
        for (var i = 0; i < issuing.Chain.Count - 1; i++)
            pem.Append(issuing.Chain[i].ExportCertificatePem()).Append('\n');
        var expires = new DateTimeOffset(certificate.NotAfter);
        db.Certificates.Add(new() { Serial = certificate.SerialNumber, Device = device.Id, Authority = issuing.Number, IssuedAt = now, ExpiresAt = expires, Pem = pem.ToString() });
        device.CertificateExpires = expires;
        return pem.ToString();
    }

    /// <summary>Bars all certificates of a device, within a write.</summary>
    public static Task RevokeAllAsync(CoppiceDb db, string device, DateTimeOffset now, CancellationToken cancel) =>
        db.Certificates.Where(row => row.Device == device && row.RevokedAt == null && row.ExpiresAt > now).ExecuteUpdateAsync(row => row.SetProperty(r => r.RevokedAt, now), cancel);

    /// <summary>The revocation lists of all authorities, PEM, for a proxy that verifies certificates by itself.</summary>
    public async Task<string> ListsAsync(DateTimeOffset now, CancellationToken cancel)
    {
        var revoked = await database.ReadAsync(db => db.Certificates.Where(row => row.RevokedAt != null && row.ExpiresAt > now)
            .Select(row => new { row.Serial, row.Authority, row.RevokedAt }).ToListAsync(cancel), cancel);
        var text = new StringBuilder();
        foreach (var authority in authorities.All)
        {
            var list = authority.Revoke(
                revoked.Where(row => row.Authority == authority.Number).Select(row => (row.Serial, row.RevokedAt!.Value)).ToImmutableArray(), now.ToUnixTimeMilliseconds(), now, now + ListLife);
            text.Append(PemEncoding.WriteString("X509 CRL", list)).Append('\n');
        }

        return text.ToString();
    }
}
