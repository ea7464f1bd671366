using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Registry;

namespace Coppice.Agent.Link;

/// <summary>Gets files in the cheapest way that works, and takes in only what has the signed digest.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="blobs">Takes the files in.</param>
/// <param name="ways">In no order; equal costs keep this one.</param>
/// <param name="tell">Told why a way did not work when there is another to try; null for nobody.</param>
public sealed class FilePuller(IDisk disk, BlobStore blobs, IReadOnlyList<IFileWay> ways, Action<string>? tell = null)
{
    /// <summary>Gets a file, unless it is here.</summary>
    /// <param name="file">What is wanted.</param>
    /// <param name="arrived">Told of every run of bytes that came over the network.</param>
    /// <param name="cancel">Ends the call; what has come is kept.</param>
    /// <exception cref="LinkException">No way worked; says why each did not.</exception>
    public async Task PullAsync(ReleaseFile file, Action<int> arrived, CancellationToken cancel)
    {
        if (blobs.Has(file))
            return;
        blobs.Drop(file.Digest); // under its name, but of another length: the disk is damaged
        var priced = new List<(IFileWay Way, long Cost)>();
        foreach (var way in ways)
        {
            if (await way.CostAsync(file, cancel) is { } cost)
                priced.Add((way, cost));
        }

        var reasons = new List<string>();
        TimeSpan? after = null;
        foreach (var (way, _) in priced.OrderBy(option => option.Cost))
        {
            if (reasons.Count > 0)
                tell?.Invoke($"{reasons[^1]}; {file.Name} is fetched as {way.Name} instead");
            try
            {
                var digest = await way.FetchAsync(file, arrived, cancel);
                if (digest == file.Digest)
                {
                    blobs.Adopt(file.Digest);
                    return;
                }

                disk.Delete(DataFolder.Part(file.Digest));
                reasons.Add($"{way.Name}: {file.Name} came with the digest {digest.ToString()[..16]}…, signed is {file.Digest.ToString()[..16]}…; the mirror is damaged or lies");
            }
            catch (LinkException e)
            {
                after = e.After ?? after;
                reasons.Add(e.Message);
            }
        }

        throw new LinkException(reasons.Count == 0 ? $"there is no way to get {file.Name}." : string.Join("; then ", reasons)) { After = after };
    }
}
