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

    /// <summary>A power cut costs at most these bytes.</summary>
    const long SyncEvery = 8L << 20;

    const int MaxTagBytes = 1024;

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

    async Task DownloadAsync(ReleaseFile file, long here, IncrementalHash hash, byte[] buffer, Action<int> arrived, CancellationToken cancel)
    {
        var part = DataFolder.Part(file.Digest);
        using var patience = new CancellationTokenSource(stall, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
        try
        {
            await using var blob = await source.OpenAsync(file.Digest, file.Length, here, ReadTag(file.Digest), either.Token);
            if (blob.Offset != here) // the blob changed, or the server gives no ranges: from the beginning
            {
                _ = hash.GetHashAndReset();
                here = 0;
                disk.Delete(part);
            }

            KeepTag(file.Digest, blob.Tag);
            using var written = disk.Append(part);
            for (var unsynced = 0L; ;)
            {
                patience.CancelAfter(stall);
                // One byte more than is wanted tells a body that does not end from one that does.
                var most = (int)Math.Min(rate.Chunk(buffer.Length), file.Length - here + 1);
                var read = await blob.Body.ReadAsync(buffer.AsMemory(0, most), either.Token);
                if (read == 0)
                    break;
                arrived(read);
                if (here + read > file.Length)
                    throw new LinkException($"the answer for {file.Name} goes on after {file.Length} bytes, which is all that the manifest signs.");
                hash.AppendData(buffer, 0, read);
                written.Write(buffer.AsSpan(0, read));
                here += read;
                unsynced += read;
                if (unsynced >= SyncEvery)
                {
                    written.Sync();
                    unsynced = 0;
                }

                patience.CancelAfter(Timeout.InfiniteTimeSpan); // waiting for the rate limit is not the server's stall
                await rate.TakeAsync(read, cancel);
            }

            written.Sync();
        }
        catch (OperationCanceledException e) when (patience.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new LinkException($"the answer for {file.Name} stood still for {stall.TotalSeconds:0.#} s after {here} of {file.Length} bytes; it goes on from there.", e);
        }
        catch (Exception e) when (e is HttpRequestException or HttpIOException)
        {
            throw new LinkException($"the answer for {file.Name} broke off after {here} of {file.Length} bytes: {e.Message}; it goes on from there.", e);
        }

        if (here < file.Length)
            throw new LinkException($"the answer for {file.Name} ended after {here} of {file.Length} bytes; it goes on from there.");
    }

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
