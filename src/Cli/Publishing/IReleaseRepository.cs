using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Cli.Publishing;

/// <summary>Where a release goes: a repository folder, or a server.</summary>
interface IReleaseRepository : IDisposable
{
    /// <summary>The model's highest release so far; null when there is none.</summary>
    Task<ReleaseManifest?> LatestAsync(ModelName model, CancellationToken cancel);

    /// <summary>A release that is published; null when there is none of this version.</summary>
    Task<PublishedRelease?> FindAsync(ModelName model, SemanticVersion version, CancellationToken cancel);

    /// <summary>Signs a statement with the release keys at hand for a model; null where others are asked to sign.</summary>
    Task<DsseEnvelope?> SignAsync(ModelName model, string payloadType, ReadOnlyMemory<byte> payload, CancellationToken cancel);

    /// <summary>Asks whether releases of a model must be sealed, whatever the publisher says.</summary>
    Task<bool> MustSealAsync(ModelName model, CancellationToken cancel);

    /// <summary>The public key of a server that keeps content keys and gives them to devices; null when nobody does.</summary>
    Task<SealingPublicKey?> KeeperAsync(CancellationToken cancel);

    /// <summary>Hands content keys of a model to the keeper.</summary>
    /// <exception cref="PublicationException">It refuses; says why and what to do.</exception>
    Task KeepAsync(ModelName model, GrantFile keys, CancellationToken cancel);

    /// <summary>Puts grants into the repository, beside those that are there.</summary>
    /// <exception cref="PublicationException">It refuses; says why and what to do.</exception>
    Task GrantAsync(GrantFile grants, CancellationToken cancel);

    /// <summary>Leaves a public key no grants in the repository.</summary>
    Task WithdrawAsync(Sha256Digest recipient, CancellationToken cancel);

    /// <summary>Brings the files, then the signed manifest. Either the whole release is there afterwards, or devices see nothing of it.</summary>
    /// <param name="manifest">What the bytes say.</param>
    /// <param name="bytes">The manifest as it is signed, by the keys at hand of the role that its model is delegated to.</param>
    /// <param name="files">Where the bytes of the blobs are.</param>
    /// <param name="key">Finds the key of a sealed file, for patches that are made here; null when it is not known.</param>
    /// <param name="progress">Bytes brought so far, of all.</param>
    /// <param name="cancel">Stops.</param>
    /// <returns>What was done.</returns>
    /// <exception cref="PublicationException">The repository refuses; says why and what to do.</exception>
    Task<Publication> PublishAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, Func<ReleaseFile, ContentKey?> key, IProgress<long> progress, CancellationToken cancel);

    /// <summary>Brings the files, and asks for the manifest to be signed by people who are elsewhere. Devices see nothing yet.</summary>
    /// <param name="manifest">What the bytes say.</param>
    /// <param name="bytes">The manifest as it is to be signed.</param>
    /// <param name="files">Where the bytes of the blobs are.</param>
    /// <param name="progress">Bytes brought so far, of all.</param>
    /// <param name="cancel">Stops.</param>
    /// <exception cref="PublicationException">The repository refuses; says why and what to do.</exception>
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

/// <summary>A release as it was published.</summary>
/// <param name="Manifest">What it says.</param>
/// <param name="Digest">SHA-256 of the manifest's bytes.</param>
sealed record PublishedRelease(ReleaseManifest Manifest, Sha256Digest Digest);

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
