using Coppice.Agent.Storage;
using Coppice.Delivery;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Where the ranges of a wanted file lie in blobs that are here already, of whatever version and format.</summary>
/// <remarks>A blob is read once to find out; the answer is kept beside it. Nothing of it is trusted: what is copied is hashed again.</remarks>
sealed class HeldRanges
{
    readonly Dictionary<Sha256Digest, (string Path, long Offset)> places = [];

    HeldRanges()
    {
    }

    /// <summary>Looks for a file's ranges.</summary>
    /// <param name="disk">The data folder.</param>
    /// <param name="map">The wanted file's.</param>
    /// <param name="blobs">Blobs that are here, most alike first.</param>
    /// <param name="cancel">Ends the call.</param>
    public static HeldRanges Find(IDisk disk, RangeMap map, IEnumerable<BlobName> blobs, CancellationToken cancel)
    {
        var wanted = new HashSet<Sha256Digest>();
        for (var i = 0; i < map.Count; i++)
            wanted.Add(map.DigestOf(i));
        var held = new HeldRanges();
        foreach (var blob in blobs)
        {
            if (held.places.Count == wanted.Count)
                break;
            var ranges = Of(disk, blob, map.Cut, cancel);
            for (var i = 0; i < ranges?.Count; i++)
            {
                if (wanted.Contains(ranges.DigestOf(i)))
                    held.places.TryAdd(ranges.DigestOf(i), (DataFolder.Blob(blob.Digest), ranges.OffsetOf(i)));
            }
        }

        return held;
    }

    /// <summary>Where bytes of a digest are; null when they are nowhere.</summary>
    public (string Path, long Offset)? PlaceOf(Sha256Digest digest) => places.TryGetValue(digest, out var place) ? place : null;

    /// <summary>Keeps the map of a blob that is about to be here.</summary>
    public static void Keep(IDisk disk, RangeMap map)
    {
        disk.MakeFolder(DataFolder.RangeMaps);
        disk.Replace(DataFolder.Ranges(map.File.Digest), map.Write());
    }

    static RangeMap? Of(IDisk disk, BlobName blob, RangeCut cut, CancellationToken cancel)
    {
        var path = DataFolder.Ranges(blob.Digest);
        if (disk.LengthOf(path) is > 0 and <= RangeMap.MaxBytes && RangeMap.TryRead(disk.ReadSmall(path, RangeMap.MaxBytes), out var known, out _)
            && known.File == blob && known.Cut == cut)
            return known;
        try
        {
            using var stream = disk.OpenRead(DataFolder.Blob(blob.Digest));
            var source = new StreamSource(stream);
            var tensors = RangeCut.TensorsOf(source);
            if (source.Length != blob.Length || cut.Lengths(tensors).Take(RangeMap.MaxRanges + 1).Count() > RangeMap.MaxRanges)
                return null;
            var map = RangeMap.Of(source, blob, tensors, cut, cancel);
            Keep(disk, map);
            return map;
        }
        catch (IOException) // it cannot be read, or the map not be kept: what it holds is fetched
        {
            return null;
        }
    }
}
