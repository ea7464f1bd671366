using System.Security.Cryptography;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Delivery;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Puts a file together from ranges: those that lie in blobs on this device are copied, the others come over the network.</summary>
/// <remarks>
/// Needs the file's tensor map, which the signed manifest names. The file grows from its beginning, and every range is hashed before it is written: what is
/// on the disk is right at any moment but for what a power cut tore, and any other way goes on with it. Memory: one range (at most 4 MiB),
/// the map (3 MB at most) and the places of its ranges (6 MB at most). For one model; not for several calls at once.
/// </remarks>
/// <param name="disk">The data folder.</param>
/// <param name="blobs">What is here.</param>
/// <param name="files">Where maps and blobs are.</param>
/// <param name="held">Files of the model on this device, most alike first.</param>
/// <param name="rate">Shared by all downloads.</param>
/// <param name="stall">How long a body may give nothing.</param>
/// <param name="time">Measures the stall.</param>
public sealed class RangedBlob(
    IDisk disk, BlobStore blobs, IRepositoryFiles files, Func<IEnumerable<ReleaseFile>> held, RateLimit rate, TimeSpan stall, TimeProvider time) : IFileWay
{
    /// <summary>Bytes over the network that a range of its own costs besides.</summary>
    const int RangeCost = 500;

    /// <summary>Fewer bytes between two ranges come with them.</summary>
    const int SmallGap = 2 * RangeCost;

    /// <summary>Bytes copied here between two ranges of one answer: a server does not wait for ever.</summary>
    const long LongestPause = 16 << 20;

    /// <summary>Blobs that are looked through.</summary>
    const int MostHeld = 64;

    readonly Download download = new(disk, rate, stall, time);
    (FilePull Of, RangeMap Map, HeldRanges Held)? known;

    /// <inheritdoc/>
    public bool Takes(DeliveryKind kind) => kind == DeliveryKind.Ranges;

    /// <inheritdoc/>
    public async Task<IReadOnlyList<DeliveryStep>> OffersAsync(FilePull pull, double? cheapest, CancellationToken cancel)
    {
        if (pull.Wanted.TensorMap is not { } name || name.Length > RangeMap.MaxBytes || cheapest <= name.Length + RangeCost)
            return [];
        if (known?.Of != pull)
        {
            known = null;
            if (await MapAsync(pull, name, cancel) is not { } map)
                return [];
            known = (pull, map, await Task.Run(() => HeldRanges.Find(disk, map, Held(pull), cancel), cancel));
        }

        var (_, ranges, places) = known.Value;
        var here = Math.Min(disk.LengthOf(pull.PartOf(pull.Wanted.Blob)) ?? 0, pull.Wanted.Length);
        var groups = Missing(ranges, places, ranges.CountUpTo(here));
        return [new(DeliveryKind.Ranges, pull.Wanted.Blob, [], groups.Sum(group => group.Length + RangeCost), pull.Wanted.Length - here)];
    }

    /// <inheritdoc/>
    public async Task<Sha256Digest> TakeAsync(DeliveryStep step, FilePull pull, CancellationToken cancel)
    {
        var (_, map, places) = known is { } found && found.Of == pull ? found : throw new LinkException($"there is no tensor map of {pull.Wanted.Name}.");
        var path = pull.PartOf(step.To);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[map.Cut.PieceBytes];
        var first = await Task.Run(() => Kept(map, path, hash, buffer, cancel), cancel);
        var coming = Missing(map, places, first);
        await using var old = new OldBlobs(disk);
        using var patience = download.Patience(cancel);
        var reader = new RangeReader(files, new(RepositoryLayout.BlobFile(step.To.Digest), step.To.Length, pull.Wanted), coming, LongestPause, download, patience, pull);
        try
        {
            using var written = disk.Append(path);
            var unsynced = 0L;
            for (var i = first; i < map.Count; i++)
            {
                cancel.ThrowIfCancellationRequested();
                var bytes = buffer.AsMemory(0, map.LengthOf(i));
                if (!reader.Brings(map.OffsetOf(i)) && places.PlaceOf(map.DigestOf(i)) is { } place && await old.TryReadAsync(place, bytes, map.DigestOf(i), cancel))
                {
                    pull.Count(DeliveryWay.Copied, bytes.Length);
                }
                else
                {
                    await reader.ReadAsync(map.OffsetOf(i), bytes, cancel);
                    if (Sha256Digest.Of(bytes.Span) != map.DigestOf(i))
                        throw new LinkException($"bytes {map.OffsetOf(i)} to {map.OffsetOf(i) + bytes.Length - 1} of {pull.Wanted.Name} came with another digest than its tensor map says; the mirror is damaged or lies") { Lasting = true };
                }

                hash.AppendData(bytes.Span);
                written.Write(bytes.Span);
                unsynced += bytes.Length;
                if (unsynced >= Download.SyncEvery)
                {
                    written.Sync();
                    unsynced = 0;
                }
            }

            written.Sync();
        }
        catch (OperationCanceledException e) when (patience.RanOut)
        {
            throw new LinkException($"the answer for ranges of {pull.Wanted.Name} stood still for {stall.TotalSeconds:0.#} s; it goes on from there.", e);
        }
        catch (Exception e) when (e is HttpRequestException or HttpIOException)
        {
            throw new LinkException($"the answer for ranges of {pull.Wanted.Name} broke off: {e.Message}; it goes on from there.", e);
        }
        finally
        {
            await reader.DisposeAsync();
        }

        HeldRanges.Keep(disk, map); // of a blob that the next update starts from
        return new(hash.GetHashAndReset());
    }

    async Task<RangeMap?> MapAsync(FilePull pull, BlobName name, CancellationToken cancel)
    {
        var path = DataFolder.Map(pull.Wanted.Digest);
        var bytes = disk.LengthOf(path) == name.Length ? disk.ReadSmall(path, RangeMap.MaxBytes)! : [];
        if (Sha256Digest.Of(bytes) != name.Digest)
        {
            bytes = await download.ReadWholeAsync(
                $"the tensor map of {pull.Wanted.Name}", files, new(RepositoryLayout.BlobFile(name.Digest), name.Length, pull.Wanted), read => pull.Count(DeliveryWay.Ranges, read), cancel);
            if (Sha256Digest.Of(bytes) != name.Digest)
                return null;
            using var kept = disk.Create(path); // not synced: one that is torn is fetched again
            kept.Write(bytes);
        }

        return RangeMap.TryRead(bytes, out var map, out _) && map.File == pull.Wanted.Blob ? map : null;
    }

    /// <summary>Blobs that are here and most likely alike: of files of the same name, then of the same kind.</summary>
    List<BlobName> Held(FilePull pull) => [.. held()
        .Where(old => old.Digest != pull.Wanted.Digest && blobs.Has(old))
        .OrderBy(old => old.Name == pull.Wanted.Name ? 0 : Path.GetExtension(old.Name) == Path.GetExtension(pull.Wanted.Name) ? 1 : 2)
        .Select(old => old.Blob).Distinct().Take(MostHeld)];

    /// <summary>The ranges that must come, neighbours put together.</summary>
    static List<ByteSpan> Missing(RangeMap map, HeldRanges places, int first)
    {
        var missing = new List<ByteSpan>();
        for (var i = first; i < map.Count; i++)
        {
            if (places.PlaceOf(map.DigestOf(i)) is not null)
                continue;
            var (offset, end) = (map.OffsetOf(i), map.OffsetOf(i) + map.LengthOf(i));
            if (missing.Count > 0 && offset - missing[^1].End <= SmallGap)
                missing[^1] = new(missing[^1].Offset, end - missing[^1].Offset);
            else
                missing.Add(new(offset, end - offset));
        }

        return missing;
    }

    /// <summary>How many ranges of an earlier attempt are here and right, hashed; what follows them is cut off.</summary>
    int Kept(RangeMap map, string path, IncrementalHash hash, byte[] buffer, CancellationToken cancel)
    {
        if (disk.LengthOf(path) is not { } length)
            return 0;
        var good = 0;
        using (var stream = disk.OpenRead(path))
        {
            for (var whole = map.CountUpTo(Math.Min(length, map.File.Length)); good < whole; good++)
            {
                cancel.ThrowIfCancellationRequested();
                var bytes = buffer.AsSpan(0, map.LengthOf(good));
                stream.ReadExactly(bytes);
                if (Sha256Digest.Of(bytes) != map.DigestOf(good))
                    break;
                hash.AppendData(bytes);
            }
        }

        if (map.OffsetOf(good) < length)
            disk.Cut(path, map.OffsetOf(good));
        return good;
    }

    /// <summary>Old blobs that ranges are copied from, open one at a time.</summary>
    sealed class OldBlobs(IDisk disk) : IAsyncDisposable
    {
        string? path;
        Stream? stream;

        /// <summary>Reads a range; false when it is not what it was.</summary>
        public async ValueTask<bool> TryReadAsync((string Path, long Offset) place, Memory<byte> into, Sha256Digest digest, CancellationToken cancel)
        {
            try
            {
                if (path != place.Path)
                {
                    await DisposeAsync();
                    (stream, path) = (disk.OpenRead(place.Path), place.Path);
                }

                stream!.Position = place.Offset;
                await stream.ReadExactlyAsync(into, cancel);
            }
            catch (IOException) // gone, or damaged
            {
                return false;
            }

            return Sha256Digest.Of(into.Span) == digest;
        }

        public async ValueTask DisposeAsync()
        {
            if (stream is not null)
                await stream.DisposeAsync();
            (stream, path) = (null, null);
        }
    }
}
