using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Trust.Sealing;

namespace Coppice.Registry;

/// <summary>What every manifest must satisfy, whoever wrote it.</summary>
public static class ManifestRules
{
    /// <summary>Most variants of a release.</summary>
    public const int MaxVariants = 64;

    /// <summary>Most files of a variant.</summary>
    public const int MaxFiles = 4096;

    /// <summary>Longest file name, in characters.</summary>
    public const int MaxFileName = 255;

    /// <summary>Largest tensor map, in bytes: 65,536 ranges.</summary>
    public const int MaxTensorMap = 2_359_352;

    /// <summary>Everything that is wrong.</summary>
    public static ImmutableArray<Problem> Check(ReleaseManifest manifest)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        if (manifest.Schema != ReleaseManifest.CurrentSchema)
            found.Add(new("schema", $"{manifest.Schema} is not known here; this version reads {ReleaseManifest.CurrentSchema}. Update coppice."));
        if (manifest.Variants.IsDefaultOrEmpty || manifest.Variants.Length > MaxVariants)
            found.Add(new("variants", $"{(manifest.Variants.IsDefault ? 0 : manifest.Variants.Length)} variants; give 1 to {MaxVariants}."));
        else
        {
            foreach (var twice in manifest.Variants.GroupBy(variant => variant.Name, StringComparer.Ordinal).Where(group => group.Count() > 1))
                found.Add(new("variants", $"'{twice.Key}' names {twice.Count()} variants; names are unique."));
            for (var i = 0; i < manifest.Variants.Length; i++)
                CheckVariant(manifest.Variants[i], $"variants[{i}]", found);
        }

        CheckRequires(manifest, found);
        if (manifest.Trial is { } trial)
            CheckTrial(trial, found);
        if (manifest.Evidence is { } evidence)
            CheckEvidence(evidence, found);
        if (!manifest.Variants.IsDefaultOrEmpty && manifest.Variants.All(variant => !variant.Files.IsDefault))
            CheckSealing(manifest, found);
        return found.ToImmutable();
    }

    static void CheckRequires(ReleaseManifest manifest, ImmutableArray<Problem>.Builder found)
    {
        if (manifest.Requires is not { } requires)
            return;
        if (requires.IsDefaultOrEmpty || requires.Length > ModelRequirement.Most)
            found.Add(new("requires", $"{(requires.IsDefault ? 0 : requires.Length)} models; give 1 to {ModelRequirement.Most}, or leave it out."));
        for (var i = 0; !requires.IsDefault && i < requires.Length; i++)
        {
            if (requires[i].Model == manifest.Model)
                found.Add(new($"requires[{i}].model", "is the release's own model; name another one of the device."));
            if (requires.Take(i).Any(other => other.Model == requires[i].Model))
                found.Add(new($"requires[{i}].model", $"{requires[i].Model} is there already; give one range for each model."));
        }
    }

    static void CheckEvidence(Evidence evidence, ImmutableArray<Problem>.Builder found)
    {
        if (evidence.Statement is { } statement)
            CheckFile(statement, "evidence.statement", found);
        if (evidence.Bom is { } bom)
            CheckFile(bom, "evidence.bom", found);
        if (evidence.Attestations.Length > Evidence.MaxAttestations)
            found.Add(new("evidence.attestations", $"{evidence.Attestations.Length} attestations; give at most {Evidence.MaxAttestations}."));
        for (var i = 0; i < Math.Min(evidence.Attestations.Length, Evidence.MaxAttestations); i++)
            CheckFile(evidence.Attestations[i], $"evidence.attestations[{i}]", found);
    }

    static void CheckVariant(Variant variant, string where, ImmutableArray<Problem>.Builder found)
    {
        if (variant.Name.Length is 0 or > 64 || !variant.Name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            found.Add(new($"{where}.name", $"'{variant.Name}' is not a variant name; write 1 to 64 letters, digits, '-', '_' or '.', as int8."));
        if (variant.Files.IsDefaultOrEmpty || variant.Files.Length > MaxFiles)
        {
            found.Add(new($"{where}.files", $"{(variant.Files.IsDefault ? 0 : variant.Files.Length)} files; give 1 to {MaxFiles}."));
            return;
        }

        for (var i = 0; i < variant.Files.Length; i++)
            CheckFile(variant.Files[i], $"{where}.files[{i}]", found);
        foreach (var twice in variant.Files.GroupBy(file => file.Name, StringComparer.OrdinalIgnoreCase).Where(group => group.Count() > 1))
            found.Add(new($"{where}.files", $"'{twice.Key}' names {twice.Count()} files; names are unique, also without regard to case."));

        var wants = variant.Requirements;
        foreach (var (name, bytes) in new[] { ("ram", wants.Ram), ("disk", wants.Disk) })
        {
            if (bytes < 0)
                found.Add(new($"{where}.requirements.{name}", $"{bytes} bytes are negative; give zero or more."));
        }

        if (!Selector.TryParse(wants.Selector, out _, out var problems))
            found.AddRange(problems.Select(problem => problem with { Where = $"{where}.requirements.{problem.Where}" }));
    }

    static void CheckFile(ReleaseFile file, string where, ImmutableArray<Problem>.Builder found)
    {
        // The name becomes a path on every kind of device: nothing that climbs, is absolute, or means something to Windows.
        var parts = file.Name.Split('/');
        if (file.Name.Length is 0 or > MaxFileName
            || parts.Any(part => part is "" or "." or ".." || part.EndsWith('.') || part.EndsWith(' '))
            || file.Name.Any(c => char.IsControl(c) || c is '\\' or ':' or '*' or '?' or '"' or '<' or '>' or '|'))
            found.Add(new($"{where}.name", $"'{file.Name}' is not a relative file name; write 1 to {MaxFileName} characters with '/' between folders and without '..', '\\' or ':'."));
        if (file.Length < 0)
            found.Add(new($"{where}.length", $"{file.Length} bytes are negative; give the file's length."));
        if (file.Digest.IsDefault)
            found.Add(new($"{where}.digest", "is missing; give the file's SHA-256."));
        if (file.TensorMap is { } map && (map.Digest.IsDefault || map.Length is <= 0 or > MaxTensorMap))
            found.Add(new($"{where}.tensorMap", $"has {map.Length} bytes; give the SHA-256 and the length of a map of at most {MaxTensorMap} bytes."));
    }

    /// <summary>A release is sealed as a whole: one file in the clear would tell what the others hide.</summary>
    static void CheckSealing(ReleaseManifest manifest, ImmutableArray<Problem>.Builder found)
    {
        var files = manifest.Variants.SelectMany(variant => variant.Files).Concat(manifest.Trial?.Files ?? []).ToList();
        if (!manifest.IsSealed)
            return;
        foreach (var file in files)
        {
            if (file.Sealed is not { } form)
                found.Add(new("variants", $"'{file.Name}' is not sealed, but other files of the release are; seal all of them or none."));
            else if (!SealHeader.IsSegment(form.Segment) || SealHeader.PlainLength(form.Length, form.Segment) != file.Length)
                found.Add(new("variants", $"'{file.Name}' of {file.Length} bytes cannot have a sealed form of {form.Length} bytes in segments of {form.Segment}; seal it again."));
            else if (file.TensorMap is not null)
                found.Add(new("variants", $"'{file.Name}' is sealed, and a tensor map in the clear would tell of its bytes; leave the map out."));
            else if (form.Digest.IsDefault || form.Key.IsDefault || form.Digest == file.Digest)
                found.Add(new("variants", $"'{file.Name}' lacks the digest of its sealed form, or the name of its key; give both."));
        }

        foreach (var twice in files.GroupBy(file => file.Digest).Where(group => group.Select(file => file.Sealed).Distinct().Count() > 1))
            found.Add(new("variants", $"'{twice.First().Name}' is sealed in two ways; the same bytes have one sealed form in a release."));
    }

    static void CheckTrial(Trial trial, ImmutableArray<Problem>.Builder found)
    {
        if (trial.Evaluation is { } evaluation)
            CheckFile(evaluation, "trial.evaluation", found);
        if (trial.Golden is { } golden)
            CheckFile(golden, "trial.golden", found);
        foreach (var (name, share) in new[] { ("minAccuracy", trial.Limits.MinAccuracy), ("maxAccuracyDrop", trial.Limits.MaxAccuracyDrop) })
        {
            if (share is { } value and not (>= 0 and <= 1))
                found.Add(new($"trial.limits.{name}", $"{value} is not a share; give a number from 0 to 1."));
        }

        if (trial.Limits.MaxGoldenError is { } error and not >= 0)
            found.Add(new("trial.limits.maxGoldenError", $"{error} is not an error bound; give zero or more."));
        if (trial.Limits.MaxGoldenError is not null && trial.Golden is null)
            found.Add(new("trial.limits.maxGoldenError", "limits the golden outputs, but trial.golden names no file; give one or drop the limit."));
        if (trial.Limits.MaxMemory < 0)
            found.Add(new("trial.limits.maxMemory", $"{trial.Limits.MaxMemory} bytes are negative; give zero or more."));
    }
}
