using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Updates;
using Coppice.Registry;

namespace Coppice.Agent.Storage;

/// <summary>Writes what the agent is about to do, for <c>coppice agent status</c>. Never synced, and not written more than it changes.</summary>
sealed class LiveFile(IDisk disk, TimeProvider time)
{
    readonly Lock gate = new();
    ImmutableSortedDictionary<string, LiveModel> models = ImmutableSortedDictionary<string, LiveModel>.Empty;
    string? link;

    public string? Link
    {
        get => link;
        set
        {
            if (link == value)
                return;
            link = value;
            Write();
        }
    }

    public void Show(ModelName model, LiveModel seen)
    {
        // A step that lasts no time is not worth a write.
        if (seen.Next is null && models.TryGetValue(model.ToString(), out var known) && seen.Step is not (UpdateStep.Fetch or UpdateStep.Trial) && known.Step == seen.Step)
            return;
        lock (gate)
            models = models.SetItem(model.ToString(), seen);
        Write();
    }

    public void Close() => disk.Delete(DataFolder.Live);

    void Write()
    {
        lock (gate)
        {
            try
            {
                using (var file = disk.Create(DataFolder.Live + ".new"))
                    file.Write(StateJson.Write(new LiveView(time.GetUtcNow(), Environment.ProcessId, models, link)));
                disk.Rename(DataFolder.Live + ".new", DataFolder.Live);
            }
            catch (IOException) // nobody needs it to go on
            {
            }
        }
    }
}
