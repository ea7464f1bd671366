using System.Collections.Immutable;
using System.Globalization;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>Makes the statements about a release that was checked: its bill of materials, and how it came to be.</summary>
static class EvidenceMaker
{
    const string BomName = "bom.cdx.json";
    const string StatementName = "provenance.dsse.json";

    /// <summary>Adds a bill of materials and, where there is somebody to sign it, the provenance statement.</summary>
    /// <param name="check">A release without problems.</param>
    /// <param name="draft">What was asked for.</param>
    /// <param name="sign">Signs a payload of a type; its null leaves the statement out.</param>
    /// <param name="toolVersion">Version of this program.</param>
    public static async Task<CheckedRelease> AddAsync(CheckedRelease check, ReleaseDraft draft, Func<string, ReadOnlyMemory<byte>, Task<DsseEnvelope?>> sign, string toolVersion)
    {
        var files = check.Files.ToBuilder();
        ReleaseFile Keep(string name, byte[] bytes)
        {
            var file = new ReleaseFile(name, Sha256Digest.Of(bytes), bytes.Length);
            files[file.Digest] = new(null, bytes);
            return file;
        }

        var at = Seconds(draft.Provenance.At);
        var bom = Keep(BomName, BomJson.Write(Bom(check, draft, at, toolVersion)));
        var manifest = check.Manifest with { Evidence = (check.Manifest.Evidence ?? new()) with { Bom = bom } };
        var provenance = new BuildProvenance(draft.Model.ToString(), draft.Version.ToString(), draft.Provenance.By, at, toolVersion)
        {
            Source = draft.Provenance.Source,
            Rewrites = draft.Rewrites,
            Materials = Materials(manifest, draft),
        };
        var statement = provenance.About([.. EvidenceRules.Subjects(manifest).Select(file => new StatementSubject(file.Name, file.Digest))]);
        if (await sign(InTotoStatement.PayloadType, statement.Write()) is { } envelope)
            manifest = manifest with { Evidence = manifest.Evidence with { Statement = Keep(StatementName, envelope.Write()) } };

        return check with { Manifest = manifest, Files = files.ToImmutable() };
    }

    /// <summary>What went in, and what a step may therefore begin with.</summary>
    public static ImmutableArray<Material> Materials(ReleaseManifest manifest, ReleaseDraft draft)
    {
        var materials = ImmutableArray.CreateBuilder<Material>();
        if (draft.Provenance.Source is { } source)
            materials.Add(new("source", source));
        materials.AddRange(manifest.Variants.Select(variant => variant.AdapterBase).OfType<Sha256Digest>().Distinct().Select(digest => new Material("adapter base", digest)));
        if (manifest.Trial?.Evaluation is { } evaluation)
            materials.Add(new("evaluation set", evaluation.Digest));
        materials.AddRange(draft.Datasets.Select(data => new Material(data.Name, data.Digest)));
        return [.. materials.DistinctBy(material => material.Digest)];
    }

    static ModelBom Bom(CheckedRelease check, ReleaseDraft draft, DateTimeOffset at, string toolVersion) =>
        new(draft.Model, draft.Version, [.. check.Manifest.Variants.Select(variant => Of(check, variant))])
        {
            At = at,
            Tool = toolVersion,
            By = draft.Provenance.By,
            Licence = draft.Licence,
            Notes = draft.Notes,
            Task = draft.Task,
            Data = [.. (check.Manifest.Trial?.Evaluation is { } evaluation ? (BomData[])[new("evaluation set", evaluation.Digest)] : []), .. draft.Datasets],
        };

    static BomVariant Of(CheckedRelease check, Variant variant) => new(variant.Name, variant.Files)
    {
        Signature = variant.Signature,
        Family = check.Graphs.GetValueOrDefault(variant.Name).Family,
        Architecture = check.Graphs.GetValueOrDefault(variant.Name).Architecture,
        AdapterBase = variant.AdapterBase,
        Metrics = Metrics(check, variant.Name),
    };

    static ImmutableArray<BomMetric> Metrics(CheckedRelease check, string variant)
    {
        var metrics = ImmutableArray.CreateBuilder<BomMetric>();
        if (check.Measures.GetValueOrDefault(variant) is not { } measured)
            return [];
        if (measured.ReleaseAccuracy is { } accuracy)
            metrics.Add(new("accuracy", accuracy.ToString("0.######", CultureInfo.InvariantCulture), "evaluation set"));
        if (measured.LatencyP95 is { } p95)
            metrics.Add(new("latency p95", $"{p95.TotalMilliseconds.ToString("0.###", CultureInfo.InvariantCulture)} ms", "publisher's machine"));
        if (measured.Memory is { } memory)
            metrics.Add(new("memory", $"{memory.ToString(CultureInfo.InvariantCulture)} bytes", "publisher's machine"));
        return metrics.ToImmutable();
    }

    static DateTimeOffset Seconds(DateTimeOffset time) => DateTimeOffset.FromUnixTimeSeconds(time.ToUnixTimeSeconds());
}
