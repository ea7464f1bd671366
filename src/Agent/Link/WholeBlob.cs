using System.Security.Cryptography;
using System.Text;
using Coppice.Agent.Storage;
using Coppice.Delivery;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Gets a blob whole, going on where an earlier attempt stopped, also before a restart.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="files">Where blobs are.</param>
/// <param name="rate">Shared by all downloads.</param>
/// <param name="stall">How long a body may give nothing.</param>
/// <param name="time">Measures the stall.</param>
public sealed class WholeBlob(IDisk disk, IRepositoryFiles files, RateLimit rate, TimeSpan stall, TimeProvider time) : IFileWay
{
    const int BufferBytes = 1 << 16;

    const int MaxTagBytes = 1024;

    readonly Download download = new(disk, rate, stall, time);

    /// <summary>A blob as it is.</summary>
    public static DeliveryStep Of(BlobName blob, FilePull pull, IDisk disk)
    {
        var left = Math.Max(0, blob.Length - (disk.LengthOf(pull.PartOf(blob)) ?? 0));
        return new(DeliveryKind.Whole, blob, [], left, left) { FileLength = blob.Length };
    }

    /// <inheritdoc/>
    public bool Takes(DeliveryKind kind) => kind == DeliveryKind.Whole;

    /// <inheritdoc/>
    public Task<IReadOnlyList<DeliveryStep>> OffersAsync(FilePull pull, double? cheapest, CancellationToken cancel) =>
        Task.FromResult<IReadOnlyList<DeliveryStep>>([Of(pull.Wanted.Blob, pull, disk)]);

    /// <inheritdoc/>
    public async Task<Sha256Digest> TakeAsync(DeliveryStep step, FilePull pull, CancellationToken cancel)
    {
        var part = pull.PartOf(step.To);
        var resumed = disk.LengthOf(part) > 0;
        var digest = await TryAsync(step.To, pull, cancel);
        if (digest == step.To.Digest || !resumed)
            return digest;

        // The beginning on this disk may have been torn by a power cut; that is not the server's fault.
        disk.Delete(part);
        return await TryAsync(step.To, pull, cancel);
    }

    async Task<Sha256Digest> TryAsync(BlobName blob, FilePull pull, CancellationToken cancel)
    {
        var part = pull.PartOf(blob);
        if (disk.LengthOf(part) > blob.Length)
            disk.Delete(part);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BufferBytes];
        var here = disk.HashPart(part, hash, buffer, cancel);
        if (here < blob.Length || blob.Length == 0)
            await DownloadAsync(blob, pull, here, hash, buffer, cancel);
        else
            SyncPart(part);
        return new(hash.GetHashAndReset());
    }

    Task DownloadAsync(BlobName blob, FilePull pull, long here, IncrementalHash hash, byte[] buffer, CancellationToken cancel)
    {
        var tag = DataFolder.Tag(pull.Wanted.Digest, blob.Digest);
        var file = new RepositoryFile(RepositoryLayout.BlobFile(blob.Digest), blob.Length, pull.Wanted);
        return download.TakeAsync(
            blob.Digest == pull.Wanted.Digest ? pull.Wanted.Name : $"a blob on the way to {pull.Wanted.Name}", pull.PartOf(blob), here, blob.Length,
            patient => files.OpenAsync(file, here, ReadTag(tag), patient),
            (body, anew) =>
            {
                if (anew)
                    _ = hash.GetHashAndReset();
                KeepTag(tag, body.Tag);
            },
            bytes => hash.AppendData(bytes.Span),
            buffer, pull.Arrived, cancel);
    }

    void SyncPart(string part)
    {
        using var file = disk.Append(part);
        file.Sync();
    }

    string? ReadTag(string path) => disk.ReadSmall(path, MaxTagBytes) is { Length: > 0 } bytes ? Encoding.UTF8.GetString(bytes) : null;

    // Not synced: a tag that is lost or torn costs a download at most, because the digest decides.
    void KeepTag(string path, string? tag)
    {
        using var file = disk.Create(path);
        if (tag is { Length: <= MaxTagBytes / 4 })
            file.Write(Encoding.UTF8.GetBytes(tag));
    }
}
