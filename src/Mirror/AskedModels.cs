using System.Collections.Concurrent;
using System.Text;
using Coppice.Agent.Storage;
using Coppice.Registry;

namespace Coppice.Mirror;

/// <summary>Models whose plans devices of this site have read: what is fetched for them before they ask.</summary>
/// <param name="disk">The mirror's folder.</param>
public sealed class AskedModels(IDisk disk)
{
    const string FileName = "models";
    const int Most = 10_000;
    const int MostBytes = Most * 131;

    readonly ConcurrentDictionary<string, ModelName> models = new(Read(disk));
    readonly Lock writing = new();

    /// <summary>All of them.</summary>
    public IEnumerable<ModelName> All => models.Values;

    /// <summary>Takes note of a document that was asked for.</summary>
    /// <param name="path">Below the repository: <c>targets/rollouts/plant/bearing/….plan.json</c>.</param>
    public void Note(string path)
    {
        if (path.Split('/') is not ["targets", "rollouts", var owner, var name, _] || models.Count >= Most || !ModelName.TryParse($"{owner}/{name}", out var model) || !models.TryAdd(model.ToString(), model))
            return;
        lock (writing)
            disk.Replace(FileName, Encoding.ASCII.GetBytes(string.Join('\n', models.Keys.Order(StringComparer.Ordinal))));
    }

    static IEnumerable<KeyValuePair<string, ModelName>> Read(IDisk disk)
    {
        foreach (var line in Encoding.ASCII.GetString(disk.ReadSmall(FileName, MostBytes) ?? []).Split('\n'))
        {
            if (ModelName.TryParse(line, out var model))
                yield return new(line, model);
        }
    }
}
