using Coppice.Delivery;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>A way to get blobs: whole, by patches, by the ranges that differ. It offers steps; <see cref="DeliveryPlan"/> chooses among all ways' steps.</summary>
public interface IFileWay
{
    /// <summary>Whether it does steps of a kind.</summary>
    bool Takes(DeliveryKind kind);

    /// <summary>The steps that may help to the wanted file now.</summary>
    /// <param name="pull">The file on its way.</param>
    /// <param name="cheapest">What the ways that were asked before would cost, in bytes; null when they have none. Whoever costs more anyway need not find out how much.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="LinkException">It could not find out; the other ways are taken.</exception>
    Task<IReadOnlyList<DeliveryStep>> OffersAsync(FilePull pull, double? cheapest, CancellationToken cancel);

    /// <summary>Does a step of a kind that it takes. What it makes lies, synced, at <see cref="FilePull.PartOf"/>.</summary>
    /// <param name="step">One that was offered for the same pull.</param>
    /// <param name="pull">The file on its way.</param>
    /// <param name="cancel">Ends the call; what has come is kept where it helps later.</param>
    /// <returns>The digest of what is there now. The caller compares it, whatever the way.</returns>
    /// <exception cref="LinkException">It did not work this time; says why.</exception>
    Task<Sha256Digest> TakeAsync(DeliveryStep step, FilePull pull, CancellationToken cancel);
}
