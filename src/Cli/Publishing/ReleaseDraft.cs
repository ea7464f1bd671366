using System.Collections.Immutable;
using System.Globalization;
using Coppice.Fleet;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>What a publisher asked for, before anything was looked at.</summary>
sealed record ReleaseDraft(ModelName Model, SemanticVersion Version, ImmutableArray<VariantDraft> Variants)
{
    /// <summary>The evaluation set's path.</summary>
    public string? Evaluation { get; init; }

    /// <summary>Bounds of the trial, here and on devices.</summary>
    public TrialLimits Limits { get; init; } = TrialLimits.None;

    /// <summary>How many golden samples to record when golden outputs are limited.</summary>
    public int GoldenSamples { get; init; } = 4;

    public string? Licence { get; init; }

    public string? Notes { get; init; }

    public bool Breaking { get; init; }

    /// <summary>Other models that must serve beside it.</summary>
    public ImmutableArray<ModelRequirement> Needs { get; init; } = [];

    /// <summary>What the model is for, as the bill of materials says it.</summary>
    public string? Task { get; init; }

    /// <summary>Data sets it was made with, by digest.</summary>
    public ImmutableArray<BomData> Datasets { get; init; } = [];

    /// <summary>The steps from the source to the files.</summary>
    public ImmutableArray<Rewrite> Rewrites { get; init; } = [];

    /// <summary>Paths of attestations that others made: DSSE envelopes with in-toto statements.</summary>
    public ImmutableArray<string> Attestations { get; init; } = [];

    public required Provenance Provenance { get; init; }
}

/// <summary>A variant as it was asked for: the model's path, then files that lie beside it.</summary>
sealed record VariantDraft(string Name, ImmutableArray<string> Paths)
{
    public Requirements Requirements { get; init; } = Requirements.None;

    public Sha256Digest? AdapterBase { get; init; }

    /// <summary>A runtime the publisher asks for; null takes the format's own, where this product has it.</summary>
    public string? Runtime { get; init; }
}

/// <summary>Reads <c>--requires</c>: <c>os=linux</c>, <c>ram=64MB</c>, <c>runtime=">=1.20.0 &lt;2.0.0"</c>, <c>label=site=oslo</c>.</summary>
static class RequirementText
{
    const string Known = "os, arch, runtime, app, ram, disk, accelerator, where";

    /// <summary>Puts one more requirement on; several of os, arch and accelerator add up.</summary>
    public static Requirements Add(Requirements to, string text, ImmutableArray<Problem>.Builder problems)
    {
        var at = text.IndexOf('=', StringComparison.Ordinal);
        var (key, value) = at > 0 ? (text[..at].Trim(), text[(at + 1)..].Trim()) : (text, "");
        switch (key)
        {
            case "os":
                return to with { Os = [.. to.Os, .. Words(value)] };
            case "arch":
                return to with { Arch = [.. to.Arch, .. Words(value)] };
            case "accelerator":
                return to with { Accelerators = [.. to.Accelerators, .. Words(value)] };
            case "runtime" when VersionRange.TryParse(value, out var range):
                return to with { Runtime = range };
            case "app" when VersionRange.TryParse(value, out var range):
                return to with { App = range };
            case "ram" when ByteSize.TryParse(value, out var bytes):
                return to with { Ram = (long)bytes };
            case "disk" when ByteSize.TryParse(value, out var bytes):
                return to with { Disk = (long)bytes };
            case "where" when Selector.TryParse(value, out var selector, out _) && !selector.IsAll:
                return to with { Selector = value };
        }

        problems.Add(new("--requires", key switch
        {
            "runtime" or "app" => $"'{value}' is not a version range; write it as {key}='>=1.2.0 <2.0.0'.",
            "ram" or "disk" => $"'{value}' is not an amount of bytes; write it as {key}=64MB.",
            "where" => $"'{value}' is not a condition; write it as where='site = oslo and not label.frozen'.",
            _ => $"'{text}' is not known; write KEY=VALUE with one of {Known}.",
        }));
        return to;
    }

    static string[] Words(string value) => value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Reads a share, 0 to 1, or in percent.</summary>
    public static bool TryShare(string text, out double share) =>
        text.EndsWith('%')
            ? double.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out share) && (share /= 100) <= 1
            : double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out share) && share <= 1;
}
