using System.Collections.Immutable;
using Coppice.Audit;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>An entry of the audit log with its place in the chain. Specified in docs/formats/audit.md.</summary>
/// <param name="Id">1 and up, without a gap.</param>
/// <param name="At">Milliseconds since 1970.</param>
/// <param name="Kind">What happened.</param>
/// <param name="By">Who did it, as people call them.</param>
/// <param name="Why">In words for a person.</param>
/// <param name="Previous">The hash of the entry before; zeros for the first.</param>
/// <param name="Hash">Its own hash.</param>
public sealed record AuditRecord(long Id, long At, string Kind, string By, string Why, string Previous, string Hash)
{
    /// <summary>Who did it, whatever they showed.</summary>
    public string? Subject { get; init; }

    /// <summary>What they showed.</summary>
    public string? Credential { get; init; }

    /// <summary>The address they came from.</summary>
    public string? Origin { get; init; }

    /// <summary>The model it is about.</summary>
    public string? Model { get; init; }

    /// <summary>The release it is about.</summary>
    public string? Release { get; init; }

    /// <summary>The rollout it is about.</summary>
    public string? Rollout { get; init; }

    /// <summary>The device it is about.</summary>
    public string? Device { get; init; }

    /// <summary>What was otherwise before and after.</summary>
    public ImmutableArray<AuditChange>? Changes { get; init; }

    /// <summary>As it is sent.</summary>
    public static AuditRecord Of(AuditEntry entry, string previous, string hash) => new(entry.Id, entry.At, entry.Kind, entry.By, entry.Why, previous, hash)
    {
        Subject = entry.Subject,
        Credential = entry.Credential,
        Origin = entry.Origin,
        Model = entry.Model,
        Release = entry.Release,
        Rollout = entry.Rollout,
        Device = entry.Device,
        Changes = entry.Changes.IsEmpty ? null : entry.Changes,
    };

    /// <summary>What is hashed.</summary>
    public AuditEntry Entry() => new(Id, At, Kind, By, Why)
    {
        Subject = Subject,
        Credential = Credential,
        Origin = Origin,
        Model = Model,
        Release = Release,
        Rollout = Rollout,
        Device = Device,
        Changes = Changes ?? [],
    };
}

/// <summary>A signed word about the end of the audit log.</summary>
/// <param name="Entry">Id of the last entry there was.</param>
/// <param name="Hash">Its hash.</param>
/// <param name="At">Milliseconds since 1970.</param>
/// <param name="Signature">ECDSA on P-256 with SHA-256, DER.</param>
public sealed record AuditCheckpointRecord(long Entry, Sha256Digest Hash, long At, byte[] Signature)
{
    /// <summary>As it is sent.</summary>
    public static AuditCheckpointRecord Of(AuditCheckpoint checkpoint) => new(checkpoint.Entry, checkpoint.Hash, checkpoint.At, checkpoint.Signature.ToArray());

    /// <summary>As it is verified.</summary>
    public AuditCheckpoint Checkpoint() => new(Entry, Hash, At, Signature);
}

/// <summary>A page of the audit log: <c>GET /v1/audit</c>.</summary>
/// <param name="Entries">Oldest first.</param>
/// <param name="Checkpoints">About entries of this page.</param>
/// <param name="Key">PEM of the key that signs checkpoints.</param>
/// <param name="Next">Give it as <c>after</c> for the next page; null at the end.</param>
public sealed record AuditPage(ImmutableArray<AuditRecord> Entries, ImmutableArray<AuditCheckpointRecord> Checkpoints, string Key, long? Next = null);

/// <summary>A line of an export: one of the two.</summary>
public sealed record AuditLine
{
    /// <summary>An entry.</summary>
    public AuditRecord? Entry { get; init; }

    /// <summary>A checkpoint about the entry in the line before.</summary>
    public AuditCheckpointRecord? Checkpoint { get; init; }
}
