using System.Collections.Immutable;
using Coppice.Agent.Storage;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Slots;

/// <summary>The slots of one model: hard links to blobs, so that serving, previous and staged releases share what they have in common.</summary>
public sealed class SlotStore(IDisk disk, BlobStore blobs, ModelName model)
{
    /// <summary>Keeps a manifest as it was signed. Safe from a power cut on return.</summary>
    public void Keep(ReadOnlySpan<byte> manifest)
    {
        var path = DataFolder.Manifest(model, Sha256Digest.Of(manifest));
        disk.MakeFolder(DataFolder.Manifests(model));
        disk.Replace(path, manifest);
    }

    /// <summary>A slot's manifest and variant, from the bytes that were trusted when it was decided on.</summary>
    /// <exception cref="DamagedSlotException">The manifest is not here, or not what it was.</exception>
    public (ReleaseManifest Manifest, Variant Variant) Read(Slot slot)
    {
        var path = DataFolder.Manifest(model, slot.Manifest);
        var bytes = disk.ReadSmall(path, ReleaseManifest.MaxBytes)
            ?? throw new DamagedSlotException($"the manifest of {slot} is not on this device; it is fetched again with the next update.");
        if (Sha256Digest.Of(bytes) != slot.Manifest)
        {
            disk.Delete(path);
            throw new DamagedSlotException($"the manifest of {slot} is not the one that was signed.");
        }

        if (!DocumentJson.TryRead(bytes, out ReleaseManifest? manifest, out var problems))
            throw new DamagedSlotException($"the manifest of {slot} cannot be read: {problems[0]}");
        return manifest.Variants.FirstOrDefault(candidate => candidate.Name == slot.Variant) is { } variant
            ? (manifest, variant)
            : throw new DamagedSlotException($"the manifest of {slot} has no such variant.");
    }

    /// <summary>Lays out a slot from blobs that are here and verified. Safe from a power cut on return; repeating it is harmless.</summary>
    public void Lay(Slot slot, Variant variant)
    {
        var folder = FolderOf(slot);
        var folders = new SortedSet<string>(StringComparer.Ordinal) { folder };
        disk.MakeFolder(folder);
        foreach (var file in variant.Files)
        {
            var path = $"{folder}/{file.Name}";
            disk.MakeFolder(DiskExtensions.FolderOf(path));
            folders.Add(DiskExtensions.FolderOf(path));
            disk.Link(DataFolder.Blob(file.Digest), path);
        }

        foreach (var written in folders)
            disk.SyncFolder(written);
    }

    /// <summary>Reads every file of a slot and compares it with the signed manifest, as before anything is loaded from it.</summary>
    /// <exception cref="DamagedSlotException">A file is missing or is not what was signed. A damaged blob is dropped, so that it is fetched again.</exception>
    public (ReleaseManifest Manifest, Variant Variant) Verify(Slot slot, CancellationToken cancel)
    {
        var (manifest, variant) = Read(slot);
        foreach (var file in variant.Files)
        {
            var path = $"{FolderOf(slot)}/{file.Name}";
            var found = disk.LengthOf(path);
            if (found == file.Length && blobs.DigestOf(path, cancel) == file.Digest)
                continue;
            blobs.Drop(file.Digest); // the same bytes under another name
            throw new DamagedSlotException(found is null
                ? $"{file.Name} of {slot} is not on this device; it is fetched again."
                : $"{file.Name} of {slot} is not what was signed; it is fetched again.");
        }

        return (manifest, variant);
    }

    /// <summary>The folder of a slot, in the data folder.</summary>
    public string FolderOf(Slot slot) => $"{DataFolder.Slots(model)}/{slot.Folder}";

    /// <summary>The digests that slots need, for serving and for trial.</summary>
    public ImmutableHashSet<Sha256Digest> Needed(IEnumerable<Slot> kept)
    {
        var needed = ImmutableHashSet.CreateBuilder<Sha256Digest>();
        foreach (var slot in kept.DistinctBy(slot => slot.Folder))
        {
            try
            {
                var (manifest, variant) = Read(slot);
                needed.UnionWith(variant.Files.Concat(manifest.Trial?.Files ?? []).Select(file => file.Digest));
            }
            catch (DamagedSlotException) // told when it is loaded; what it needs is not known
            {
            }
        }

        return needed.ToImmutable();
    }

    /// <summary>The files of slots, without those that cannot be read.</summary>
    public ImmutableArray<ReleaseFile> Files(IEnumerable<Slot> kept)
    {
        var files = ImmutableArray.CreateBuilder<ReleaseFile>();
        foreach (var slot in kept)
        {
            try
            {
                files.AddRange(Read(slot).Variant.Files);
            }
            catch (DamagedSlotException) // told when it is loaded
            {
            }
        }

        return files.ToImmutable();
    }

    /// <summary>Deletes the slots and manifests that are not kept, and says which digests the kept ones need.</summary>
    public ImmutableHashSet<Sha256Digest> Collect(IReadOnlyCollection<Slot> kept)
    {
        var folders = kept.Select(slot => slot.Folder).ToHashSet(StringComparer.Ordinal);
        foreach (var folder in disk.Folders(DataFolder.Slots(model)).Where(folder => !folders.Contains(folder)))
            disk.DeleteFolder($"{DataFolder.Slots(model)}/{folder}");
        var manifests = kept.Select(slot => $"{slot.Manifest}.json").ToHashSet(StringComparer.Ordinal);
        foreach (var name in disk.Files(DataFolder.Manifests(model)).Where(name => !manifests.Contains(name)))
            disk.Delete($"{DataFolder.Manifests(model)}/{name}");
        return Needed(kept);
    }
}

/// <summary>A slot on this device is not what was signed. The disk is at fault, not the release.</summary>
public sealed class DamagedSlotException(string message) : Exception(message);
