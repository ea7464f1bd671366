using System.Security.Cryptography;
using System.Text;
using Coppice.Agent.Storage;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Gets a file as its whole blob, going on where an earlier attempt stopped, also before a restart.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="source">Where blobs are.</param>
/// <param name="rate">Shared by all downloads.</param>
/// <param name="stall">How long a body may give nothing.</param>
/// <param name="time">Measures the stall.</param>
public sealed class WholeBlob(IDisk disk, IBlobSource source, RateLimit rate, TimeSpan stall, TimeProvider time) : IFileWay
{
    const int BufferBytes = 1 << 16;

    const int MaxTagBytes = 1024;

    readonly Download download = new(disk, rate, stall, time);

    /// <inheritdoc/>
    public string Name => "whole blob";

    /// <inheritdoc/>
    public ValueTask<long?> CostAsync(ReleaseFile file, CancellationToken cancel) =>
        new(Math.Max(0, file.Length - (disk.LengthOf(DataFolder.Part(file.Digest)) ?? 0)));

    /// <inheritdoc/>
    public async Task<Sha256Digest> FetchAsync(ReleaseFile file, Action<int> arrived, CancellationToken cancel)
    {
        disk.MakeFolder(DataFolder.Fetching);
        var part = DataFolder.Part(file.Digest);
        var resumed = disk.LengthOf(part) > 0;
        var digest = await TryAsync(file, arrived, cancel);
        if (digest == file.Digest || !resumed)
            return digest;

        // The beginning on this disk may have been torn by a power cut; that is not the server's fault.
        disk.Delete(part);
        return await TryAsync(file, arrived, cancel);
    }

    async Task<Sha256Digest> TryAsync(ReleaseFile file, Action<int> arrived, CancellationToken cancel)
    {
        var part = DataFolder.Part(file.Digest);
        if (disk.LengthOf(part) > file.Length)
            disk.Delete(part);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BufferBytes];
        var here = Rehash(part, hash, buffer, cancel);
        if (here < file.Length || file.Length == 0)
            await DownloadAsync(file, here, hash, buffer, arrived, cancel);
        else
            SyncPart(part);
        return new(hash.GetHashAndReset());
    }

    Task DownloadAsync(ReleaseFile file, long here, IncrementalHash hash, byte[] buffer, Action<int> arrived, CancellationToken cancel) => download.TakeAsync(
        file.Name, DataFolder.Part(file.Digest), here, file.Length,
        patient => source.OpenAsync(file.Digest, file.Length, here, ReadTag(file.Digest), patient),
        (body, anew) =>
        {
            if (anew)
                _ = hash.GetHashAndReset();
            KeepTag(file.Digest, body.Tag);
        },
        bytes => hash.AppendData(bytes.Span),
        buffer, arrived, cancel);

    long Rehash(string part, IncrementalHash hash, byte[] buffer, CancellationToken cancel)
    {
        if (disk.LengthOf(part) is null)
            return 0;
        using var stream = disk.OpenRead(part);
        var length = 0L;
        for (int read; (read = stream.Read(buffer)) > 0; length += read)
        {
            cancel.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, read);
        }

        return length;
    }

    void SyncPart(string part)
    {
        using var file = disk.Append(part);
        file.Sync();
    }

    string? ReadTag(Sha256Digest digest) => disk.ReadSmall(DataFolder.Tag(digest), MaxTagBytes) is { Length: > 0 } bytes ? Encoding.UTF8.GetString(bytes) : null;

    // Not synced: a tag that is lost or torn costs a download at most, because the digest decides.
    void KeepTag(Sha256Digest digest, string? tag)
    {
        using var file = disk.Create(DataFolder.Tag(digest));
        if (tag is { Length: <= MaxTagBytes / 4 })
            file.Write(Encoding.UTF8.GetBytes(tag));
    }
}
