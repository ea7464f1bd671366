using Coppice.Trust;
using Microsoft.Extensions.Logging;

namespace Coppice.Mirror;

/// <summary>How a mirror is set up.</summary>
public sealed record MirrorOptions
{
    /// <summary>Folder for everything the mirror keeps; made when it is not there. One mirror at a time.</summary>
    public required string Data { get; init; }

    /// <summary>The server, ending in '/'.</summary>
    public required Uri Upstream { get; init; }

    /// <summary>Address to listen on; port 0 takes a free one.</summary>
    public string Listen { get; init; } = "http://127.0.0.1:8430";

    /// <summary>SHA-256 of a version of the repository's root, for a mirror that shall follow no other; null takes the first that upstream offers. Devices check for themselves.</summary>
    public Sha256Digest? Root { get; init; }

    /// <summary>SHA-256 of the public key of the authority that vouches for the server's TLS, as join tokens carry it; null where public ones do.</summary>
    public Sha256Digest? Authority { get; init; }

    /// <summary>Most bytes of blobs and patches; the least recently asked for go first.</summary>
    public long Budget { get; init; } = 64L << 30;

    /// <summary>Most bytes of reports that wait for upstream; beyond it devices keep theirs.</summary>
    public long ReportBudget { get; init; } = 1L << 30;

    /// <summary>Between two looks at upstream's timestamp.</summary>
    public TimeSpan Poll { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long upstream may take to begin an answer, or stand still within one.</summary>
    public TimeSpan Stall { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a device's report waits for upstream's own answer before the mirror answers by itself.</summary>
    public TimeSpan ReportPatience { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>What the log on standard error tells.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;
}
