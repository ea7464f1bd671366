using System.Collections.Immutable;
using Coppice.Agent.Updates;
using Coppice.Inference;

namespace Coppice.Agent;

/// <summary>How an agent is set up. Only <see cref="Data"/>, <see cref="Models"/> and where releases come from are needed.</summary>
public sealed record AgentOptions
{
    /// <summary>Folder for everything the agent keeps; made when it is not there. One agent at a time.</summary>
    public required string Data { get; init; }

    /// <summary>Models to keep current, as <c>plant/bearing</c>.</summary>
    public required IReadOnlyList<string> Models { get; init; }

    /// <summary>Address of the server; null when there is none, as with a repository on a stick.</summary>
    public string? Server { get; init; }

    /// <summary>What an operator gave to join with: <c>cpj_SECRET_ROOT</c>. Needed at the first start only, and not by a device that the server's list has or an operator accepts.</summary>
    public string? JoinToken { get; init; }

    /// <summary>SHA-256, in hex, of the public key of the authority that vouches for the server's TLS, when no join token says it; null for public ones.</summary>
    public string? Authority { get; init; }

    /// <summary>A folder or address that holds <c>metadata/</c>, <c>targets/</c> and <c>blobs/</c>; null for the server's own.</summary>
    public string? Repository { get; init; }

    /// <summary>How long the repository's timestamp and snapshot are taken after they expired, for sites that hear of it by bundles; zero, which is TUF's own
    /// rule, where nothing is said. Versions never go back whatever this is, and no other role outlives its expiry.</summary>
    public TimeSpan OfflineGrace { get; init; }

    /// <summary>SHA-256 of a version of the repository's root metadata, in hex, when there is no join token. Needed at the first start only.</summary>
    public string? Root { get; init; }

    /// <summary>The device's id, taken at the first start; null for a random one. 1 to 64 of a-z, 0-9, '-', '_', '.'.</summary>
    public string? Device { get; init; }

    /// <summary>Version of the app that embeds the agent, as releases may ask for it.</summary>
    public string? App { get; init; }

    /// <summary>Facts that go over measured ones.</summary>
    public IReadOnlyDictionary<string, string> Facts { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Names of facts that the server is not told, as <c>disk.free</c>; one that ends with '*' is of all that begin so. The device goes by them all the same.</summary>
    public IReadOnlyList<string> WithheldFacts { get; init; } = [];

    /// <summary>For a model, a file with labelled samples of this device, JSON lines or npz. It is read in trials and never leaves the device.</summary>
    public IReadOnlyDictionary<string, string> TrialData { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Polls, retries and probation.</summary>
    public UpdatePolicy Policy { get; init; } = new();

    /// <summary>How often the server hears of this device when there is nothing to report; null for ten polls.</summary>
    public TimeSpan? CheckIn { get; init; }

    /// <summary>Most bytes that the files of all releases may take together.</summary>
    public long Quota { get; init; } = 16L << 30;

    /// <summary>Most bytes to fetch each second; 0 for no limit.</summary>
    public long RatePerSecond { get; init; }

    /// <summary>How long an answer may stand still.</summary>
    public TimeSpan Stall { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The runtimes that load models; null for ONNX Runtime.</summary>
    public IReadOnlyList<IModelRuntime>? Runtimes { get; init; }

    /// <summary>What a session may take.</summary>
    public SessionLimits Limits { get; init; } = SessionLimits.None;

    /// <summary>Looked through before a runtime opens a file.</summary>
    public ImmutableArray<FileCheck> Checks { get; init; } = [];

    /// <summary>Told what happens, one event at a time.</summary>
    public Action<AgentEvent>? OnEvent { get; init; }

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Of the jitter; null for a random one.</summary>
    public int? Seed { get; init; }
}
