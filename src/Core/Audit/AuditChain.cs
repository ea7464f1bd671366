using System.Collections.Immutable;
using Coppice.Trust;

namespace Coppice.Audit;

/// <summary>Walks along a log, entry by entry, and says where it is not as it was written.</summary>
/// <remarks>
/// After a break it goes on from what the entry itself claims, so that one break is told once and the next is found too. Memory does not grow with the
/// log: entries that a checkpoint is about are remembered only when the checkpoint comes right behind, or was given before.
/// </remarks>
public sealed class AuditChain
{
    /// <summary>What stands for the hash before the first entry.</summary>
    public static Sha256Digest Start { get; } = Sha256Digest.Parse(new string('0', Sha256Digest.HexLength));

    /// <summary>The kind of the one entry that may leave numbers out: what the server had given them to before it was restored from a backup is lost, and they are given to nothing else.</summary>
    public const string RestoredKind = "serverRestored";

    /// <summary>Problems that are told; a file that is no log at all would have one a line.</summary>
    public const int MostProblems = 20;

    readonly PublicKey key;
    readonly Dictionary<long, AuditCheckpoint> awaited = [];
    readonly ImmutableArray<Problem>.Builder problems = ImmutableArray.CreateBuilder<Problem>();
    Sha256Digest last;
    long line;

    /// <param name="key">Signs the server's checkpoints.</param>
    /// <param name="held">Checkpoints that somebody kept apart from the log: the log must hold what they say.</param>
    public AuditChain(PublicKey key, params IEnumerable<AuditCheckpoint> held)
    {
        this.key = key;
        foreach (var checkpoint in held)
        {
            if (!checkpoint.IsSignedBy(key))
                problems.Add(new("the checkpoint that was kept", $"about entry {checkpoint.Entry} is not signed by the key given; it is of another server, or was changed."));
            else if (!awaited.TryAdd(checkpoint.Entry, checkpoint) && awaited[checkpoint.Entry].Hash != checkpoint.Hash)
                problems.Add(new("the checkpoint that was kept", $"about entry {checkpoint.Entry} says another hash than another one about the same entry; the server has signed two histories."));
        }
    }

    /// <summary>Id of the first entry; 0 before there is one.</summary>
    public long First { get; private set; }

    /// <summary>Id of the last entry; 0 before there is one.</summary>
    public long Last { get; private set; }

    /// <summary>Last entry that a good checkpoint says was there; what comes after could have been cut off or written anew unnoticed. 0 for none.</summary>
    public long Signed { get; private set; }

    /// <summary>Everything that is wrong, up to <see cref="MostProblems"/>.</summary>
    public ImmutableArray<Problem> Problems => problems.ToImmutable();

    /// <summary>Takes the next line, an entry.</summary>
    /// <param name="entry">As it reads.</param>
    /// <param name="previous">The hash before it, as the line claims.</param>
    /// <param name="hash">Its hash, as the line claims.</param>
    public void Take(AuditEntry entry, Sha256Digest previous, Sha256Digest hash)
    {
        line++;
        if (First == 0)
        {
            First = entry.Id;
            if (entry.Id == 1 && previous != Start)
                Tell(entry.Id, "is the first, but claims to follow another; entries before it were taken away.");
        }
        else if (entry.Id != Last + 1 && !(entry.Kind == RestoredKind && entry.Id > Last))
            Tell(entry.Id, entry.Id > Last + 1
                ? $"follows entry {Last}; {entry.Id - Last - 1} between them are missing."
                : $"follows entry {Last}; entries were put in again or in another order.");
        else if (previous != last)
            Tell(entry.Id, $"claims to follow {Short(previous)}, but entry {Last} has {Short(last)}; one of the two was replaced.");
        if (entry.HashAfter(previous) != hash)
            Tell(entry.Id, "was changed: its hash is not that of its content.");
        (Last, last) = (entry.Id, hash);
        if (awaited.Remove(entry.Id, out var checkpoint))
            Judge(checkpoint);
    }

    /// <summary>Takes the next line, a checkpoint about the entry right before it.</summary>
    public void Take(AuditCheckpoint checkpoint)
    {
        line++;
        if (!checkpoint.IsSignedBy(key))
            Add(new($"line {line}", $"a checkpoint about entry {checkpoint.Entry} is not signed by the key given."));
        else if (checkpoint.Entry == Last)
            Judge(checkpoint);
        else
            Add(new($"line {line}", $"a checkpoint says that entry {checkpoint.Entry} was the last, but it stands after entry {Last}; entries between were taken away or moved."));
    }

    /// <summary>Takes a line that is neither.</summary>
    public void TakeUnreadable(string why)
    {
        line++;
        Add(new($"line {line}", $"is no entry and no checkpoint: {why}"));
    }

    /// <summary>Says that the log has ended.</summary>
    public void End()
    {
        foreach (var checkpoint in awaited.Values.OrderBy(checkpoint => checkpoint.Entry))
        {
            if (checkpoint.Entry > Last)
                Add(new("the end", $"is at entry {Last}, but a checkpoint that was kept says that entry {checkpoint.Entry} was there; the end was cut off, or an older copy was put back."));
            else if (checkpoint.Entry >= First)
                Add(new($"entry {checkpoint.Entry}", "is not in the log, but a checkpoint that was kept says that it was."));
        }

        awaited.Clear();
    }

    void Judge(AuditCheckpoint checkpoint)
    {
        if (checkpoint.Hash == last)
            Signed = Math.Max(Signed, checkpoint.Entry);
        else
            Tell(checkpoint.Entry, $"has {Short(last)}, but a checkpoint signed {Short(checkpoint.Hash)}; the log up to here was written anew.");
    }

    void Tell(long id, string what) => Add(new($"line {line}, entry {id}", what));

    void Add(Problem problem)
    {
        if (problems.Count < MostProblems)
            problems.Add(problem);
    }

    static string Short(Sha256Digest digest) => digest.ToString()[..12];
}
