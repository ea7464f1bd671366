using System.Security.Cryptography;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Ddi;

/// <summary>SHA-1 and MD5 of blobs, which clients of hawkBit hold downloads against. They prove nothing; SHA-256 stands beside them, and the device verifies the payload's own signature.</summary>
sealed class DdiDigests(Database database, Repository repository) : IDisposable
{
    readonly SemaphoreSlim one = new(1); // a wave of devices that ask for a new file reads it once

    /// <summary>The digests, worked out at the first call.</summary>
    /// <exception cref="IOException">The blob cannot be read.</exception>
    public async Task<DdiHashes> OfAsync(Sha256Digest blob, CancellationToken cancel)
    {
        if (await FindAsync(blob, cancel) is { } known)
            return known;
        await one.WaitAsync(cancel);
        try
        {
            if (await FindAsync(blob, cancel) is { } found)
                return found;
            var row = await ReadAsync(blob, cancel);
            await database.WriteAsync(async db =>
            {
                if (!await db.DdiDigests.AnyAsync(other => other.Blob == blob, cancel)) // another server may have been faster
                    db.DdiDigests.Add(row);
                return 0;
            }, cancel);
            return new(row.Sha1, row.Md5, blob.ToString());
        }
        finally
        {
            one.Release();
        }
    }

    public void Dispose() => one.Dispose();

    Task<DdiHashes?> FindAsync(Sha256Digest blob, CancellationToken cancel) => database.ReadAsync(async db =>
        await db.DdiDigests.FirstOrDefaultAsync(row => row.Blob == blob, cancel) is { } row ? new DdiHashes(row.Sha1, row.Md5, blob.ToString()) : null, cancel);

    async Task<DdiDigestRow> ReadAsync(Sha256Digest blob, CancellationToken cancel)
    {
        using var sha1 = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        await using var file = repository.Tree.OpenBlob(blob) ?? throw new FileNotFoundException($"The blob {blob} is gone; restore it from the backup.");
        var buffer = new byte[1 << 18];
        for (int read; (read = await file.ReadAsync(buffer, cancel)) > 0;)
        {
            sha1.AppendData(buffer.AsSpan(0, read));
            md5.AppendData(buffer.AsSpan(0, read));
        }

        return new() { Blob = blob, Sha1 = Convert.ToHexStringLower(sha1.GetHashAndReset()), Md5 = Convert.ToHexStringLower(md5.GetHashAndReset()) };
    }
}
