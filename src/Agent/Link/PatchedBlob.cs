using System.Globalization;
using System.Text;
using Coppice.Agent.Storage;
using Coppice.Delivery;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Makes a blob out of those that are here and a patch, or out of a patch alone. A patch is not trusted: what it makes must have the digest that is wanted.</summary>
/// <remarks>
/// The patch is fetched whole, going on where it stopped, and then applied into a file of its own. Ended in order, that goes on
/// later too; after a crash it begins anew, without the network.
/// Memory: what <see cref="PatchDecoder"/> takes with one worker, and 0.5 MB. For one model; not for several calls at once.
/// </remarks>
/// <param name="disk">The data folder.</param>
/// <param name="files">Where patches are.</param>
/// <param name="rate">Shared by all downloads.</param>
/// <param name="stall">How long a body may give nothing.</param>
/// <param name="time">Measures the stall.</param>
public sealed class PatchedBlob(IDisk disk, IRepositoryFiles files, RateLimit rate, TimeSpan stall, TimeProvider time) : IFileWay
{
    /// <summary>For a smaller file, asking costs as much as fetching it.</summary>
    public const int SmallestFile = 4096;

    const int BufferBytes = 1 << 16;
    const int MaxProgressBytes = 256;

    readonly Download download = new(disk, rate, stall, time);
    (FilePull Of, IReadOnlyList<OfferedPatch> Patches)? known;

    /// <inheritdoc/>
    public bool Takes(DeliveryKind kind) => kind is DeliveryKind.Patch or DeliveryKind.Compressed;

    /// <inheritdoc/>
    public async Task<IReadOnlyList<DeliveryStep>> OffersAsync(FilePull pull, double? cheapest, CancellationToken cancel)
    {
        if (pull.Wanted.Length < SmallestFile)
            return [];
        if (known?.Of != pull)
        {
            known = (pull, []); // a repository that does not answer is asked once
            known = (pull, await new PatchOffers(files, download).FindAsync(pull, pull.Held(), cancel));
        }

        var steps = new List<DeliveryStep>();
        foreach (var patch in known.Value.Patches)
        {
            var left = Math.Max(0, patch.Entry.Length - (disk.LengthOf(DataFolder.Patch(pull.Wanted.Digest, patch.File)) ?? 0));
            var made = disk.LengthOf(DataFolder.Patched(pull.Wanted.Digest, patch.To.Digest)) ?? 0;
            steps.Add(new(
                patch.Entry.From.IsEmpty ? DeliveryKind.Compressed : DeliveryKind.Patch, patch.To, patch.Entry.From, left, left + Math.Max(0, patch.To.Length - made))
            { FileLength = patch.Entry.Length });
            // A small blob may come whole, so that a patch can start from it: the adapter that is merged into a base.
            steps.AddRange(patch.Entry.From.Where(from => from.Length < pull.Wanted.Length).Select(from => WholeBlob.Of(from, pull, disk)));
        }

        return [.. steps.DistinctBy(step => step.Key)];
    }

    /// <inheritdoc/>
    public async Task<Sha256Digest> TakeAsync(DeliveryStep step, FilePull pull, CancellationToken cancel)
    {
        var work = new Work(step, pull.Wanted.Digest);
        try
        {
            await DownloadAsync(work, pull, cancel);
            Apply(work, pull, cancel);
            disk.Rename(work.Made, pull.PartOf(step.To));
            Forget(work);
            return step.To.Digest; // the decoder has compared it
        }
        catch (Exception e) when (e is MalformedPatchException or WrongBaseException or InvalidDataException or ArgumentException or ArithmeticException or InvalidOperationException or IndexOutOfRangeException)
        {
            Forget(work);
            throw new LinkException($"{step} is of no use for {pull.Wanted.Name}: {e.Message}", e) { Lasting = true };
        }
        catch (IOException)
        {
            DropMade(work);
            throw;
        }
    }

    // A disk that is full has more use for the room; the patch itself stays, for it has come over the network.
    void DropMade(Work work)
    {
        disk.Delete(work.Made);
        disk.Delete(work.Progress);
    }

    async Task DownloadAsync(Work work, FilePull pull, CancellationToken cancel)
    {
        var (path, length) = (work.Path, work.Step.FileLength);
        if (disk.LengthOf(path) > length)
            disk.Delete(path);
        var here = disk.LengthOf(path) ?? 0;
        if (here == length)
            return;
        // No tag: a patch never changes under its name, and one that did fails its checksums.
        await download.TakeAsync(
            $"{work.Step} of {pull.Wanted.Name}", path, here, length, patient => files.OpenAsync(new(work.File, length, pull.Wanted), here, null, patient),
            (_, _) => { }, _ => { }, new byte[BufferBytes], pull.Arrived, cancel);
    }

    void Apply(Work work, FilePull pull, CancellationToken cancel)
    {
        using (var stream = OpenPatch(work))
        {
            var header = PatchHeader.Read(stream);
            if (header.NewLength != work.Step.To.Length || !header.NewDigest.AsSpan().SequenceEqual(work.Step.To.Digest.ToArray()))
                throw new InvalidDataException("it makes another file.");
        }

        if (TakeProgress(work) is { } before)
        {
            try
            {
                Apply(work, pull, before, cancel);
                return;
            }
            catch (MalformedPatchException) // what was made before may have been torn by a power cut: once more from the beginning
            {
            }
        }

        disk.Delete(work.Made);
        Apply(work, pull, default, cancel);
    }

    void Apply(Work work, FilePull pull, PatchProgress from, CancellationToken cancel)
    {
        var old = new List<Stream>();
        var done = from;
        try
        {
            foreach (var blob in work.Step.From)
                old.Add(disk.OpenRead(pull.PathOf(blob)));
            using var stream = OpenPatch(work);
            using var made = new GrowingFile(disk, work.Made);
            try
            {
                PatchDecoder.Apply(stream, [.. old.Select(file => new StreamSource(file))], made, new() { ResumeAt = from, Progress = now => done = now }, cancel);
                made.Sync();
            }
            catch (OperationCanceledException)
            {
                made.Sync();
                KeepProgress(work, done);
                throw;
            }
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new LinkException($"{work.Step}: what it starts from is no longer here.", e) { Lasting = true };
        }
        finally
        {
            foreach (var file in old)
                file.Dispose();
        }
    }

    BufferedStream OpenPatch(Work work) => new(disk.OpenRead(work.Path), BufferBytes);

    void KeepProgress(Work work, PatchProgress done)
    {
        using var file = disk.Create(work.Progress);
        file.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{DataFolder.Key(work.File)} {done.Frames} {done.NewOffset}")));
        file.Sync();
    }

    /// <summary>Where an earlier life stopped in order, once; null when it is not known to the byte.</summary>
    PatchProgress? TakeProgress(Work work)
    {
        if (disk.LengthOf(work.Progress) is not (> 0 and <= MaxProgressBytes))
            return null;
        var words = Encoding.ASCII.GetString(disk.ReadSmall(work.Progress, MaxProgressBytes)!).Split(' ');
        disk.Delete(work.Progress);
        return words is [var key, var frames, var offset] && key == DataFolder.Key(work.File)
            && long.TryParse(frames, NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            && long.TryParse(offset, NumberStyles.None, CultureInfo.InvariantCulture, out var length)
            && disk.LengthOf(work.Made) == length
            ? new(count, length)
            : null;
    }

    void Forget(Work work)
    {
        disk.Delete(work.Path);
        disk.Delete(work.Made);
        disk.Delete(work.Progress);
    }

    /// <summary>A step and the files that it works with.</summary>
    sealed class Work(DeliveryStep step, Sha256Digest wanted)
    {
        public DeliveryStep Step => step;

        public string File { get; } = RepositoryLayout.PatchFile([.. step.From.Select(from => from.Digest)], step.To.Digest);

        public string Path => DataFolder.Patch(wanted, File);

        public string Made { get; } = DataFolder.Patched(wanted, step.To.Digest);

        public string Progress { get; } = DataFolder.PatchProgress(wanted, step.To.Digest);
    }
}
