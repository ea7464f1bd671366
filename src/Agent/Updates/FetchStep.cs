using System.Diagnostics;

namespace Coppice.Agent.Updates;

/// <summary>Brings the files that are not here, after making room for them.</summary>
sealed class FetchStep(UpdateContext context) : IUpdateStep
{
    /// <summary>A download that takes longer than this, or than a poll, is laid down to read the plan again: it may have been stopped.</summary>
    static readonly TimeSpan LongestSlice = TimeSpan.FromMinutes(1);

    public async Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var target = state.Target ?? throw new UnreachableException("fetches without a target");
        var (manifest, variant) = context.Slots.Read(target.Slot);
        var files = variant.Files.Concat(manifest.Trial?.Files ?? []).DistinctBy(file => file.Digest).ToList();
        state = MakeRoom(state, files.Where(file => !context.Blobs.Has(file)).Sum(file => file.Length), out var short_);
        if (short_ is { } why)
            return new(Outcome.Later, state, why);

        var here = files.Where(context.Blobs.Has).Sum(file => file.Length);
        var fetched = 0L;
        using var slice = new CancellationTokenSource(context.Policy.Poll > LongestSlice ? context.Policy.Poll : LongestSlice, context.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(slice.Token, cancel);
        UpdateState Counted() => state with { Target = target with { BytesFetched = target.BytesFetched + fetched } };
        try
        {
            foreach (var file in files)
            {
                await context.Puller.PullAsync(
                    file,
                    arrived =>
                    {
                        fetched += arrived;
                        context.Live = context.Live with { Fetched = here + fetched, Total = target.BytesTotal };
                    },
                    either.Token);
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return new(Outcome.Nothing, Counted(), $"{ByteSize.Format(fetched)} came; the plan is read again, then it goes on") { Wait = TimeSpan.Zero };
        }
        catch (Link.LinkException e)
        {
            return new(Outcome.Later, Counted(), e.Message) { Wait = e.After };
        }

        if (target.FetchOnly)
            return new(Outcome.Nothing, Counted(), $"{target.Slot} is fetched, and waits until it may serve") { Event = fetched > 0 ? (AgentEventKind.Fetched, $"{target.Slot} waits here until it may serve") : null };
        return new(Outcome.Done, Counted(), $"{ByteSize.Format(target.BytesTotal)} are here");
    }

    /// <summary>Frees what nothing needs; under pressure also the release before, because the serving one has settled.</summary>
    UpdateState MakeRoom(UpdateState state, long missing, out string? why)
    {
        context.Collect(state);
        why = Short(missing);
        if (why is not null && state.Previous is not null && state.Serving is { Settled: true })
        {
            state = state with { Previous = null };
            context.Save(state); // before its files go
            context.Collect(state);
            why = Short(missing);
        }

        return state;
    }

    string? Short(long missing)
    {
        // Beginnings of these very files count as used and as missing: that is on the safe side.
        if (missing > 0 && context.Blobs.Used() + missing > context.Blobs.Quota)
            return $"{ByteSize.Format(missing)} would go beyond the quota of {ByteSize.Format(context.Blobs.Quota)}, of which {ByteSize.Format(context.Blobs.Used())} are taken; raise it";
        return missing > 0 && context.Disk.FreeBytes < missing
            ? $"{ByteSize.Format(missing)} are wanted, and the disk has {ByteSize.Format(context.Disk.FreeBytes)} free; free some"
            : null;
    }
}
