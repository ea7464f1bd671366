using Coppice.Server.Access;
using Coppice.Server.Events;
using Coppice.Server.Patches;
using Coppice.Server.Trust;

namespace Coppice.Server;

/// <summary>How a server runs.</summary>
public sealed record ControlPlaneOptions
{
    /// <summary>The folder that holds everything; made at the first start.</summary>
    public required string Data { get; init; }

    /// <summary>Address to listen on; port 0 takes a free one.</summary>
    public string Listen { get; init; } = "http://127.0.0.1:8420";

    /// <summary>Enrolments that one client address may try in a minute, good or bad.</summary>
    public int EnrolmentsPerMinute { get; init; } = 300;

    /// <summary>Largest blob taken, in bytes.</summary>
    public long MaxBlobBytes { get; init; } = 64L << 30;

    /// <summary>Whether patches are made, so that devices fetch less.</summary>
    public bool Patches { get; init; } = true;

    /// <summary>Bytes of the largest file that a patch is made from or makes.</summary>
    public long LargestPatched { get; init; } = PatchMaker.DefaultLargest;

    /// <summary>Patches that are made at once, each with one thread.</summary>
    public int PatchThreads { get; init; } = 1;

    /// <summary>How long a patch stays that no device needs.</summary>
    public TimeSpan KeepPatches { get; init; } = TimeSpan.FromDays(7);

    /// <summary>How mail is sent; null for not at all.</summary>
    public MailSettings? Mail { get; init; }

    /// <summary>Whose sign-ins are taken beside API tokens; null for nobody's.</summary>
    public OidcSettings? Oidc { get; init; }

    /// <summary>Files of the server's sealing keys, outside the data folder: the present one first, then older ones that still open what is kept. Without one the server keeps no content keys.</summary>
    public IReadOnlyList<string> SealingKeys { get; init; } = [];

    /// <summary>The password of encrypted sealing keys.</summary>
    public string? SealingKeyPassword { get; init; }

    /// <summary>How long a stop waits for requests under way.</summary>
    public TimeSpan StopPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long signed metadata is trusted; null for the defaults.</summary>
    public RepositoryLifetimes? Lifetimes { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>What the log tells; it goes to standard error.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Warning;
}
