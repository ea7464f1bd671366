using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Updates;
using Coppice.Trust;

namespace Coppice.Agent;

/// <summary>What a data folder tells, whether its agent runs or not.</summary>
/// <param name="Device">The device's id; null when no agent ever ran here.</param>
/// <param name="Server">The server that knows it; null when none does.</param>
/// <param name="Running">Whether an agent holds the folder now.</param>
/// <param name="Trouble">The link's last trouble; null when there is none.</param>
/// <param name="ReportsWaiting">Reports that the server has not confirmed.</param>
/// <param name="Models">By name.</param>
public sealed record AgentStatus(string? Device, string? Server, bool Running, string? Trouble, int ReportsWaiting, ImmutableArray<ModelStatus> Models)
{
    /// <summary>SHA-256 of the key that the device signs with: an operator compares it before letting the device in. Null when there is none that can be read.</summary>
    public Sha256Digest? Key { get; init; }

    /// <summary>When the device's certificate expires; null while it has none.</summary>
    public DateTimeOffset? CertificateExpires { get; init; }

    /// <summary>Reads a data folder. Writes nothing.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    public static AgentStatus Read(string data)
    {
        var disk = Open(data);
        var identity = disk.ReadSmall(DataFolder.Identity, StateJson.MaxBytes) is { } bytes && StateJson.TryRead(bytes, out IdentityFile? known) ? known : null;
        var live = disk.ReadSmall(DataFolder.Live, StateJson.MaxBytes) is { } seen && StateJson.TryRead(seen, out LiveView? view) ? view : null;
        var running = IsHeld(Path.Combine(data, DataFolder.Lock));
        var models = ImmutableArray.CreateBuilder<ModelStatus>();
        foreach (var owner in disk.Folders(DataFolder.Models))
        {
            foreach (var name in disk.Folders($"{DataFolder.Models}/{owner}"))
            {
                if (disk.ReadSmall($"{DataFolder.Models}/{owner}/{name}/state.json", StateJson.MaxBytes) is { } saved && StateJson.TryRead(saved, out UpdateState? state))
                    models.Add(new(state, running && live is not null ? live.Models.GetValueOrDefault($"{owner}/{name}") : null));
            }
        }

        var waiting = disk.ReadSmall(DataFolder.Reports, StateJson.MaxBytes) is { } queue && StateJson.TryRead(queue, out ReportBox? box) ? box.Waiting.Length : 0;
        using var whole = Identity(disk);
        return new(identity?.Device, identity?.Server, running, running ? live?.Link : null, waiting, models.ToImmutable())
        {
            Key = whole?.Key.Public.Digest,
            CertificateExpires = whole?.Certificate is [var own, ..] ? new(own.NotAfter) : null,
        };
    }

    /// <summary>What happened, oldest first. Writes nothing.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    public static IReadOnlyList<AgentEvent> History(string data) => HistoryLog.Read(Open(data));

    static DeviceIdentity? Identity(FolderDisk disk)
    {
        try
        {
            return disk.LengthOf(DataFolder.Identity) is null ? null : DeviceIdentity.OpenOrMake(disk, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) // damaged, or another user's: the rest can be told all the same
        {
            return null;
        }
    }

    static FolderDisk Open(string data) => Directory.Exists(data)
        ? new(data)
        : throw new DirectoryNotFoundException($"{data} is not there; give the data folder of an agent.");

    static bool IsHeld(string path)
    {
        if (!File.Exists(path))
            return false;
        try
        {
            using var free = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }
}

/// <summary>A model in it.</summary>
/// <param name="State">As it was saved.</param>
/// <param name="Live">What the running agent is about to do; null when none runs.</param>
public sealed record ModelStatus(UpdateState State, LiveModel? Live);
