using System.Collections.Immutable;
using Coppice.Trust;

namespace Coppice.Registry;

/// <summary>Whether the statements about a release are about this release, and fit together.</summary>
public static class EvidenceRules
{
    /// <summary>The files that a release's own statement must be about: all but the statement itself and what others attest.</summary>
    public static IEnumerable<ReleaseFile> Subjects(ReleaseManifest manifest) =>
        manifest.Variants.SelectMany(variant => variant.Files).Concat(manifest.Trial?.Files ?? [])
            .Concat(manifest.Evidence?.Bom is { } bom ? [bom] : []).DistinctBy(file => file.Digest);

    /// <summary>Holds the release's own statement against its manifest.</summary>
    /// <returns>Everything that does not fit; empty when all does.</returns>
    public static ImmutableArray<Problem> CheckStatement(ReleaseManifest manifest, InTotoStatement statement, BuildProvenance? provenance)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        var wanted = Subjects(manifest).Select(file => file.Digest).ToHashSet();
        var told = statement.Subjects.Select(subject => subject.Digest).OfType<Sha256Digest>().ToHashSet();
        foreach (var file in Subjects(manifest).Where(file => !told.Contains(file.Digest)))
            found.Add(new("evidence.statement", $"says nothing of {file.Name} ({file.Digest}), which is a file of the release."));
        foreach (var subject in statement.Subjects.Where(subject => subject.Digest is not { } digest || !wanted.Contains(digest)).Take(10))
            found.Add(new("evidence.statement", $"is about {subject.Name} ({subject.Digest?.ToString() ?? "without SHA-256"}), which is no file of the release."));
        if (provenance is null)
        {
            found.Add(new("evidence.statement", $"is of type '{statement.PredicateType}', which says nothing of how the release was made; '{BuildProvenance.PredicateType}' of build type '{BuildProvenance.BuildType}' is wanted."));
            return found.ToImmutable();
        }

        if (provenance.Model != manifest.Model.ToString() || provenance.Version != manifest.Version.ToString())
            found.Add(new("evidence.statement", $"is about {provenance.Model} {provenance.Version}, not {manifest.Model} {manifest.Version}."));
        if (manifest.Provenance is { } said && (said.Source != provenance.Source || said.By != provenance.By))
            found.Add(new("evidence.statement", $"says by {provenance.By} from {provenance.Source?.ToString() ?? "nothing named"}; the manifest says by {said.By} from {said.Source?.ToString() ?? "nothing named"}."));
        found.AddRange(CheckRewrites(provenance.Source, provenance.Rewrites, provenance.Materials.Select(material => material.Digest), wanted));
        return found.ToImmutable();
    }

    /// <summary>Whether steps form a way from what went in to the release's files: each begins with the source, a material or what an earlier step made,
    /// and each result is used later or is a file of the release.</summary>
    public static ImmutableArray<Problem> CheckRewrites(
        Sha256Digest? source, ImmutableArray<Rewrite> rewrites, IEnumerable<Sha256Digest> materials, IReadOnlySet<Sha256Digest> files)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        var here = materials.ToHashSet();
        if (source is { } first)
            here.Add(first);
        for (var i = 0; i < rewrites.Length; i++)
        {
            var rewrite = rewrites[i];
            foreach (var input in rewrite.Inputs.Where(input => !here.Contains(input)))
                found.Add(new($"rewrites[{i}]", $"'{rewrite.Name}' begins with {input}, which is neither the source, nor a material, nor what an earlier step made."));
            if (!files.Contains(rewrite.Output) && !rewrites[(i + 1)..].Any(later => later.Inputs.Contains(rewrite.Output)))
                found.Add(new($"rewrites[{i}]", $"'{rewrite.Name}' makes {rewrite.Output}, which no later step uses and which is no file of the release."));
            here.Add(rewrite.Output);
        }

        return found.ToImmutable();
    }

    /// <summary>Whether another's attestation is about this release at all: one of its subjects is one of the release's files.</summary>
    public static bool IsAbout(ReleaseManifest manifest, InTotoStatement statement)
    {
        var files = Subjects(manifest).Select(file => file.Digest).ToHashSet();
        return statement.Subjects.Any(subject => subject.Digest is { } digest && files.Contains(digest));
    }

    /// <summary>Holds the bill of materials against the manifest: the same release, the same variants, the same files.</summary>
    public static ImmutableArray<Problem> CheckBom(ReleaseManifest manifest, BomContent bom)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        if (bom.Model != manifest.Model.ToString() || bom.Version != manifest.Version.ToString())
            found.Add(new("evidence.bom", $"is about {bom.Model} {bom.Version}, not {manifest.Model} {manifest.Version}."));
        foreach (var variant in manifest.Variants)
        {
            if (!bom.Files.TryGetValue(variant.Name, out var listed))
            {
                found.Add(new("evidence.bom", $"has no component for the variant '{variant.Name}'."));
                continue;
            }

            var (wanted, told) = (variant.Files.Select(file => file.Digest).ToHashSet(), listed.ToHashSet());
            foreach (var file in variant.Files.Where(file => !told.Contains(file.Digest)))
                found.Add(new("evidence.bom", $"'{variant.Name}' lacks {file.Name} ({file.Digest})."));
            foreach (var digest in told.Where(digest => !wanted.Contains(digest)))
                found.Add(new("evidence.bom", $"'{variant.Name}' lists a file {digest}, which the release has not."));
        }

        foreach (var name in bom.Files.Keys.Where(name => manifest.Variants.All(variant => variant.Name != name)).Order(StringComparer.Ordinal))
            found.Add(new("evidence.bom", $"lists a variant '{name}', which the release has not."));
        return found.ToImmutable();
    }

    /// <summary>Whether publishing this again is a repeat: the same release but for the time, the publisher's name and program, and the statements made anew.</summary>
    public static bool IsRepeat(ReleaseManifest published, ReleaseManifest again)
    {
        return Bare(published).Equals(Bare(again)) && Needs(published).SequenceEqual(Needs(again)) && Files(published).SequenceEqual(Files(again)) && Others(published).SetEquals(Others(again));

        // Arrays inside records compare by reference, so variants are compared apart. Golden outputs are recorded anew, and may differ by a rounding.
        static (ModelName, SemanticVersion, string?, string?, bool, Sha256Digest?, TrialLimits?, Sha256Digest?, bool) Bare(ReleaseManifest manifest) =>
            (manifest.Model, manifest.Version, manifest.Licence, manifest.Notes, manifest.Breaking, manifest.Provenance?.Source, manifest.Trial?.Limits, manifest.Trial?.Evaluation?.Digest, manifest.Trial?.Golden is null);
        static IEnumerable<string> Needs(ReleaseManifest manifest) => (manifest.Requires ?? []).Select(needs => needs.ToString());
        static IEnumerable<string> Files(ReleaseManifest manifest) => manifest.Variants.Select(Shape);
        static HashSet<Sha256Digest> Others(ReleaseManifest manifest) => [.. manifest.Evidence?.Attestations.Select(file => file.Digest) ?? []];
    }

    static string Shape(Variant variant)
    {
        var wants = variant.Requirements;
        return string.Join('\n',
            [
                variant.Name, $"{variant.Format}", variant.Runtime ?? "", $"{variant.AdapterBase}", $"{wants.Runtime}|{wants.App}|{wants.Ram}|{wants.Disk}|{wants.Selector}",
                string.Join(',', wants.Os), string.Join(',', wants.Arch), string.Join(',', wants.Accelerators),
                .. variant.Files.Select(file => $"{file.Digest} {file.Length} {file.Name}"),
            ]);
    }
}
