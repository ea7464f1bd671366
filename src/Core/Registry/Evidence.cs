using System.Collections.Immutable;

namespace Coppice.Registry;

/// <summary>Where the statements about a release are, as blobs beside its files. A device does not fetch them; <c>coppice verify</c> does.</summary>
public sealed record Evidence
{
    /// <summary>Most attestations of others.</summary>
    public const int MaxAttestations = 64;

    /// <summary>How the release came to be: an in-toto statement in a DSSE envelope.</summary>
    public ReleaseFile? Statement { get; init; }

    /// <summary>What it consists of: a CycloneDX 1.6 bill of materials.</summary>
    public ReleaseFile? Bom { get; init; }

    // A member that a document leaves out arrives here as default: the reader sets every init property.
    /// <summary>What others say of its files: in-toto statements in DSSE envelopes, as a build job or a reviewer made them.</summary>
    public ImmutableArray<ReleaseFile> Attestations { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>All of them.</summary>
    public IEnumerable<ReleaseFile> Files => new[] { Statement, Bom }.OfType<ReleaseFile>().Concat(Attestations);
}
