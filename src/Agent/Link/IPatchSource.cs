using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Where patches are read from. Nothing it gives is trusted: what a patch makes has a signed digest.</summary>
public interface IPatchSource
{
    /// <summary>Bytes of the patch from one blob to another, as the source says; null when it has none.</summary>
    /// <exception cref="LinkException">It could not be asked.</exception>
    Task<long?> PatchLengthAsync(Sha256Digest from, Sha256Digest to, CancellationToken cancel);

    /// <summary>Opens a patch at an offset, as <see cref="IBlobSource.OpenAsync"/> does a blob.</summary>
    /// <param name="from">The blob it is applied to.</param>
    /// <param name="to">The blob it makes.</param>
    /// <param name="length">Of the whole patch, as <see cref="PatchLengthAsync"/> said.</param>
    /// <param name="offset">Bytes that are here already, below <paramref name="length"/>.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="LinkException">It was not to be had; says why.</exception>
    Task<BlobBody> OpenPatchAsync(Sha256Digest from, Sha256Digest to, long length, long offset, CancellationToken cancel);
}
