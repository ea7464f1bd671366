using System.Collections.Immutable;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Delivery;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Gets files in the cheapest way that works, and takes in only what has the signed digest.</summary>
/// <remarks>
/// Every way offers steps, <see cref="DeliveryPlan"/> chooses. What fails is left out, and what remains is planned anew, with everything
/// that has come so far. What turned out to be wrong, rather than not to be had, is left out for as long as the file is not here.
/// For one model; not for several calls at once.
/// </remarks>
/// <param name="disk">The data folder.</param>
/// <param name="blobs">Takes the files in.</param>
/// <param name="ways">Asked in their order: those that find out their cost for little come first.</param>
/// <param name="tell">Told the way that is taken and why, and what did not work when there is another to try; null for nobody.</param>
public sealed class FilePuller(IDisk disk, BlobStore blobs, IReadOnlyList<IFileWay> ways, Action<AgentEventKind, string>? tell = null)
{
    /// <summary>A step that breaks off and has brought something is begun again so often before a dearer one is taken.</summary>
    const int MostTries = 4;

    /// <summary>A repository that lies about everything is left after so many plans.</summary>
    const int MostPlans = 12;

    readonly Dictionary<Sha256Digest, HashSet<string>> useless = [];

    /// <summary>Gets a file, unless it is here.</summary>
    /// <param name="file">What is wanted.</param>
    /// <param name="arrived">Told of every run of bytes, and by what way it came.</param>
    /// <param name="cancel">Ends the call; what has come is kept.</param>
    /// <exception cref="LinkException">No way worked; says why each did not.</exception>
    public async Task PullAsync(ReleaseFile file, Action<DeliveryWay, long> arrived, CancellationToken cancel)
    {
        if (blobs.Has(file))
            return;
        blobs.Drop(file.Digest); // under its name, but of another length: the disk is damaged
        disk.MakeFolder(DataFolder.Fetching);
        var pull = new FilePull(disk, file, arrived);
        var failed = new HashSet<string>(useless.GetValueOrDefault(file.Digest) ?? []);
        var reasons = new List<string>();
        TimeSpan? after = null;
        for (var plans = 0; plans < MostPlans; plans++)
        {
            var (steps, offers) = await PlanAsync(pull, failed, cancel);
            if (steps.IsEmpty)
                break;
            Tell(pull, steps, offers, reasons);
            try
            {
                foreach (var (i, step) in steps.Index())
                {
                    pull.Way = WayOf(step, steps);
                    await TakeAsync(step, pull, steps[(i + 1)..], cancel);
                }

                blobs.Adopt(file.Digest);
                useless.Remove(file.Digest);
                return;
            }
            catch (FailedStepException e)
            {
                failed.Add(e.Step.Key);
                reasons.Add(e.Message);
                after = e.Trouble?.After ?? after;
                // A whole blob that was wrong once is asked for again another day: it is the only way that is sure to be there.
                if (e.Lasting && e.Step.Kind != DeliveryKind.Whole)
                    (useless.TryGetValue(file.Digest, out var known) ? known : useless[file.Digest] = []).Add(e.Step.Key);
            }
        }

        throw new LinkException(reasons.Count == 0 ? $"there is no way to get {file.Name}: the disk has no room, or nothing offers it." : string.Join("; then ", reasons)) { After = after };
    }

    async Task<(ImmutableArray<DeliveryStep> Steps, List<DeliveryStep> Offers)> PlanAsync(FilePull pull, HashSet<string> failed, CancellationToken cancel)
    {
        var held = pull.Held();
        var limits = new DeliveryLimits(Math.Max(0, Math.Min(blobs.Quota - blobs.Used(), disk.FreeBytes)));
        var offers = new List<DeliveryStep>();
        ImmutableArray<DeliveryStep> plan = [];
        foreach (var way in ways)
        {
            try
            {
                var cheapest = plan.IsEmpty ? (double?)null : plan.Sum(limits.CostOf);
                offers.AddRange((await way.OffersAsync(pull, cheapest, cancel)).Where(step => !failed.Contains(step.Key)));
            }
            catch (LinkException) // the other ways say why the repository cannot be asked, if they cannot either
            {
                continue;
            }

            plan = DeliveryPlan.Cheapest(pull.Wanted.Blob, held, offers, limits);
        }

        return (plan, offers);
    }

    /// <summary>Does a step, as often as it brings something, and puts what it made where the next step finds it.</summary>
    async Task TakeAsync(DeliveryStep step, FilePull pull, ImmutableArray<DeliveryStep> rest, CancellationToken cancel)
    {
        var way = ways.First(candidate => candidate.Takes(step.Kind));
        Sha256Digest digest;
        for (var tries = 1; ; tries++)
        {
            var before = pull.Bytes;
            try
            {
                digest = await way.TakeAsync(step, pull, cancel);
                break;
            }
            // What has come is worth more than another way that would begin anew; with the whole blob there is no other.
            catch (LinkException e) when (!e.Lasting && step.Kind != DeliveryKind.Whole && pull.Bytes > before && tries < MostTries)
            {
            }
            catch (LinkException e)
            {
                throw new FailedStepException(step, e.Message, e);
            }
            catch (IOException e) when (step.Kind != DeliveryKind.Whole) // no room, or what it starts from cannot be read; the whole blob needs neither
            {
                throw new FailedStepException(step, $"{step} of {pull.Wanted.Name}: {e.Message}", new(e.Message, e));
            }
        }

        if (digest != step.To.Digest)
        {
            disk.Delete(pull.PartOf(step.To));
            throw new FailedStepException(step, $"{step}: {pull.Wanted.Name} came with the digest {digest.ToString()[..16]}…, wanted is {step.To.Digest.ToString()[..16]}…; the mirror is damaged or lies", null);
        }

        if (step.To.Digest != pull.Wanted.Digest)
        {
            disk.Rename(pull.PartOf(step.To), DataFolder.Between(pull.Wanted.Digest, step.To.Digest));
            disk.SyncFolder(DataFolder.Fetching);
        }

        foreach (var used in step.From.Where(from => !rest.Any(later => later.From.Any(other => other.Digest == from.Digest))))
            disk.Delete(DataFolder.Between(pull.Wanted.Digest, used.Digest));
    }

    void Tell(FilePull pull, ImmutableArray<DeliveryStep> plan, List<DeliveryStep> offers, List<string> reasons)
    {
        var way = string.Join(", then ", plan.Select(step => step.ToString()));
        var bytes = ByteSize.Format(plan.Sum(step => step.Bytes));
        if (reasons.Count > 0)
            tell?.Invoke(AgentEventKind.Trouble, $"{reasons[^1]}; {pull.Wanted.Name} comes as {way} instead, {bytes}");
        else if (plan is not [{ Kind: DeliveryKind.Whole }] || offers.Count > 1)
            tell?.Invoke(AgentEventKind.Chosen, $"{pull.Wanted.Name} comes as {way}, {bytes}{Others(pull, plan, offers)}");
    }

    /// <summary>What the ways would cost that were not taken.</summary>
    static string Others(FilePull pull, ImmutableArray<DeliveryStep> plan, List<DeliveryStep> offers)
    {
        var others = offers.Where(step => step.To.Digest == pull.Wanted.Digest && step.Key != plan[^1].Key).OrderBy(step => step.Bytes).Take(3)
            .Select(step => $"{step} {ByteSize.Format(step.Bytes)}");
        return string.Join(", ", others) is { Length: > 0 } text ? $" ({text})" : "";
    }

    static DeliveryWay WayOf(DeliveryStep step, ImmutableArray<DeliveryStep> plan) => step.Kind switch
    {
        DeliveryKind.Whole => DeliveryWay.Whole,
        DeliveryKind.Compressed => DeliveryWay.Compressed,
        DeliveryKind.Ranges => DeliveryWay.Ranges,
        _ => plan.Count(other => other.Kind == DeliveryKind.Patch) > 1 ? DeliveryWay.Chain : DeliveryWay.Patch,
    };

    sealed class FailedStepException(DeliveryStep step, string message, LinkException? trouble) : Exception(message, trouble)
    {
        public DeliveryStep Step => step;

        public LinkException? Trouble => trouble;

        public bool Lasting => trouble?.Lasting ?? true;
    }
}
