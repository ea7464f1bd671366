using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>Where a release goes: a repository folder, or a server.</summary>
interface IReleaseRepository : IDisposable
{
    /// <summary>The model's highest release so far; null when there is none.</summary>
    Task<ReleaseManifest?> LatestAsync(ModelName model, CancellationToken cancel);

    /// <summary>Brings the files, then the signed manifest. Either the whole release is there afterwards, or devices see nothing of it.</summary>
    /// <param name="manifest">What the bytes say.</param>
    /// <param name="bytes">The manifest as it is signed, by the keys at hand of the role that its model is delegated to.</param>
    /// <param name="files">Where the files' bytes are.</param>
    /// <param name="progress">Bytes brought so far, of all.</param>
    /// <param name="cancel">Stops.</param>
    /// <returns>What was done.</returns>
    /// <exception cref="PublicationException">The repository refuses; says why and what to do.</exception>
    Task<Publication> PublishAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, IProgress<long> progress, CancellationToken cancel);

    /// <summary>Brings the files, and asks for the manifest to be signed by people who are elsewhere. Devices see nothing yet.</summary>
    /// <inheritdoc cref="PublishAsync"/>
    Task<SigningRequest> AskAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, IProgress<long> progress, CancellationToken cancel);

    /// <summary>Hands in what they signed.</summary>
    /// <param name="manifest">What the bytes say.</param>
    /// <param name="bytes">The manifest as it was signed.</param>
    /// <param name="role">The role that signed it.</param>
    /// <param name="metadata">The role's next metadata.</param>
    /// <param name="cancel">Stops.</param>
    /// <exception cref="PublicationException">The repository refuses; says why and what to do.</exception>
    Task<Publication> PublishSignedAsync(ReleaseManifest manifest, byte[] bytes, string role, ReadOnlyMemory<byte> metadata, CancellationToken cancel);
}

/// <summary>What a publication did.</summary>
/// <param name="BytesSent">Bytes of files that were not there yet.</param>
/// <param name="BytesThere">Bytes of files that were.</param>
sealed record Publication(long BytesSent, long BytesThere)
{
    /// <summary>What somebody should do about the repository's metadata.</summary>
    public ImmutableArray<string> Warnings { get; init; } = [];
}

/// <summary>A repository does not take a release.</summary>
sealed class PublicationException(string message, Exception? inner = null) : Exception(message, inner);
