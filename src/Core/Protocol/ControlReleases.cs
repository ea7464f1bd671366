using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>A release is handed in: <c>POST /v1/models/{owner}/{name}/releases</c>, after all its blobs.</summary>
/// <param name="Manifest">The manifest's exact bytes, at most <see cref="ReleaseManifest.MaxBytes"/>; base64 in JSON.</param>
/// <param name="ReleasesMetadata">The next version of the TUF role <c>releases</c>, signed offline, that names the manifest; base64 in JSON.</param>
public sealed record PublishRelease(byte[] Manifest, byte[] ReleasesMetadata)
{
    /// <summary>Most bytes of the request: the manifest and the metadata of some 10,000 releases in base64.</summary>
    public const int MaxBytes = 24 << 20;
}

/// <summary>A release as the server keeps it.</summary>
/// <param name="Model">The line of releases.</param>
/// <param name="Version">Unique within the model.</param>
/// <param name="Digest">SHA-256 of the manifest's bytes.</param>
/// <param name="PublishedAt">When the server took it.</param>
/// <param name="PublishedBy">The operator who handed it in.</param>
/// <param name="Length">Bytes of all its files, each digest once.</param>
/// <param name="Variants">Names of its variants, best first.</param>
/// <param name="Serving">Devices whose last word is that it serves.</param>
/// <param name="Revoked">Null while it may serve.</param>
public sealed record ReleaseView(
    ModelName Model, SemanticVersion Version, Sha256Digest Digest, DateTimeOffset PublishedAt, string PublishedBy, long Length, ImmutableArray<string> Variants, int Serving, Revocation? Revoked = null);

/// <summary>A release with its whole manifest and the devices where it runs.</summary>
/// <param name="Release">In short.</param>
/// <param name="Manifest">As it was signed.</param>
/// <param name="Devices">Ids of devices that serve it, the first hundred in order.</param>
public sealed record ReleaseDetail(ReleaseView Release, ReleaseManifest Manifest, ImmutableArray<string> Devices)
{
    /// <summary>Bytes by the way they came to devices, over all rollouts of the release; see <see cref="Coppice.Delivery.DeliveryWay"/>. <c>copied</c> did not cross the network.</summary>
    public ImmutableSortedDictionary<string, long> BytesByWay { get; init => field = value ?? ImmutableSortedDictionary<string, long>.Empty; } = ImmutableSortedDictionary<string, long>.Empty;

    /// <summary>What the repository has beside the whole files: patches to them, and from which releases' files.</summary>
    public ImmutableArray<PatchView> Patches { get; init => field = value.IsDefault ? [] : value; } = [];
}

/// <summary>A patch to a file of a release.</summary>
/// <param name="File">The file's name in the release.</param>
/// <param name="From">SHA-256 of what it is made from; empty when it is the file compressed.</param>
/// <param name="Length">Bytes.</param>
public sealed record PatchView(string File, ImmutableArray<Sha256Digest> From, long Length);

/// <summary>A release that no device may serve any more; for ever.</summary>
public sealed record Revocation(DateTimeOffset At, string By, string Why);

/// <summary>A model in a list.</summary>
/// <param name="Name">The line of releases.</param>
/// <param name="Releases">How many there are.</param>
/// <param name="Serving">Devices that serve any of them.</param>
/// <param name="Latest">The highest version that is not revoked; null when there is none.</param>
/// <param name="Running">The rollout under way; null when there is none.</param>
public sealed record ModelView(ModelName Name, int Releases, int Serving, SemanticVersion? Latest = null, string? Running = null);

/// <summary>A model with its releases, newest version first, and its rollouts, newest first.</summary>
/// <param name="Model">In short.</param>
/// <param name="PlanSerial">Serial of the plan that devices read.</param>
/// <param name="Releases">Highest version first.</param>
/// <param name="Rollouts">Newest first, at most a hundred.</param>
public sealed record ModelDetail(ModelView Model, long PlanSerial, ImmutableArray<ReleaseView> Releases, ImmutableArray<RolloutView> Rollouts);

/// <summary>Why an operator does something; kept with the event.</summary>
/// <param name="Why">1 to 1,000 characters.</param>
public sealed record Reason(string Why)
{
    /// <summary>Longest reason, in characters.</summary>
    public const int MaxLength = 1000;
}
