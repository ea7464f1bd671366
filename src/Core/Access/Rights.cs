using System.Collections.Immutable;
using System.Diagnostics;
using Coppice.Fleet;
using Coppice.Registry;

namespace Coppice.Access;

/// <summary>What somebody may do: layers of grants, every one of which must allow an act. An operator's grants are one layer; those of a token narrow them by another.</summary>
public sealed class Rights
{
    readonly ImmutableArray<ImmutableArray<Grant>> layers;

    /// <param name="layers">At least one. An empty layer allows nothing.</param>
    public Rights(params ReadOnlySpan<ImmutableArray<Grant>> layers)
    {
        if (layers.IsEmpty)
            throw new ArgumentException("Rights without a layer would be rights to everything; give at least one.", nameof(layers));
        this.layers = [.. layers];
    }

    /// <summary>The right to nothing.</summary>
    public static Rights None { get; } = new([ImmutableArray<Grant>.Empty]);

    /// <summary>The layers, the operator's own first.</summary>
    public ImmutableArray<ImmutableArray<Grant>> Layers => layers;

    /// <summary>Whether there is any model and device that the act is allowed on. A request that fails here need not be read.</summary>
    public bool MaySomewhere(Permission permission) => Confinement(permission, null) is not null;

    /// <summary>Whether an act on a model, and on every device, is allowed.</summary>
    public bool May(Permission permission, ModelName model) => Confinement(permission, model) is { IsAll: true };

    /// <summary>Whether an act on a device is allowed; for permissions that are about devices.</summary>
    public bool May(Permission permission, FactSet device) => Confinement(permission, null) is { } devices && devices.Matches(device);

    /// <summary>Whether an act on every model of a set, and on every device, is allowed.</summary>
    public bool May(Permission permission, ModelPattern models) => layers.All(layer => layer.Any(grant =>
        Fits(PermissionTable.Of(permission), grant, null) && grant.Models.Holds(models) && (grant.Devices.IsAll || PermissionTable.Of(permission).Reach is Reach.Self or Reach.Model)));

    /// <summary>Whether an act on a rollout with that selector is allowed: whether the rollout is confined to devices that the grants hold.</summary>
    public bool May(Permission permission, ModelName model, string rolloutSelector) =>
        Confinement(permission, model) is { } devices && (devices.IsAll || Selector.IsWithin(rolloutSelector, devices));

    /// <summary>Which devices an act is confined to; <see cref="Selector.All"/> for none of that, null when it is not allowed at all.</summary>
    /// <param name="permission">The act.</param>
    /// <param name="model">The model it is about; null for any.</param>
    public Selector? Confinement(Permission permission, ModelName? model)
    {
        var row = PermissionTable.Of(permission);
        var all = Selector.All;
        foreach (var layer in layers)
        {
            Selector? devices = null;
            foreach (var grant in layer)
            {
                if (!Fits(row, grant, model))
                    continue;
                // Where devices do not matter, a grant for some devices is as good as one for all.
                var those = row.Reach is Reach.Self or Reach.Model ? Selector.All : grant.Devices;
                devices = devices is null ? those : Selector.Either(devices, those);
            }

            if (devices is null)
                return null;
            all = Selector.Both(all, devices);
        }

        return all;
    }

    /// <summary>Whether somebody with these rights may see a model in a list.</summary>
    public bool Sees(ModelName model) => May(Permission.ModelRead, model);

    static bool Fits(PermissionTable.Row row, Grant grant, ModelName? model) => row.Allows(grant.Role) && row.Reach switch
    {
        Reach.Self or Reach.Device => true,
        Reach.Model or Reach.ModelOnDevices => model is null || grant.Models.Holds(model),
        Reach.WholeModel => grant.Devices.IsAll && (model is null || grant.Models.Holds(model)),
        Reach.WholeDevice => grant.Models.IsAll,
        Reach.Server => grant.Models.IsAll && grant.Devices.IsAll,
        _ => throw new UnreachableException($"Reach {row.Reach} has no rule."),
    };

    /// <summary>As a person reads them, a line a grant.</summary>
    public override string ToString() => string.Join("; within ", layers.Select(layer => layer.IsEmpty ? "nothing" : string.Join(", ", layer)));
}
