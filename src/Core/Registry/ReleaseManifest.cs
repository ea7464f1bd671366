using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Trust;

namespace Coppice.Registry;

/// <summary>One immutable version of a model: what its signed manifest says. Specified in docs/formats/manifest.md.</summary>
/// <param name="Schema">Version of the manifest's own form; this code writes and reads 1.</param>
/// <param name="Model">The line of releases.</param>
/// <param name="Version">Unique within the model, for ever.</param>
/// <param name="Variants">At least one, best first: a device takes the first that fits it.</param>
public sealed record ReleaseManifest(int Schema, ModelName Model, SemanticVersion Version, ImmutableArray<Variant> Variants)
{
    /// <summary>The schema this code writes.</summary>
    public const int CurrentSchema = 1;

    /// <summary>Largest manifest taken, in bytes.</summary>
    public const int MaxBytes = 4 << 20;

    /// <summary>What the device tries before it serves; null when there is nothing but loading.</summary>
    public Trial? Trial { get; init; }

    /// <summary>SPDX expression or a name.</summary>
    public string? Licence { get; init; }

    /// <summary>For people: what changed.</summary>
    public string? Notes { get; init; }

    /// <summary>Who made it, when and from what.</summary>
    public Provenance? Provenance { get; init; }

    /// <summary>Said at publication: callers of the release before must change.</summary>
    public bool Breaking { get; init; }

    /// <summary>Other models that must serve on the device before a device switches to the release, and as long as it serves; null for none.</summary>
    public ImmutableArray<ModelRequirement>? Requires { get; init; }

    /// <summary>Statements about the release; null when there are none.</summary>
    public Evidence? Evidence { get; init; }

    /// <summary>Whether the repository keeps its files encrypted.</summary>
    public bool IsSealed => Files.Any(file => file.Sealed is not null);

    /// <summary>Every file of every variant, of the trial and of the evidence, each digest once: what a repository holds of it.</summary>
    public IEnumerable<ReleaseFile> Files =>
        Variants.SelectMany(variant => variant.Files).Concat(Trial?.Files ?? []).Concat(Evidence?.Files ?? []).DistinctBy(file => file.Digest);

    /// <summary>Every blob that the repository holds for the release: its files and what belongs to them, each digest once.</summary>
    public IEnumerable<BlobName> Blobs => Files.SelectMany(file => (BlobName?[])[file.Stored, file.TensorMap]).OfType<BlobName>().DistinctBy(blob => blob.Digest);
}

/// <summary>One build of a release with its own requirements.</summary>
/// <param name="Name">Unique in the release: fp32, int8, q4_0.</param>
/// <param name="Files">At least one; the first is the one the runtime opens, the others lie beside it under their names.</param>
/// <param name="Format">Of the first file.</param>
/// <param name="Runtime">Name of the runtime that loads it, as <see cref="IModelRuntime.Name"/>; null when only the app knows.</param>
public sealed record Variant(string Name, ImmutableArray<ReleaseFile> Files, ModelFormat Format, string? Runtime = null)
{
    /// <summary>Inputs and outputs; null when the format does not tell.</summary>
    public TensorSignature? Signature { get; init; }

    // A member that a document leaves out arrives here as null or default: the reader sets every init property.
    /// <summary>What the device must have.</summary>
    public Requirements Requirements { get; init => field = value ?? Requirements.None; } = Requirements.None;

    /// <summary>Digest of the frozen base that this variant adapts; null when it stands alone.</summary>
    public Sha256Digest? AdapterBase { get; init; }

    /// <summary>Bytes of all files.</summary>
    public long Length => Files.Sum(file => file.Length);
}

/// <summary>A file of a release, found by its digest.</summary>
/// <param name="Name">Relative path with '/', no '..', unique in its variant.</param>
/// <param name="Digest">SHA-256 of the bytes, as a device has them when it loads the file.</param>
/// <param name="Length">Bytes.</param>
public sealed record ReleaseFile(string Name, Sha256Digest Digest, long Length)
{
    /// <summary>The blob that names the file's ranges by their digests, so that a device fetches only those that it lacks; null when there is none.
    /// Specified in docs/formats/tensor-map.md.</summary>
    public BlobName? TensorMap { get; init; }

    /// <summary>How the repository keeps it, encrypted; null when it keeps the bytes as they are.</summary>
    public SealedFile? Sealed { get; init; }

    /// <summary>The file's bytes, as a device has them.</summary>
    public BlobName Blob => new(Digest, Length);

    /// <summary>The blob that the repository keeps.</summary>
    public BlobName Stored => new(StoredDigest, StoredLength);

    /// <summary>SHA-256 of the blob that the repository keeps.</summary>
    public Sha256Digest StoredDigest => Sealed?.Digest ?? Digest;

    /// <summary>Bytes of the blob that the repository keeps.</summary>
    public long StoredLength => Sealed?.Length ?? Length;
}

/// <summary>The encrypted form of a file, described in docs/formats/sealing.md.</summary>
/// <param name="Digest">SHA-256 of the sealed blob: its name in the repository.</param>
/// <param name="Length">Bytes of the sealed blob.</param>
/// <param name="Segment">Bytes of plaintext in each of its segments but the last.</param>
/// <param name="Key">Name of the content key that opens it: <see cref="Trust.Sealing.ContentKey.Id"/>.</param>
public sealed record SealedFile(Sha256Digest Digest, long Length, int Segment, Sha256Digest Key);

/// <summary>What a model takes and gives.</summary>
public sealed record TensorSignature(ImmutableArray<TensorSpec> Inputs, ImmutableArray<TensorSpec> Outputs);

/// <summary>What a device must have to take a variant. Null asks for nothing.</summary>
public sealed record Requirements
{
    /// <summary>Nothing is asked.</summary>
    public static Requirements None { get; } = new();

    /// <summary>Any of these operating systems: linux, windows, macos, android.</summary>
    public ImmutableArray<string> Os { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Any of these architectures: x64, arm64, arm.</summary>
    public ImmutableArray<string> Arch { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Versions of the runtime.</summary>
    public VersionRange? Runtime { get; init; }

    /// <summary>Versions of the app that embeds the agent.</summary>
    public VersionRange? App { get; init; }

    /// <summary>Bytes of memory free when the variant is loaded.</summary>
    public long? Ram { get; init; }

    /// <summary>Bytes of disk free before the files are fetched, beyond the files themselves.</summary>
    public long? Disk { get; init; }

    /// <summary>All of these: cuda, tensorrt, coreml…</summary>
    public ImmutableArray<string> Accelerators { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>A condition on labels and facts, in the selector language of <see cref="Fleet.Selector"/>.</summary>
    public string? Selector { get; init; }
}

/// <summary>What a staged release must show on the device before it serves.</summary>
public sealed record Trial
{
    /// <summary>Labelled samples, JSON lines or npz; null when the release brings none.</summary>
    public ReleaseFile? Evaluation { get; init; }

    /// <summary>Inputs with the outputs that the publisher's machine gave; null when there are none.</summary>
    public ReleaseFile? Golden { get; init; }

    /// <summary>What is too bad.</summary>
    public TrialLimits Limits { get; init => field = value ?? TrialLimits.None; } = TrialLimits.None;

    /// <summary>The files a device fetches for the trial.</summary>
    public IEnumerable<ReleaseFile> Files => new[] { Evaluation, Golden }.OfType<ReleaseFile>();
}

/// <summary>Bounds of a trial; null asks for nothing. A bound whose figure could not be measured is a failure, not a pass.</summary>
/// <param name="MinAccuracy">Share of labelled samples answered rightly, 0 to 1: of the release's set, and of the device's own set where it has one.</param>
/// <param name="MaxAccuracyDrop">How much less accurate than the serving release on the same samples, 0 to 1.</param>
/// <param name="MaxGoldenError">Largest absolute difference of an output from the golden one, relative to max(1, |golden|).</param>
/// <param name="MaxLatencyP95">Of a single run.</param>
/// <param name="MaxMemory">Bytes that load and runs add to the process at their peak.</param>
public sealed record TrialLimits(
    double? MinAccuracy = null, double? MaxAccuracyDrop = null, double? MaxGoldenError = null, TimeSpan? MaxLatencyP95 = null, long? MaxMemory = null)
{
    /// <summary>Nothing is asked but that it loads and runs.</summary>
    public static TrialLimits None { get; } = new();
}

/// <summary>Who made a release, when and from what.</summary>
/// <param name="By">A person or a job, as they call themselves.</param>
/// <param name="At">When it was published.</param>
/// <param name="Tool">Program and version that published it.</param>
/// <param name="Source">Digest of what it was made from, where the publisher says it.</param>
public sealed record Provenance(string By, DateTimeOffset At, string Tool, Sha256Digest? Source = null);
