using Coppice.Audit;
using Coppice.Trust;

namespace Coppice.Server.Audit;

/// <summary>A signed word about the end of the log, as it was.</summary>
sealed class AuditCheckpointRow
{
    public required long Entry { get; set; }
    public required string Hash { get; set; }
    public required DateTimeOffset At { get; set; }
    public required byte[] Signature { get; set; }

    public AuditCheckpoint Checkpoint() => new(Entry, Sha256Digest.Parse(Hash), At.ToUnixTimeMilliseconds(), Signature);
}
