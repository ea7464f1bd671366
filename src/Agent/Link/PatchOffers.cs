using Coppice.Delivery;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Agent.Link;

/// <summary>A patch that a repository says it has.</summary>
/// <param name="To">What it makes.</param>
/// <param name="Entry">From what, with how many bytes.</param>
sealed record OfferedPatch(BlobName To, PatchEntry Entry)
{
    public string File { get; } = Entry.File(To.Digest);
}

/// <summary>Reads which patches lead to a blob from the repository's indexes: those of the blob itself, and of what its patches are made from.</summary>
sealed class PatchOffers(IRepositoryFiles files, Download download)
{
    /// <summary>Each costs a request; what is farther away costs more than it saves.</summary>
    const int MostIndexes = 12;

    /// <summary>Patches in a row that are looked for.</summary>
    const int MostDepth = 5;

    /// <summary>The patches that may be of use, each once.</summary>
    /// <exception cref="LinkException">The first index could not be read.</exception>
    public async Task<IReadOnlyList<OfferedPatch>> FindAsync(FilePull pull, IReadOnlySet<Sha256Digest> held, CancellationToken cancel)
    {
        var found = new List<OfferedPatch>();
        var asked = new HashSet<Sha256Digest> { pull.Wanted.Digest };
        var queue = new Queue<(BlobName Blob, int Depth)>([(pull.Wanted.Blob, 1)]);
        var cheapest = pull.Wanted.Length; // of what needs no more than is here
        for (var indexes = 0; queue.TryDequeue(out var next) && indexes < MostIndexes; indexes++)
        {
            if (await ReadAsync(next.Blob, pull, indexes == 0, cancel) is not { } index)
                continue;
            foreach (var entry in Opened(index.Patches, pull.Wanted.Sealed).OrderBy(entry => entry.Length))
            {
                if (entry.Length >= cheapest)
                    break; // what begins with it costs more
                // A sealed file is made from what is here: this device cannot know the keys of what lies between.
                if (pull.Wanted.Sealed is not null && !entry.From.All(from => held.Contains(from.Digest)))
                    continue;
                found.Add(new(next.Blob, entry));
                if (next.Depth == 1 && entry.From.All(from => held.Contains(from.Digest)))
                    cheapest = entry.Length;
                if (next.Depth == MostDepth)
                    continue;
                foreach (var from in entry.From)
                {
                    if (!held.Contains(from.Digest) && asked.Add(from.Digest))
                        queue.Enqueue((from, next.Depth + 1));
                }
            }
        }

        return found;
    }

    /// <summary>Patches by the lengths that their readers see: an index tells those of sealed ones.</summary>
    static IEnumerable<PatchEntry> Opened(IEnumerable<PatchEntry> patches, SealedFile? form)
    {
        foreach (var entry in patches)
        {
            if (form is null)
                yield return entry;
            else if (SealHeader.PlainLength(entry.Length, form.Segment) is { } plain and > 0)
                yield return entry with { Length = plain };
        }
    }

    async Task<PatchIndex?> ReadAsync(BlobName blob, FilePull pull, bool first, CancellationToken cancel)
    {
        byte[]? bytes;
        try
        {
            bytes = await download.AskAsync($"the patches of {pull.Wanted.Name}", patient => files.ReadAsync(RepositoryLayout.PatchIndexFile(blob.Digest), PatchIndex.MaxBytes, patient), cancel);
        }
        catch (LinkException) when (!first) // what was found so far may do
        {
            return null;
        }

        if (bytes is null)
            return null;
        pull.Count(DeliveryWay.Index, bytes.Length);
        return DocumentJson.TryRead(bytes, out PatchIndex? index, out _) && index.To == blob ? index : null; // a falsehood is as good as nothing
    }
}
