using System.Diagnostics;
using Coppice.Delivery;

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
        var ways = target.BytesByWay;
        UpdateState Counted() => state with { Target = target with { BytesFetched = target.BytesFetched + fetched, BytesByWay = ways } };
        try
        {
            if (context.Keys is { } keys)
                await keys.BringAsync([.. files.Where(file => !context.Blobs.Has(file))], either.Token);
            foreach (var file in files)
            {
                await context.Puller.PullAsync(
                    file,
                    (way, bytes) =>
                    {
                        ways = ways.Plus(way, bytes);
                        if (way != DeliveryWay.Copied)
                            fetched += bytes;
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

    /// <summary>Frees what nothing needs; under pressure also the release before, because the serving one has settled, if that makes room enough.</summary>
    UpdateState MakeRoom(UpdateState state, long missing, out string? why)
    {
        context.Collect(state);
        why = context.Short(missing, 0);
        if (why is not null && state.Previous is not null && state.Serving is { Settled: true } && state.Target is { Shadow: null }) // a shadow is not worth the way back
        {
            // Without it there is no going back with a set either: this model goes its own way from here.
            var without = state with { Previous = null, Serving = state.Serving with { Set = null, Instead = null } };
            if (context.Short(missing, context.FreedBy(without)) is { } still)
            {
                why = still; // going back stays possible, for nothing would be won
                return state;
            }

            state = without;
            context.Save(state); // before its files go
            context.Collect(state);
            why = context.Short(missing, 0);
        }

        return state;
    }
}
