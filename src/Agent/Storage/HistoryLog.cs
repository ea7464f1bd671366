using System.Text;
using Coppice.Agent.Link;
using Coppice.Trust;

namespace Coppice.Agent.Storage;

/// <summary>What happened on this device, a line each, oldest first. A line that a power cut tore is passed over, never half read.</summary>
/// <remarks>Each line is the first 16 hex digits of the SHA-256 of the rest, a space, and an event as JSON. Bounded: at
/// <see cref="MaxBytes"/> the file becomes the older one, in place of the one before.</remarks>
public sealed class HistoryLog(IDisk disk)
{
    /// <summary>Bytes of each of the two files.</summary>
    public const int MaxBytes = 1 << 20;

    const int CheckLength = 16;
    readonly Lock gate = new();
    bool torn = true; // until a line of this run stands at the end

    /// <summary>Adds an event. Safe from a power cut on return.</summary>
    public void Add(AgentEvent happened)
    {
        var text = StateJson.Write(happened);
        var line = $"{Check(text)} {text}\n";
        lock (gate)
        {
            if (disk.LengthOf(DataFolder.History) > MaxBytes)
            {
                disk.Rename(DataFolder.History, DataFolder.OlderHistory);
                disk.SyncFolder("");
            }

            var first = disk.LengthOf(DataFolder.History) is null;
            using (var file = disk.Append(DataFolder.History))
            {
                // A line that was cut short has no end; an empty line does no harm.
                file.Write(Encoding.UTF8.GetBytes(torn && !first ? "\n" + line : line));
                file.Sync();
            }

            torn = false;
            if (first)
                disk.SyncFolder("");
        }
    }

    /// <summary>All whole lines, oldest first.</summary>
    public static IReadOnlyList<AgentEvent> Read(IDisk disk)
    {
        var events = new List<AgentEvent>();
        foreach (var path in (string[])[DataFolder.OlderHistory, DataFolder.History])
        {
            if (disk.ReadSmall(path, 2 * MaxBytes) is not { } bytes)
                continue;
            foreach (var line in Encoding.UTF8.GetString(bytes).Split('\n'))
            {
                if (line.Length > CheckLength + 1 && Check(line[(CheckLength + 1)..]) == line[..CheckLength] && StateJson.ReadEvent(line[(CheckLength + 1)..]) is { } happened)
                    events.Add(happened);
            }
        }

        return events;
    }

    static string Check(string text) => Sha256Digest.Of(Encoding.UTF8.GetBytes(text)).ToString()[..CheckLength];
}
