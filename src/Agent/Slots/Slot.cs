using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Slots;

/// <summary>The files of one variant of one release, laid out under their names, ready to be loaded.</summary>
/// <param name="Release">The release.</param>
/// <param name="Manifest">Digest of its signed manifest, which names every file's digest.</param>
/// <param name="Variant">The variant.</param>
/// <param name="Rollout">The rollout that brought it.</param>
/// <param name="Attempt">The rollout's attempt.</param>
public sealed record Slot(SemanticVersion Release, Sha256Digest Manifest, string Variant, string Rollout, int Attempt)
{
    /// <summary>Whether it has been through probation.</summary>
    public bool Settled { get; init; }

    /// <summary>95 % of its runs in trial took at most this; null when not measured.</summary>
    public TimeSpan? TrialLatency { get; init; }

    /// <summary>The leading model of the set that brought it; null when it came by itself.</summary>
    public ModelName? Set { get; init; }

    /// <summary>What it stood as before a set took it over, of the same files: the device goes back to it by name only. Null when the set brought its files.</summary>
    public Slot? Instead { get; init; }

    /// <summary>Whether it came by the same set.</summary>
    public bool IsOfSet(Slot other) => Set is not null && Set == other.Set && Rollout == other.Rollout;

    /// <summary>Its folder among the model's slots: the same release and variant always have the same.</summary>
    public string Folder => $"{Manifest.ToString()[..16]}-{Variant}";

    /// <summary><c>1.4.0 (int8)</c></summary>
    public override string ToString() => Variant.Length == 0 ? $"{Release}" : $"{Release} ({Variant})";
}
