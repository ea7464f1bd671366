using System.Globalization;
using System.Text;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Makes a file out of one that is here and a patch. A patch is not trusted: what it makes must have the signed digest.</summary>
/// <remarks>
/// The patch is fetched whole, going on where it stopped, and then applied into a file of its own. Ended in order, that goes on
/// later too; after a crash it begins anew, without the network. A patch that does not end well is not tried again by this process.
/// Memory: what <see cref="PatchDecoder"/> takes with one worker, and 0.5 MB. For one model; not for several calls at once.
/// </remarks>
/// <param name="disk">The data folder.</param>
/// <param name="blobs">What is here, and how much may be.</param>
/// <param name="source">Where patches are.</param>
/// <param name="held">Files of the model on this device, most alike first.</param>
/// <param name="rate">Shared by all downloads.</param>
/// <param name="stall">How long a body may give nothing.</param>
/// <param name="time">Measures the stall.</param>
public sealed class PatchedBlob(
    IDisk disk, BlobStore blobs, IPatchSource source, Func<IEnumerable<ReleaseFile>> held, RateLimit rate, TimeSpan stall, TimeProvider time) : IFileWay
{
    /// <summary>For a smaller file, asking costs as much as fetching it.</summary>
    public const int SmallestFile = 4096;

    const int BufferBytes = 1 << 16;
    const int MaxProgressBytes = 256;

    /// <summary>Each costs a request that most often finds nothing.</summary>
    const int MostAsked = 4;

    readonly Download download = new(disk, rate, stall, time);
    readonly HashSet<(Sha256Digest From, Sha256Digest To)> failed = [];
    Patch? found;

    /// <inheritdoc/>
    public string Name => "a patch";

    /// <inheritdoc/>
    public async ValueTask<long?> CostAsync(ReleaseFile file, CancellationToken cancel)
    {
        found = null;
        if (file.Length < SmallestFile)
            return null;
        try
        {
            foreach (var from in Bases(file))
            {
                if (await download.AskAsync($"a patch of {file.Name}", patient => source.PatchLengthAsync(from, file.Digest, patient), cancel) is not { } length)
                    continue;
                var patch = new Patch(from, file, length);
                if (length <= 0 || length >= file.Length || !HasRoomFor(patch))
                    continue;
                found = patch;
                return Math.Max(0, length - (disk.LengthOf(patch.Path) ?? 0));
            }
        }
        catch (LinkException) // the whole file is asked for next, and that says why
        {
        }

        return null;
    }

    /// <inheritdoc/>
    public async Task<Sha256Digest> FetchAsync(ReleaseFile file, Action<int> arrived, CancellationToken cancel)
    {
        if (found is not { } patch || patch.To != file)
            throw new LinkException($"there is no patch of {file.Name}.");
        var known = (patch.From, file.Digest);
        failed.Add(known); // until it ends well, however it ends
        try
        {
            await DownloadAsync(patch, arrived, cancel);
            Apply(patch, cancel);
            disk.Rename(DataFolder.Patched(file.Digest), DataFolder.Part(file.Digest));
            Forget(patch);
            failed.Remove(known);
            return file.Digest; // the decoder has compared it
        }
        catch (Exception e) when (e is LinkException or OperationCanceledException)
        {
            failed.Remove(known); // the network's trouble, or ours; what came helps later
            throw;
        }
        catch (Exception e) when (e is MalformedPatchException or WrongBaseException or InvalidDataException or IOException or ArgumentException or ArithmeticException or InvalidOperationException or IndexOutOfRangeException)
        {
            Forget(patch);
            throw new LinkException($"the patch from {patch.From.ToString()[..16]}… is of no use for {file.Name}: {e.Message}", e);
        }
    }

    /// <summary>Digests of files that are here and most likely alike: those of the same name, then of the same kind.</summary>
    IEnumerable<Sha256Digest> Bases(ReleaseFile file) => held()
        .Where(old => old.Digest != file.Digest && !failed.Contains((old.Digest, file.Digest)) && blobs.Has(old))
        .OrderBy(old => old.Name == file.Name ? 0 : Path.GetExtension(old.Name) == Path.GetExtension(file.Name) ? 1 : 2)
        .Select(old => old.Digest).Distinct().Take(MostAsked);

    /// <summary>The patch and the new file are on the disk together.</summary>
    bool HasRoomFor(Patch patch)
    {
        var more = patch.Length - (disk.LengthOf(patch.Path) ?? 0) + patch.To.Length - (disk.LengthOf(DataFolder.Patched(patch.To.Digest)) ?? 0);
        return blobs.Used() + more <= blobs.Quota && more <= disk.FreeBytes;
    }

    async Task DownloadAsync(Patch patch, Action<int> arrived, CancellationToken cancel)
    {
        disk.MakeFolder(DataFolder.Fetching);
        if (disk.LengthOf(patch.Path) > patch.Length)
            disk.Delete(patch.Path);
        var here = disk.LengthOf(patch.Path) ?? 0;
        if (here == patch.Length)
            return;
        // No tag: a patch never changes under its name, and one that did fails its checksums.
        await download.TakeAsync(
            $"a patch of {patch.To.Name}", patch.Path, here, patch.Length, patient => source.OpenPatchAsync(patch.From, patch.To.Digest, patch.Length, here, patient),
            (_, _) => { }, _ => { }, new byte[BufferBytes], arrived, cancel);
    }

    void Apply(Patch patch, CancellationToken cancel)
    {
        using (var stream = OpenPatch(patch))
        {
            var header = PatchHeader.Read(stream);
            if (header.NewLength != patch.To.Length || !header.NewDigest.AsSpan().SequenceEqual(patch.To.Digest.ToArray()))
                throw new InvalidDataException("it makes another file.");
        }

        if (TakeProgress(patch) is { } before)
        {
            try
            {
                Apply(patch, before, cancel);
                return;
            }
            catch (MalformedPatchException) // what was made before may have been torn by a power cut: once more from the beginning
            {
            }
        }

        disk.Delete(DataFolder.Patched(patch.To.Digest));
        Apply(patch, default, cancel);
    }

    void Apply(Patch patch, PatchProgress from, CancellationToken cancel)
    {
        using var stream = OpenPatch(patch);
        using var old = disk.OpenRead(DataFolder.Blob(patch.From));
        using var made = new GrowingFile(disk, DataFolder.Patched(patch.To.Digest));
        var done = from;
        try
        {
            PatchDecoder.Apply(stream, [new StreamSource(old)], made, new() { ResumeAt = from, Progress = now => done = now }, cancel);
            made.Sync();
        }
        catch (OperationCanceledException)
        {
            made.Sync();
            KeepProgress(patch, done);
            throw;
        }
    }

    BufferedStream OpenPatch(Patch patch) => new(disk.OpenRead(patch.Path), BufferBytes);

    void KeepProgress(Patch patch, PatchProgress done)
    {
        using var file = disk.Create(DataFolder.PatchProgress(patch.To.Digest));
        file.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{patch.From} {done.Frames} {done.NewOffset}")));
        file.Sync();
    }

    /// <summary>Where an earlier life stopped in order, once; null when it is not known to the byte.</summary>
    PatchProgress? TakeProgress(Patch patch)
    {
        var path = DataFolder.PatchProgress(patch.To.Digest);
        if (disk.LengthOf(path) is not (> 0 and <= MaxProgressBytes))
            return null;
        var words = Encoding.ASCII.GetString(disk.ReadSmall(path, MaxProgressBytes)!).Split(' ');
        disk.Delete(path);
        return words is [var from, var frames, var offset] && from == patch.From.ToString()
            && long.TryParse(frames, NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            && long.TryParse(offset, NumberStyles.None, CultureInfo.InvariantCulture, out var length)
            && disk.LengthOf(DataFolder.Patched(patch.To.Digest)) == length
            ? new(count, length)
            : null;
    }

    void Forget(Patch patch)
    {
        disk.Delete(patch.Path);
        disk.Delete(DataFolder.Patched(patch.To.Digest));
        disk.Delete(DataFolder.PatchProgress(patch.To.Digest));
    }

    sealed record Patch(Sha256Digest From, ReleaseFile To, long Length)
    {
        public string Path { get; } = DataFolder.Patch(From, To.Digest);
    }
}
