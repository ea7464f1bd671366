using System.Collections.Immutable;
using Coppice.Agent.Storage;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Agent.Link;

/// <summary>What the queue keeps on disk.</summary>
/// <param name="Taken">For each model, its own number of the last report taken over.</param>
/// <param name="Waiting">Oldest first; those with sequence 0 have no number yet.</param>
public sealed record ReportBox(ImmutableDictionary<string, long> Taken, ImmutableArray<Report> Waiting)
{
    /// <summary>The last sequence number given; null until the server has said how far it has got.</summary>
    public long? Numbered { get; init; }

    /// <summary>How far the server said last that it has this device's reports; null until it has said so.</summary>
    public long? Confirmed { get; init; }

    /// <summary>For each model the few confirmed reports that tell how it stands, oldest first: what a server that lost them is told again.</summary>
    public ImmutableDictionary<string, ImmutableArray<Report>> Standing { get; init => field = value ?? ImmutableDictionary<string, ImmutableArray<Report>>.Empty; } = ImmutableDictionary<string, ImmutableArray<Report>>.Empty;
}

/// <summary>Reports on their way to the server. At least once, in order, over restarts and any time without a network.</summary>
/// <remarks>
/// Bounded: past <see cref="MaxWaiting"/> the oldest report of mere progress goes; reports that end an update stay, up to twice that. A report gets
/// its number when it is first sent, so that those which went leave no gap. A queue that is new, or was lost, numbers nothing before the server has
/// said through which number it has this device's reports: numbers below would be taken for repetitions, and the reports be lost.
/// </remarks>
public sealed class ReportQueue
{
    /// <summary>Most reports that wait, while some of them are of mere progress.</summary>
    public const int MaxWaiting = 500;

    /// <summary>Highest number that is believed of a server which says to have more than was sent: answers are not signed, and numbers must never run out.</summary>
    const long MostBelieved = 1L << 52;

    readonly IDisk disk;
    readonly Lock gate = new();
    ReportBox box;

    /// <summary>Opens the queue in a data folder.</summary>
    public ReportQueue(IDisk disk)
    {
        this.disk = disk;
        box = new(ImmutableDictionary<string, long>.Empty, []);
        if (disk.ReadSmall(DataFolder.Reports, StateJson.MaxBytes) is not { } bytes)
            return;
        if (StateJson.TryRead(bytes, out ReportBox? kept))
        {
            box = kept;
            return;
        }

        disk.Rename(DataFolder.Reports, DataFolder.Reports + ".damaged");
        Damage = $"{DataFolder.Reports} cannot be read; it is put aside, and the reports that waited in it are lost";
    }

    /// <summary>What was wrong with the file on the disk; null when nothing was.</summary>
    public string? Damage { get; }

    /// <summary>Reports that wait.</summary>
    public int Waiting => Volatile.Read(ref box).Waiting.Length;

    /// <summary>A model's own number of its last report taken over; 0 when there was none.</summary>
    public long TakenOf(ModelName model) => Volatile.Read(ref box).Taken.GetValueOrDefault(model.ToString());

    /// <summary>Takes over what a model has to report. Repeating it is harmless. Safe from a power cut on return.</summary>
    /// <param name="model">The model.</param>
    /// <param name="outbox">Numbered by the model, ascending.</param>
    public void Take(ModelName model, ImmutableArray<Report> outbox)
    {
        lock (gate)
        {
            var taken = box.Taken.GetValueOrDefault(model.ToString());
            var fresh = outbox.Where(report => report.Sequence > taken).ToImmutableArray();
            if (fresh.IsEmpty)
                return;
            Save(box with
            {
                Taken = box.Taken.SetItem(model.ToString(), fresh[^1].Sequence),
                Waiting = Bound(box.Waiting.AddRange(fresh.Select(report => report with { Sequence = 0 }))),
            });
        }
    }

    /// <summary>The next reports to send, numbered; the same ones again until they are confirmed. None while the server has not said how far it has got.</summary>
    public ImmutableArray<Report> Next()
    {
        lock (gate)
        {
            if (box.Numbered is not { } numbered)
                return [];
            var waiting = box.Waiting.ToBuilder();
            for (var i = 0; i < Math.Min(waiting.Count, ReportBatch.MaxReports); i++)
            {
                if (waiting[i].Sequence == 0)
                    waiting[i] = waiting[i] with { Sequence = ++numbered };
            }

            if (numbered != box.Numbered)
                Save(box with { Numbered = numbered, Waiting = waiting.ToImmutable() });
            return [.. box.Waiting.Take(ReportBatch.MaxReports)];
        }
    }

    /// <summary>Forgets what the server has. Returns whether that was news.</summary>
    /// <remarks>
    /// A server that has less than it said before was restored from a backup, or is another one: reports that it had are gone there and here. It is told once more how each model
    /// stands, under new numbers.
    /// </remarks>
    /// <param name="through">The server has every report of this device up to this number.</param>
    /// <param name="byServer">Whether the server says so, and not a mirror that will carry them to it.</param>
    /// <exception cref="LinkException">No server can have so many; nothing is forgotten.</exception>
    public bool Confirm(long through, bool byServer = true)
    {
        lock (gate)
        {
            if (through < 0 || (through > MostBelieved && through > (box.Numbered ?? 0)))
                throw new LinkException($"the server says that it has reports up to {through}, of which {box.Numbered ?? 0} were numbered here; it, or what lies between, is broken.");
            var standing = box.Standing;
            foreach (var report in box.Waiting.Where(report => report.Sequence > 0 && report.Sequence <= through))
            {
                var model = report.Model.ToString();
                standing = standing.SetItem(model, After(standing.GetValueOrDefault(model, []), report));
            }

            var left = box.Waiting.RemoveAll(report => report.Sequence > 0 && report.Sequence <= through);
            var numbered = Math.Max(box.Numbered ?? 0, through);
            var isNews = left.Length != box.Waiting.Length || numbered != box.Numbered;
            var confirmed = byServer ? through : box.Confirmed;
            if (!isNews && confirmed == box.Confirmed)
                return false;
            if (confirmed < box.Confirmed)
                left = left.AddRange(standing.OrderBy(model => model.Key, StringComparer.Ordinal).SelectMany(model => model.Value)
                    .Where(report => report.Sequence > through && !box.Waiting.Any(waiting => (waiting.Model, waiting.Release, waiting.Kind, waiting.Shadow) == (report.Model, report.Release, report.Kind, report.Shadow))).Select(report => report with { Sequence = 0 }));
            Save(box with { Numbered = numbered, Confirmed = confirmed, Standing = standing, Waiting = left });
            return isNews;
        }
    }

    /// <summary>How a model stands after one more report: what serves, what would serve if that were taken back, and the last that came to nothing.</summary>
    static ImmutableArray<Report> After(ImmutableArray<Report> standing, Report report)
    {
        if (report.Kind == ReportKind.Started)
            return standing; // its end is to come
        if (report.Kind == ReportKind.Stopped)
            return [report];
        var all = standing.RemoveAll(known => known.Release == report.Release && known.Shadow == report.Shadow).Add(report);
        var (serving, others) = (all.Where(Serves).TakeLast(2).ToArray(), all.Where(known => !Serves(known)).GroupBy(known => known.Shadow).Select(kind => kind.Last()).ToArray());
        return [.. all.Where(known => serving.Contains(known) || others.Contains(known))];

        static bool Serves(Report known) => known.Shadow is null && known.Kind is ReportKind.Switched or ReportKind.Settled;
    }

    static ImmutableArray<Report> Bound(ImmutableArray<Report> waiting)
    {
        while (waiting.Length > MaxWaiting)
        {
            var progress = -1;
            for (var i = 0; i < waiting.Length && progress < 0; i++)
            {
                if (waiting[i].Sequence == 0 && waiting[i].Kind is ReportKind.Started or ReportKind.Switched)
                    progress = i;
            }

            if (progress < 0 && waiting.Length <= 2 * MaxWaiting)
                break;
            // All of them end something: the oldest that has no number yet goes after all.
            waiting = waiting.RemoveAt(progress >= 0 ? progress : Math.Max(0, IndexOfUnnumbered(waiting)));
        }

        return waiting;
    }

    static int IndexOfUnnumbered(ImmutableArray<Report> waiting)
    {
        for (var i = 0; i < waiting.Length; i++)
        {
            if (waiting[i].Sequence == 0)
                return i;
        }

        return -1;
    }

    void Save(ReportBox next)
    {
        disk.Replace(DataFolder.Reports, StateJson.Write(next));
        Volatile.Write(ref box, next);
    }
}
