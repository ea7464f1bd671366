using System.Globalization;
using Coppice.Protocol;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>A page of the audit log, oldest first.</summary>
    public Task<AuditPage> ListAuditAsync(long after = 0, int limit = 1000, CancellationToken cancel = default) =>
        GetAsync("v1/audit" + Query(("after", after.ToString(CultureInfo.InvariantCulture)), ("limit", limit.ToString(CultureInfo.InvariantCulture))), ControlContext.Default.AuditPage, cancel);

    /// <summary>A signed word about the present end of the audit log.</summary>
    public Task<AuditCheckpointRecord> GetAuditCheckpointAsync(CancellationToken cancel = default) => GetAsync("v1/audit/checkpoint", ControlContext.Default.AuditCheckpointRecord, cancel);

    /// <summary>The audit log's lines as an export has them: each entry, and behind it the checkpoint about it where there is one.</summary>
    public async IAsyncEnumerable<AuditLine> ExportAuditAsync(long after = 0, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel = default)
    {
        for (long? next = after; next is { } from;)
        {
            var page = await ListAuditAsync(from, 1000, cancel);
            var checkpoints = page.Checkpoints.ToDictionary(checkpoint => checkpoint.Entry);
            foreach (var entry in page.Entries)
            {
                yield return new() { Entry = entry };
                if (checkpoints.TryGetValue(entry.Id, out var checkpoint))
                    yield return new() { Checkpoint = checkpoint };
            }

            next = page.Next;
        }
    }
}
