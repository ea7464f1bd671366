using System.Collections.Immutable;

namespace Coppice.Trust;

/// <summary>The keys that sign for a role, and how many of them must.</summary>
/// <param name="Keys">Those that can be verified.</param>
/// <param name="Threshold">At least 1.</param>
public sealed record RoleSigners(ImmutableArray<PublicKey> Keys, long Threshold)
{
    /// <summary>Who signs a role.</summary>
    /// <param name="delegator">Trusted metadata that delegates to it.</param>
    /// <param name="role">Its name.</param>
    /// <returns>Null when it is not delegated to.</returns>
    public static RoleSigners? Of(IDelegator delegator, string role)
    {
        ArgumentNullException.ThrowIfNull(delegator);
        return delegator.KeysOf(role) is { } keys
            ? new([.. keys.KeyIds.Select(id => delegator.Keys.GetValueOrDefault(id)).OfType<PublicKey>().Where(key => key.IsUsable)], keys.Threshold)
            : null;
    }

    /// <summary>Whether as many of them as must have signed an envelope.</summary>
    public bool HaveSigned(DsseEnvelope envelope)
    {
        ArgumentNullException.ThrowIfNull(envelope);
        return envelope.Signers(Keys).Length >= Threshold;
    }
}
