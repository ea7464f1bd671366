using System.Collections.Immutable;
using Coppice.Trust;

namespace Coppice.Registry;

/// <summary>What a release consists of: the content of its bill of materials, before it has a form.</summary>
/// <param name="Model">The line of releases.</param>
/// <param name="Version">The release.</param>
/// <param name="Variants">Its builds, best first.</param>
public sealed record ModelBom(ModelName Model, SemanticVersion Version, ImmutableArray<BomVariant> Variants)
{
    /// <summary>Largest bill taken, in bytes.</summary>
    public const int MaxBytes = 8 << 20;

    /// <summary>When it was published.</summary>
    public DateTimeOffset At { get; init; }

    /// <summary>The version of the program that wrote it.</summary>
    public string Tool { get; init; } = "";

    /// <summary>Who published.</summary>
    public string? By { get; init; }

    /// <summary>SPDX expression or a name.</summary>
    public string? Licence { get; init; }

    /// <summary>For people: what changed.</summary>
    public string? Notes { get; init; }

    /// <summary>What the model is for: <c>image-classification</c>.</summary>
    public string? Task { get; init; }

    /// <summary>Data it was made or judged with.</summary>
    public ImmutableArray<BomData> Data { get; init; } = [];

    /// <summary>Every file of every variant, each digest once.</summary>
    public IEnumerable<ReleaseFile> Files => Variants.SelectMany(variant => variant.Files).DistinctBy(file => file.Digest);
}

/// <summary>A build of the release.</summary>
/// <param name="Name">As the manifest names it.</param>
/// <param name="Files">Its files.</param>
public sealed record BomVariant(string Name, ImmutableArray<ReleaseFile> Files)
{
    /// <summary>Inputs and outputs; null when the format does not tell.</summary>
    public TensorSignature? Signature { get; init; }

    /// <summary>The family of its graph: <c>convolutional neural network</c>; null when the graph does not tell.</summary>
    public string? Family { get; init; }

    /// <summary>The architecture by name, where the file says it: <c>llama</c>.</summary>
    public string? Architecture { get; init; }

    /// <summary>What was measured, by metric.</summary>
    public ImmutableArray<BomMetric> Metrics { get; init; } = [];

    /// <summary>Digest of the frozen base that it adapts; null when it stands alone.</summary>
    public Sha256Digest? AdapterBase { get; init; }
}

/// <summary>A figure.</summary>
/// <param name="Type">Of what: <c>accuracy</c>.</param>
/// <param name="Value">As text, with its unit where it has one.</param>
/// <param name="Slice">On which data.</param>
public readonly record struct BomMetric(string Type, string Value, string? Slice = null);

/// <summary>A data set by its digest.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Digest">Its SHA-256.</param>
public readonly record struct BomData(string Name, Sha256Digest Digest);

/// <summary>What a reader takes from a bill of materials to hold it against a manifest.</summary>
/// <param name="Model">The component that the bill is about, group and name.</param>
/// <param name="Version">Its version.</param>
/// <param name="Files">Digests of the components of type file that variants depend on, by variant.</param>
public sealed record BomContent(string Model, string Version, ImmutableDictionary<string, ImmutableArray<Sha256Digest>> Files);
