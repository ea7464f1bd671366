using System.Collections.Immutable;
using Coppice.Registry;

namespace Coppice.Delivery;

/// <summary>How a blob is had.</summary>
public enum DeliveryKind
{
    /// <summary>As it is.</summary>
    Whole,

    /// <summary>In compressed form.</summary>
    Compressed,

    /// <summary>Made of blobs that are here, and a patch.</summary>
    Patch,

    /// <summary>The ranges that are in no blob here come, the rest is copied.</summary>
    Ranges,
}

/// <summary>By what way bytes came, as devices report it.</summary>
public enum DeliveryWay
{
    /// <summary>Of whole blobs.</summary>
    Whole,

    /// <summary>Of compressed forms.</summary>
    Compressed,

    /// <summary>Of a patch from what was here.</summary>
    Patch,

    /// <summary>Of patches in a row.</summary>
    Chain,

    /// <summary>Of single ranges, and of the map that names them.</summary>
    Ranges,

    /// <summary>Of indexes that say which patches there are.</summary>
    Index,

    /// <summary>Not over the network: ranges that were here already.</summary>
    Copied,
}

/// <summary>Names of ways, as reports and views carry them.</summary>
public static class DeliveryWays
{
    static readonly string[] Names = [.. Enum.GetNames<DeliveryWay>().Select(name => name.ToLowerInvariant())];

    /// <summary><c>whole</c>, <c>compressed</c>, <c>patch</c>, <c>chain</c>, <c>ranges</c>, <c>index</c> or <c>copied</c>.</summary>
    public static string Name(this DeliveryWay way) => Names[(int)way];

    /// <summary>Whether this is the name of a way.</summary>
    public static bool IsName(string name) => Array.IndexOf(Names, name) >= 0;

    /// <summary>Bytes by way with some more of one.</summary>
    public static ImmutableSortedDictionary<string, long> Plus(this ImmutableSortedDictionary<string, long>? bytes, DeliveryWay way, long more)
    {
        bytes ??= ImmutableSortedDictionary<string, long>.Empty.WithComparers(StringComparer.Ordinal);
        return bytes.SetItem(way.Name(), bytes.GetValueOrDefault(way.Name()) + more);
    }

    /// <summary>In words for a person: <c>patch 1.2 MB, copied 20 MB</c>; empty when there are none.</summary>
    public static string Format(IReadOnlyDictionary<string, long>? bytes) =>
        string.Join(", ", (bytes ?? ImmutableSortedDictionary<string, long>.Empty).Where(way => way.Value > 0).OrderByDescending(way => way.Value).Select(way => $"{way.Key} {ByteSize.Format(way.Value)}"));
}

/// <summary>One step of a delivery: a blob from blobs that are here.</summary>
/// <param name="Kind">How.</param>
/// <param name="To">The blob that is here afterwards.</param>
/// <param name="From">The blobs that must be here before it, for the step itself to read.</param>
/// <param name="Bytes">What still has to come over the network.</param>
/// <param name="Room">Bytes of the disk that it takes more than now while it is done, the new blob among them.</param>
public sealed record DeliveryStep(DeliveryKind Kind, BlobName To, ImmutableArray<BlobName> From, long Bytes, long Room)
{
    /// <summary>Bytes of the file that is fetched; 0 when there is no such file.</summary>
    public long FileLength { get; init; }

    /// <summary>Tells one step from another, whatever it costs now.</summary>
    public string Key => $"{Kind} {To.Digest} {string.Join('+', From.Select(from => from.Digest))}";

    /// <summary>In words for a person: <c>a patch from 9f86d081884c</c>.</summary>
    public override string ToString() => Kind switch
    {
        DeliveryKind.Whole => "whole blob",
        DeliveryKind.Compressed => "compressed blob",
        DeliveryKind.Patch => $"a patch from {string.Join(" and ", From)}",
        _ => "ranges that differ",
    };
}

/// <summary>What a device has for a delivery.</summary>
/// <param name="Room">Bytes that may be written to the disk before something is deleted.</param>
public sealed record DeliveryLimits(long Room)
{
    /// <summary>What it costs the device to make one byte by a patch, in bytes over the network.</summary>
    public double DecodeCost { get; init; } = 1 / 256.0;

    /// <summary>What a step costs besides, in bytes over the network: a request and its answer.</summary>
    public long StepCost { get; init; } = 512;

    /// <summary>Most patches in a row.</summary>
    public int MaxDepth { get; init; } = 6;

    /// <summary>A step's whole cost.</summary>
    public double CostOf(DeliveryStep step) =>
        step.Bytes + StepCost + (step.Kind is DeliveryKind.Patch or DeliveryKind.Compressed ? step.To.Length * DecodeCost : 0);
}
