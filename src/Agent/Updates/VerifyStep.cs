using System.Diagnostics;

namespace Coppice.Agent.Updates;

/// <summary>Reads every file back from the disk and compares its digest with the signed manifest, then lets checks look inside.</summary>
sealed class VerifyStep(UpdateContext context) : IUpdateStep
{
    public async Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var slot = (state.Target ?? throw new UnreachableException("verifies without a target")).Slot;
        var (manifest, variant) = context.Slots.Read(slot);
        foreach (var file in variant.Files.Concat(manifest.Trial?.Files ?? []).DistinctBy(file => file.Digest))
        {
            if (await Task.Run(() => context.Blobs.Holds(file, cancel), cancel))
                continue;
            context.Blobs.Drop(file.Digest);
            return new(Outcome.Failed, state, $"{file.Name} is not on this disk as it was fetched; it is fetched again");
        }

        foreach (var check in context.Checks)
        {
            foreach (var file in variant.Files)
            {
                using var bytes = context.Disk.OpenRead(Storage.DataFolder.Blob(file.Digest));
                if (check(file, variant, bytes) is { } problem)
                    return context.Refuse(state, slot, $"{file.Name}: {problem}");
            }
        }

        var fetched = $"{ByteSize.Format(state.Target?.BytesFetched ?? 0)} of {ByteSize.Format(state.Target?.BytesTotal ?? 0)} came over the network{(Delivery.DeliveryWays.Format(state.Target?.BytesByWay) is { Length: > 0 } ways ? $": {ways}" : "")}";
        return new(Outcome.Done, state, $"every file of {slot} has its digest") { Event = (AgentEventKind.Fetched, $"{slot}, every file has its digest; {fetched}") };
    }
}
