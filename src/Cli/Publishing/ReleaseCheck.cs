using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Agent.Quality;
using Coppice.Delivery;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Quality;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>A release that was looked at: its manifest, where its files are, and what was measured.</summary>
/// <param name="Manifest">Valid when there are no problems.</param>
/// <param name="Files">Where the bytes of each blob are, by the digest that the repository keeps it under: a path, or bytes made here.</param>
/// <param name="Measures">What each variant that ran showed.</param>
/// <param name="Graphs">What each variant's file tells of its architecture.</param>
/// <param name="Problems">Everything that is wrong, at once.</param>
/// <param name="Warnings">What a publisher should know.</param>
sealed record CheckedRelease(
    ReleaseManifest Manifest, ImmutableDictionary<Sha256Digest, FileContent> Files, ImmutableDictionary<string, TrialMeasures> Measures,
    ImmutableDictionary<string, (string? Family, string? Architecture)> Graphs, ImmutableArray<Problem> Problems, ImmutableArray<Problem> Warnings);

/// <summary>The bytes of a release's file: on disk, or in memory when this program made them.</summary>
sealed record FileContent(string? Path, byte[]? Bytes)
{
    /// <summary>Seals the bytes on their way; null when they go as they are.</summary>
    public Func<Stream, Stream>? Seal { get; init; }

    public Stream Open()
    {
        Stream bytes = Path is null ? new MemoryStream(Bytes!, writable: false) : File.OpenRead(Path);
        return Seal is null ? bytes : Seal(bytes);
    }
}

/// <summary>Checks everything about a release that can be checked before devices see it: the files parse, the graphs load and run on the
/// evaluation set on this machine, and callers of the last release can call this one.</summary>
sealed class ReleaseCheck(IModelRuntime? runtime, TimeProvider time)
{
    readonly ImmutableArray<Problem>.Builder problems = ImmutableArray.CreateBuilder<Problem>();
    readonly ImmutableArray<Problem>.Builder warnings = ImmutableArray.CreateBuilder<Problem>();
    readonly Dictionary<Sha256Digest, FileContent> files = [];
    readonly Dictionary<string, TrialMeasures> measures = [];
    readonly Dictionary<string, (string? Family, string? Architecture)> graphs = [];

    /// <summary>Checks.</summary>
    /// <param name="draft">What was asked for.</param>
    /// <param name="last">The model's highest release so far; null when this is the first.</param>
    /// <param name="cancel">Stops.</param>
    public CheckedRelease Run(ReleaseDraft draft, ReleaseManifest? last, CancellationToken cancel)
    {
        var evaluation = draft.Evaluation is { } path ? AddFile(path, "evaluation" + Path.GetExtension(path), "--eval") : null;
        var evaluationBytes = evaluation is null ? null : ReadWhole(draft.Evaluation!, "--eval");
        ReleaseFile? golden = null;
        var variants = ImmutableArray.CreateBuilder<Variant>();
        foreach (var wanted in draft.Variants)
        {
            if (Examine(wanted) is not { } variant)
                continue;
            variants.Add(variant);
            if (variant.Runtime is null)
                continue;
            if (runtime is null || runtime.Name != variant.Runtime)
            {
                warnings.Add(new(wanted.Name, $"was not tried: the runtime {variant.Runtime} is not on this machine."));
                continue;
            }

            golden = TryOut(draft, wanted, variant, evaluationBytes, golden, cancel) ?? golden;
        }

        if (draft.Limits.MinAccuracy is not null && evaluation is null)
            warnings.Add(new("--min-accuracy", "no --eval was given: devices without data of their own will refuse the release, because they cannot measure it."));
        var manifest = new ReleaseManifest(ReleaseManifest.CurrentSchema, draft.Model, draft.Version, variants.ToImmutable())
        {
            Trial = evaluation is null && golden is null && draft.Limits == TrialLimits.None
                ? null
                : new() { Evaluation = evaluation, Golden = golden, Limits = draft.Limits },
            Licence = draft.Licence,
            Notes = draft.Notes,
            Breaking = draft.Breaking,
            Requires = draft.Needs.IsEmpty ? null : draft.Needs,
            Provenance = draft.Provenance,
        };
        if (draft.Attestations.Length > 0)
            manifest = manifest with { Evidence = new() { Attestations = Attestations(draft, manifest) } };
        if (problems.Count == 0)
            problems.AddRange(EvidenceRules.CheckRewrites(draft.Provenance.Source, draft.Rewrites, EvidenceMaker.Materials(manifest, draft).Select(material => material.Digest), EvidenceRules.Subjects(manifest).Select(file => file.Digest).ToHashSet()));
        if (variants.Count == draft.Variants.Length) // else the missing ones have been named already
            problems.AddRange(ManifestRules.Check(manifest));
        if (last is not null)
            CompareWith(last, manifest);
        return new(manifest, files.ToImmutableDictionary(), measures.ToImmutableDictionary(), graphs.ToImmutableDictionary(), problems.ToImmutable(), warnings.ToImmutable());
    }

    /// <summary>Attestations of others: each must be a readable statement about a file of this release.</summary>
    ImmutableArray<ReleaseFile> Attestations(ReleaseDraft draft, ReleaseManifest manifest)
    {
        var found = ImmutableArray.CreateBuilder<ReleaseFile>();
        foreach (var path in draft.Attestations)
        {
            try
            {
                if (new FileInfo(path).Length > DsseEnvelope.MaxBytes)
                    problems.Add(new("--attestation", $"{path} has more than {ByteSize.Format(DsseEnvelope.MaxBytes)}; a DSSE envelope is smaller."));
                else if (!EvidenceRules.IsAbout(manifest, InTotoStatement.Read(DsseEnvelope.Read(File.ReadAllBytes(path), path), path)))
                    problems.Add(new("--attestation", $"{path} says nothing of any file of this release; give a statement whose subjects are the very files that are published."));
                else if (AddFile(path, Path.GetFileName(path), "--attestation") is { } file)
                    found.Add(file);
            }
            catch (Exception e) when (e is UntrustedMetadataException or IOException or UnauthorizedAccessException)
            {
                problems.Add(new("--attestation", e.Message));
            }
        }

        return found.ToImmutable();
    }

    Variant? Examine(VariantDraft wanted)
    {
        var before = problems.Count;
        var main = wanted.Paths[0];
        var list = ImmutableArray.CreateBuilder<ReleaseFile>();
        if (AddFile(main, Path.GetFileName(main), wanted.Name) is { } first)
            list.Add(first);
        ModelFile? model = null;
        if (problems.Count == before)
        {
            try
            {
                using var stream = File.OpenRead(main);
                model = ModelReader.Read(new StreamSource(stream));
            }
            catch (MalformedFileException e)
            {
                problems.Add(new(main, $"{e.Message}"));
            }
        }

        foreach (var path in wanted.Paths[1..])
        {
            if (AddFile(path, Path.GetFileName(path), wanted.Name) is { } beside)
                list.Add(beside);
        }

        foreach (var external in model?.ExternalFiles ?? [])
        {
            if (list.Any(file => file.Name == external.Path))
                continue;
            var path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(main))!, external.Path);
            if (AddFile(path, external.Path, $"{wanted.Name}, external data of {Path.GetFileName(main)}") is { } beside)
                list.Add(beside);
        }

        if (problems.Count > before)
            return null;
        for (var i = 0; i < list.Count; i++)
            list[i] = list[i] with { TensorMap = AddTensorMap(list[i]) };
        graphs[wanted.Name] = (ArchitectureFamily.Of(model!), model!.Needs.Architecture);
        TensorSignature? signature = model!.Inputs.IsEmpty && model.Outputs.IsEmpty ? null : new([.. model.Inputs.Select(Spec)], [.. model.Outputs.Select(Spec)]);
        return new(wanted.Name, list.ToImmutable(), model.Format, wanted.Runtime ?? (model.Format == ModelFormat.Onnx ? "onnxruntime" : null))
        {
            Signature = signature,
            Requirements = wanted.Requirements,
            AdapterBase = wanted.AdapterBase,
        };

        static TensorSpec Spec(ModelValue value) => new(value.Name, value.Type, value.Shape);
    }

    /// <summary>Loads and runs a variant as a device will. Returns golden samples when they are asked for and not there yet.</summary>
    ReleaseFile? TryOut(ReleaseDraft draft, VariantDraft wanted, Variant variant, byte[]? evaluation, ReleaseFile? golden, CancellationToken cancel)
    {
        TrialReport report;
        try
        {
            report = new TrialRunner(time).Run(
                () => runtime!.Load(ModelSource.AtPath(variant.Format, Path.GetFullPath(wanted.Paths[0])), SessionLimits.None),
                serving: null, new(evaluation, golden is null ? null : files[golden.Digest].Bytes, null), cancel);
        }
        catch (InferenceException e)
        {
            problems.Add(new(wanted.Name, $"{wanted.Paths[0]} does not run here: {e.Message}"));
            return null;
        }

        using var session = report.Session;
        problems.AddRange(report.Faults.Select(fault => new Problem(wanted.Name, fault)));
        warnings.AddRange(report.Notes.Select(note => new Problem(wanted.Name, note)));
        if (draft.Limits.MaxGoldenError is not null && golden is null)
            golden = RecordGolden(draft, session, evaluation, cancel);
        var measured = golden is not null && report.Measures.GoldenError is null ? report.Measures with { GoldenError = 0 } : report.Measures; // this machine recorded them
        measures[wanted.Name] = measured;
        if (report.Faults.IsEmpty)
            problems.AddRange(TrialVerdict.Judge(draft.Limits, measured).Select(broken => new Problem(wanted.Name, broken)));
        return golden;
    }

    ReleaseFile? RecordGolden(ReleaseDraft draft, IModelSession session, byte[]? evaluation, CancellationToken cancel)
    {
        var signature = new TensorSignature(session.Inputs, session.Outputs);
        var faults = ImmutableArray.CreateBuilder<string>();
        var samples = TrialRunner.Read(evaluation, signature, "evaluation set", faults)?.Samples.Take(draft.GoldenSamples).Select(sample => sample.Inputs).ToList()
            ?? (TrialRunner.BlankInputs(session.Inputs) is { } blank ? [[.. blank]] : []);
        if (samples.Count == 0)
        {
            problems.Add(new("--max-golden-error", "the model's inputs are not plain numbers, so no golden sample can be made; leave the limit out."));
            return null;
        }

        var lines = new ArrayBufferWriter<byte>();
        foreach (var inputs in samples)
        {
            using var answer = session.Run(inputs.AsSpan(), cancel);
            var expected = Enumerable.Range(0, answer.Count).Select(output => new ExpectedOutput(output, [.. Answer.Values(answer, output)]));
            EvaluationJson.WriteLine(lines, signature, new(inputs, null, [.. expected]));
        }

        var bytes = lines.WrittenSpan.ToArray();
        var file = new ReleaseFile("golden.jsonl", Sha256Digest.Of(bytes), bytes.Length);
        files[file.Digest] = new(null, bytes);
        return file;
    }

    void CompareWith(ReleaseManifest last, ReleaseManifest manifest)
    {
        if (manifest.Version <= last.Version)
            warnings.Add(new("version", $"{manifest.Version} does not come after {last.Version}, the highest release so far; devices take what a rollout says, not the highest."));
        var before = last.Variants.FirstOrDefault(variant => variant.Signature is not null)?.Signature;
        if (manifest.Breaking || before is null)
            return;
        foreach (var variant in manifest.Variants)
        {
            if (variant.Signature is { } after && SignatureChange.Breaks(before, after) is { IsEmpty: false } breaks)
                problems.Add(new(variant.Name, $"callers of {last.Version} would break: {string.Join("; ", breaks)}. Say --breaking if that is meant."));
        }
    }

    /// <summary>Maps a file's ranges, so that devices fetch those that they lack; null when that cannot pay.</summary>
    BlobName? AddTensorMap(ReleaseFile file)
    {
        if (file.Length < RangeMap.SmallestFile)
            return null;
        using var stream = files[file.Digest].Open();
        var source = new StreamSource(stream);
        var tensors = RangeCut.TensorsOf(source);
        if (RangeCut.For(tensors) is not { } cut)
            return null;
        var bytes = RangeMap.Of(source, file.Blob, tensors, cut).Write();
        var map = new BlobName(Sha256Digest.Of(bytes), bytes.Length);
        files[map.Digest] = new(null, bytes);
        return map;
    }

    ReleaseFile? AddFile(string path, string name, string where)
    {
        try
        {
            using var stream = File.OpenRead(path);
            var digest = new Sha256Digest(SHA256.HashData(stream));
            files[digest] = new(Path.GetFullPath(path), null);
            return new(name, digest, stream.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problems.Add(new(where, $"{path} cannot be read: {e.Message}"));
            return null;
        }
    }

    byte[]? ReadWhole(string path, string where)
    {
        if (new FileInfo(path).Length <= EvaluationSet.MaxBytes)
            return File.ReadAllBytes(path);
        problems.Add(new(where, $"{path} has {ByteSize.Format(new FileInfo(path).Length)}; at most {EvaluationSet.MaxBytes >> 20} MiB are taken. Take a part of it."));
        return null;
    }
}
