using System.Collections.Immutable;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Backups;

/// <summary>That this server's state was put back from a backup.</summary>
sealed class RestoreRow
{
    public long Number { get; set; }
    public required DateTimeOffset At { get; set; }
    public required DateTimeOffset BackupAt { get; set; }

    /// <summary>The least version of what the online keys sign from then on.</summary>
    public required long Version { get; set; }

    /// <summary>The least serial of plans from then on, also of models that the backup did not know.</summary>
    public required long Serial { get; set; }

    /// <summary>For each role that offline keys sign, the least version of its next metadata; JSON.</summary>
    public required string LeastNext { get; set; }

    public ImmutableSortedDictionary<string, long> Least() => StoredText.Bytes(LeastNext)!;
}

/// <summary>What a server that was restored knows of its devices: that they may have seen more than it remembers. Read once; a restore needs an empty place.</summary>
sealed record Restores(ImmutableArray<RestoreRow> All)
{
    /// <summary>Of a server that never was.</summary>
    public static Restores None { get; } = new([]);

    /// <summary>The last one; null for none.</summary>
    public RestoreRow? Newest => All.IsEmpty ? null : All[^1];

    /// <summary>The least serial of a plan.</summary>
    public long LeastSerial => All.IsEmpty ? 0 : All.Max(row => row.Serial);

    public static Task<Restores> ReadAsync(Database database, CancellationToken cancel) => database.ReadAsync(async db =>
        new Restores([.. await db.Restores.OrderBy(row => row.Number).ToListAsync(cancel)]), cancel);
}
