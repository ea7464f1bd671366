using Coppice.Agent.Storage;
using Coppice.Delivery;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>A file on its way to this device.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="wanted">What is wanted in the end.</param>
/// <param name="arrived">Told of every run of bytes, and by what way it came.</param>
public sealed class FilePull(IDisk disk, ReleaseFile wanted, Action<DeliveryWay, long> arrived)
{
    /// <summary>What is wanted in the end.</summary>
    public ReleaseFile Wanted => wanted;

    /// <summary>By what way bytes come now.</summary>
    public DeliveryWay Way { get; set; }

    /// <summary>Bytes that came over the network so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Counts bytes of the present step.</summary>
    public void Arrived(long bytes) => Count(Way, bytes);

    /// <summary>Counts bytes.</summary>
    public void Count(DeliveryWay way, long bytes)
    {
        if (way != DeliveryWay.Copied)
            Bytes += bytes;
        arrived(way, bytes);
    }

    /// <summary>Digests of the blobs that patches can start from: those that slots use, and those made on the way.</summary>
    public HashSet<Sha256Digest> Held()
    {
        var held = new HashSet<Sha256Digest>();
        foreach (var folder in disk.Folders(DataFolder.Blobs))
            Add(disk.Files($"{DataFolder.Blobs}/{folder}"));
        var prefix = $"{wanted.Digest}.";
        Add(disk.Files(DataFolder.Fetching).Where(name => name.StartsWith(prefix, StringComparison.Ordinal) && name.EndsWith(".between", StringComparison.Ordinal))
            .Select(name => name[prefix.Length..^".between".Length]));
        held.Remove(wanted.Digest);
        return held;

        void Add(IEnumerable<string> names)
        {
            foreach (var name in names)
            {
                if (Sha256Digest.TryParse(name, out var digest))
                    held.Add(digest);
            }
        }
    }

    /// <summary>Where a blob's bytes are put as they come.</summary>
    public string PartOf(BlobName blob) => DataFolder.Part(wanted.Digest, blob.Digest);

    /// <summary>Where a blob that is here lies.</summary>
    public string PathOf(BlobName blob)
    {
        var between = DataFolder.Between(wanted.Digest, blob.Digest);
        return disk.LengthOf(between) is null ? DataFolder.Blob(blob.Digest) : between;
    }
}
