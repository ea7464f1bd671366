using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Coppice.Delivery;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Protocol;

/// <summary>The signed documents as UTF-8 JSON: release manifests and rollout plans. Fields this version does not know are ignored.</summary>
public static class DocumentJson
{
    /// <summary>Writes a manifest; the same manifest gives the same bytes.</summary>
    public static byte[] Write(ReleaseManifest manifest) => JsonSerializer.SerializeToUtf8Bytes(manifest, DocumentContext.Default.ReleaseManifest);

    /// <summary>Writes a plan; the same plan gives the same bytes.</summary>
    public static byte[] Write(RolloutPlan plan) => JsonSerializer.SerializeToUtf8Bytes(SetForm.Written(plan), DocumentContext.Default.RolloutPlan);

    /// <summary>Writes an index of patches; the same index gives the same bytes.</summary>
    public static byte[] Write(PatchIndex index) => JsonSerializer.SerializeToUtf8Bytes(index, DocumentContext.Default.PatchIndex);

    /// <summary>Reads an index of patches, and checks it.</summary>
    /// <param name="utf8">Bytes that nobody vouches for, at most <see cref="PatchIndex.MaxBytes"/>.</param>
    /// <param name="index">The index when there is no problem.</param>
    /// <param name="problems">Everything that is wrong.</param>
    public static bool TryRead(ReadOnlySpan<byte> utf8, [NotNullWhen(true)] out PatchIndex? index, out ImmutableArray<Problem> problems) =>
        TryRead(utf8, PatchIndex.MaxBytes, DocumentContext.Default.PatchIndex, read => read.Check(), out index, out problems);

    /// <summary>Reads a manifest, and checks it by <see cref="ManifestRules"/>.</summary>
    /// <param name="utf8">The signed bytes, at most <see cref="ReleaseManifest.MaxBytes"/>.</param>
    /// <param name="manifest">The manifest when there is no problem.</param>
    /// <param name="problems">Everything that is wrong.</param>
    public static bool TryRead(ReadOnlySpan<byte> utf8, [NotNullWhen(true)] out ReleaseManifest? manifest, out ImmutableArray<Problem> problems) =>
        TryRead(utf8, ReleaseManifest.MaxBytes, DocumentContext.Default.ReleaseManifest, ManifestRules.Check, out manifest, out problems);

    /// <summary>Reads a plan, and checks it.</summary>
    /// <param name="utf8">The signed bytes, at most <see cref="RolloutPlan.MaxBytes"/>.</param>
    /// <param name="plan">The plan when there is no problem.</param>
    /// <param name="problems">Everything that is wrong.</param>
    public static bool TryRead(ReadOnlySpan<byte> utf8, [NotNullWhen(true)] out RolloutPlan? plan, out ImmutableArray<Problem> problems)
    {
        if (!TryRead(utf8, RolloutPlan.MaxBytes, DocumentContext.Default.RolloutPlan, RolloutRules.Check, out plan, out problems))
            return false;
        plan = SetForm.Read(plan);
        return true;
    }

    static bool TryRead<T>(
        ReadOnlySpan<byte> utf8, int most, JsonTypeInfo<T> type, Func<T, ImmutableArray<Problem>> check, [NotNullWhen(true)] out T? value, out ImmutableArray<Problem> problems)
        where T : class
    {
        value = null;
        if (utf8.Length > most)
        {
            problems = [new("", $"the document has {utf8.Length} bytes; at most {most} are taken.")];
            return false;
        }

        try
        {
            value = JsonSerializer.Deserialize(utf8, type);
            problems = value is null ? [new("", "the document is null; write an object.")] : check(value);
        }
        catch (JsonException e)
        {
            problems = [new(e.Path ?? "", $"line {e.LineNumber + 1}: {e.Message}")];
        }

        if (!problems.IsEmpty)
            value = null;
        return value is not null;
    }
}

[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    WriteIndented = false,
    NumberHandling = JsonNumberHandling.Strict,
    PropertyNameCaseInsensitive = false,
    AllowDuplicateProperties = false,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    IgnoreReadOnlyProperties = true,
    MaxDepth = 32,
    Converters =
    [
        typeof(SemanticVersionConverter), typeof(VersionRangeConverter), typeof(ModelNameConverter), typeof(Sha256DigestConverter), typeof(DurationConverter),
        typeof(NamedEnum<RolloutState>), typeof(NamedEnum<DayOfWeek>), typeof(NamedEnum<ModelFormat>), typeof(NamedEnum<ElementType>),
        typeof(NamedEnum<GateKind>), typeof(NamedEnum<Reference>),
    ])]
[JsonSerializable(typeof(ReleaseManifest))]
[JsonSerializable(typeof(RolloutPlan))]
[JsonSerializable(typeof(PatchIndex))]
sealed partial class DocumentContext : JsonSerializerContext;
