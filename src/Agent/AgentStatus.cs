using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Updates;

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
        return new(identity?.Device, identity?.Server, running, running ? live?.Link : null, waiting, models.ToImmutable());
    }

    /// <summary>What happened, oldest first. Writes nothing.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    public static IReadOnlyList<AgentEvent> History(string data) => HistoryLog.Read(Open(data));

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
