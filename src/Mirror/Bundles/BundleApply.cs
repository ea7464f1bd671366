using Coppice.Agent.Link.Tuf;
using Coppice.Agent.Storage;
using Coppice.Delivery;
using Coppice.Mirror.Tree;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Mirror.Bundles;

/// <summary>What applying a bundle did.</summary>
/// <param name="Bundle">What was in it.</param>
/// <param name="Taken">Files that were new here.</param>
/// <param name="BytesTaken">Their bytes.</param>
/// <param name="There">Files that were here.</param>
public sealed record AppliedBundle(ReviewedBundle Bundle, int Taken, long BytesTaken, int There);

/// <summary>Takes a bundle into a site's tree: everything is checked, then files are laid down, then the timestamp makes them the repository.</summary>
/// <remarks>Repeating it changes nothing. After a power cut at any point the tree is the one before or the one after, and the next try goes on.</remarks>
/// <param name="tree">Where to.</param>
/// <param name="offlineGrace">How long timestamp and snapshot are taken after they expired.</param>
public sealed class BundleApply(SiteTree tree, TimeSpan offlineGrace)
{
    /// <summary>Applies a bundle.</summary>
    /// <param name="bundle">The bundle.</param>
    /// <param name="others">What else is trusted here, beside the tree: the metadata of the device that will read it.</param>
    /// <param name="root">The root to begin with, at a first bundle.</param>
    /// <param name="now">The time by which expiry is judged.</param>
    /// <param name="taken">Told of every run of bytes.</param>
    /// <param name="cancel">Ends the call; what was laid down stays for the next.</param>
    /// <exception cref="BundleRefusedException">It is not to be trusted, or damaged.</exception>
    /// <exception cref="IOException">The disk refuses.</exception>
    public async Task<AppliedBundle> RunAsync(
        BundleFile bundle, IReadOnlyList<IMetadataStore> others, Sha256Digest? root, DateTimeOffset now, Action<int> taken, CancellationToken cancel)
    {
        using var writing = tree.LockForWriting();
        var reviewed = await new BundleReview(bundle, offlineGrace).RunAsync([new TreeMetadata(tree.Disk), .. others], root, now, cancel);
        var (files, bytes, there) = (0, 0L, 0);
        try
        {
            // Blobs, patches, keys and documents first, then the metadata that names them.
            foreach (var entry in bundle.Index.Entries.OrderByDescending(entry => entry.Kind).Where(entry => entry.Path != "metadata/timestamp.json"))
            {
                if (entry.Kind == BundleKind.Grant)
                    tree.PutSmall(entry.Path, bundle.ReadSmall(entry)); // may be replaced: a device's keys change with what it is granted
                else if (entry.Kind == BundleKind.PatchIndex)
                    tree.PutSmall(entry.Path, Merged(entry.Path, bundle.ReadSmall(entry)));
                else if (await tree.TakeAsync(entry.Path, entry.Digest, entry.Length, offset => Task.FromResult(bundle.OpenRead(entry, offset)), taken, cancel))
                    (files, bytes) = (files + 1, bytes + entry.Length);
                else
                    there++;
            }
        }
        catch (InvalidDataException e)
        {
            throw new BundleRefusedException($"The bundle is damaged or was altered: {e.Message} Nothing of it is in use; copy it again.", e);
        }

        tree.PutTimestamp(bundle.ReadSmall(bundle.Index.Find("metadata/timestamp.json")!));
        return new(reviewed, files, bytes, there);
    }

    /// <summary>The bundle's patches to a blob with those that are here already.</summary>
    byte[] Merged(string path, byte[] brought) =>
        tree.Disk.ReadSmall(path, PatchIndex.MaxBytes) is { } here && DocumentJson.TryRead(here, out PatchIndex? known, out _)
        && DocumentJson.TryRead(brought, out PatchIndex? added, out _) && known.To == added.To
            ? DocumentJson.Write(known.With(added.Patches))
            : brought;
}
