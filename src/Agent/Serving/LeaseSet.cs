using Coppice.Inference;
using Coppice.Registry;

namespace Coppice.Agent.Serving;

/// <summary>Leases on several models, taken at one moment: no switch of a set lies between them.</summary>
public sealed class LeaseSet : IDisposable
{
    readonly string[] names;
    readonly Lease[] leases;

    LeaseSet(string[] names, Lease[] leases) => (this.names, this.leases) = (names, leases);

    /// <summary>Takes leases, again while sessions are exchanged.</summary>
    /// <param name="models">The models.</param>
    /// <param name="epoch">Odd while sessions of a set are exchanged, and another number afterwards.</param>
    internal static LeaseSet Take(AgentModel[] models, Func<long> epoch)
    {
        var wait = new SpinWait();
        while (true)
        {
            var before = epoch();
            if (before % 2 == 0)
            {
                var taken = Take(models);
                if (epoch() == before)
                    return taken;
                taken.Dispose();
            }

            wait.SpinOnce();
        }
    }

    static LeaseSet Take(AgentModel[] models)
    {
        var set = new LeaseSet([.. models.Select(model => model.Name.ToString())], new Lease[models.Length]);
        try
        {
            for (var i = 0; i < models.Length; i++)
                set.leases[i] = models[i].Lease();
            return set;
        }
        catch (ModelNotReadyException)
        {
            set.Dispose();
            throw;
        }
    }

    /// <summary>The release of a model.</summary>
    /// <exception cref="ArgumentException">The model is not among those that were leased.</exception>
    public SemanticVersion Release(string model) => leases[At(model)].Release;

    /// <summary>Absolute path of the folder with the files of a model's release.</summary>
    /// <exception cref="ArgumentException">The model is not among those that were leased.</exception>
    public string? Folder(string model) => leases[At(model)].Folder;

    /// <summary>The loaded model; see <see cref="Lease.Session"/>.</summary>
    /// <exception cref="ArgumentException">The model is not among those that were leased.</exception>
    /// <exception cref="InvalidOperationException">Its variant names no runtime.</exception>
    public IModelSession Session(string model) => leases[At(model)].Session;

    int At(string model) => Array.IndexOf(names, model) is >= 0 and var at ? at : throw new ArgumentException($"'{model}' was not leased; {string.Join(", ", names)} were.", nameof(model));

    /// <summary>Gives all leases back.</summary>
    public void Dispose()
    {
        for (var i = 0; i < leases.Length; i++)
            leases[i].Dispose();
    }
}
