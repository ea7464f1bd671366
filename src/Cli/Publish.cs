using System.Collections.Immutable;
using System.CommandLine;
using System.Reflection;
using Coppice.Cli.Publishing;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Runtimes.OnnxRuntime;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Cli;

/// <summary><c>coppice publish</c>: checks a release in every way this machine can, signs it, and hands it in.</summary>
static class Publish
{
    static readonly Argument<string> ModelArgument = new("MODEL") { Description = "The line of releases, as plant/bearing.", Arity = ArgumentArity.ZeroOrOne };
    static readonly Argument<string> VersionArgument = new("VERSION") { Description = "A semantic version, as 1.4.0.", Arity = ArgumentArity.ZeroOrOne };
    static readonly Argument<string[]> FilesArgument = new("FILE")
    {
        Description = "The model's file, then files that lie beside it (external data is found by itself). With --variant, leave it out.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    static readonly Option<string[]> VariantOption = new("--variant")
    {
        Description = "NAME=FILE[,FILE…]: one build of the release, best first; repeat for more.",
    };

    static readonly Option<string[]> RequiresOption = new("--requires")
    {
        Description = "KEY=VALUE a device must meet: os, arch, runtime, app, ram, disk, accelerator, where='site = oslo'. VARIANT:KEY=VALUE for one variant.",
    };

    static readonly Option<string[]> NeedsOption = new("--needs-model")
    {
        Description = "'plant/embedder >=1.2.0 <2.0.0': another model that must serve on the device, before and as long as this release does; repeat for more.",
    };

    static readonly Option<string?> EvalOption = new("--eval") { Description = "Labelled samples, JSON lines or .npz: run here, and on each device before it serves." };
    static readonly Option<string?> AccuracyOption = new("--min-accuracy") { Description = "Share of samples that must be right, 0.85 or 85%: of this set, and of a device's own data." };
    static readonly Option<string?> DropOption = new("--max-accuracy-drop") { Description = "How much worse than the serving release on the same samples, 0.02 or 2%." };
    static readonly Option<double?> GoldenOption = new("--max-golden-error") { Description = "Record outputs here, and allow a device to differ from them by this, relative to max(1, |output|)." };
    static readonly Option<string?> LatencyOption = new("--max-latency-p95") { Description = "95 % of single runs must take at most this, as 25ms." };
    static readonly Option<string?> MemoryOption = new("--max-memory") { Description = "Loading and running may add this to the process, as 64MB." };
    static readonly Option<string?> AdapterOption = new("--adapter-base") { Description = "SHA-256 of the frozen base file that this release adapts." };
    static readonly Option<string?> RuntimeOption = new("--runtime") { Description = "Runtime that must load it on the device; ONNX files take onnxruntime by themselves." };
    static readonly Option<string?> LicenceOption = new("--licence") { Description = "SPDX expression or a name." };
    static readonly Option<string?> NotesOption = new("--notes") { Description = "What changed, for people." };
    static readonly Option<string?> ByOption = new("--by") { Description = "Who publishes; the user's name where nothing is said." };
    static readonly Option<string?> SourceOption = new("--source") { Description = "SHA-256 of what the release was made from." };
    static readonly Option<string?> TaskOption = new("--task") { Description = "What the model is for, as the bill of materials says it: fault-classification." };
    static readonly Option<string[]> DatasetOption = new("--dataset") { Description = "NAME=SHA256 of data it was made with; repeat for more. The data stays where it is." };
    static readonly Option<string?> RewritesOption = new("--rewrites") { Description = "JSON file of the steps from the source to the files: {\"rewrites\": [{\"name\", \"tool\", \"parameters\", \"inputs\", \"output\"}]}." };
    static readonly Option<string[]> AttestationOption = new("--attestation") { Description = "A DSSE envelope with an in-toto statement about these files, as a build job made it; repeat for more." };
    static readonly Option<string?> AttestorOption = new("--attestor") { Description = "Key file that signs the provenance statement; the release key where nothing is said." };
    static readonly Option<bool> BreakingOption = new("--breaking") { Description = "Callers of the last release must change, and that is meant." };
    static readonly Option<string?> RepoOption = new("--repo") { Description = "Repository folder, or the server's URL. Default: COPPICE_SERVER." };
    static readonly Option<string?> KeysOption = new("--keys") { Description = "Folder of signing keys, or the release key's file. Default: COPPICE_KEYS." };
    static readonly Option<string?> TokenOption = new("--token") { Description = "The operator's token for a server, or @FILE that holds it. Default: COPPICE_TOKEN." };
    static readonly Option<bool> SealedOption = new("--sealed") { Description = "Encrypt every file here, so that only entitled devices can read the release. A model that was sealed stays so by itself." };
    static readonly Option<bool> UnsealedOption = new("--unsealed") { Description = "Publish in the clear although the last release was sealed." };
    static readonly Option<string[]> SealToOption = new("--seal-to")
    {
        Description = "File of public keys, of devices or groups, that can read the release; repeat for more. The server is then given no keys.",
    };

    static readonly Option<bool> DryRunOption = new("--dry-run") { Description = "Check everything, publish nothing." };
    static readonly Option<bool> JsonOption = new("--json") { Description = "One JSON document on standard output." };

    public static Command Build()
    {
        var command = new Command("publish", "Check, sign and publish a release of a model.")
        {
            ModelArgument, VersionArgument, FilesArgument, VariantOption, RequiresOption, NeedsOption, EvalOption, AccuracyOption, DropOption, GoldenOption, LatencyOption,
            MemoryOption, AdapterOption, RuntimeOption, LicenceOption, NotesOption, ByOption, SourceOption,
            TaskOption, DatasetOption, RewritesOption, AttestationOption, AttestorOption, BreakingOption, RepoOption, KeysOption, TokenOption,
            PublishSigned.RequestOption, PublishSigned.SignedOption, SealedOption, UnsealedOption, SealToOption, DryRunOption, JsonOption,
        };
        command.SetAction((parsed, cancel) => parsed.GetValue(PublishSigned.SignedOption) is { Length: > 0 } signed
            ? Ceremony.RunAsync(async () =>
            {
                using var repository = Open(parsed)!;
                await PublishSigned.RunAsync(repository, signed, cancel);
            })
            : RunAsync(parsed, cancel));
        return command;
    }

    static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        var json = parsed.GetValue(JsonOption);
        var usage = ImmutableArray.CreateBuilder<Problem>();
        if (Draft(parsed, usage) is not { } draft)
        {
            PublishOutput.Problems(json, usage.ToImmutable(), []);
            return ExitCode.Usage;
        }

        try
        {
            using var repository = Open(parsed);
            var last = repository is null ? null : await repository.LatestAsync(draft.Model, cancel);
            var check = new ReleaseCheck(Runtime(), TimeProvider.System).Run(draft, last, cancel);
            if (!check.Problems.IsEmpty)
            {
                PublishOutput.Problems(json, check.Problems, check.Warnings);
                return ExitCode.Failed;
            }

            using var key = await ModelKeyAsync(parsed, repository, draft.Model, last, cancel);
            if (repository is not null && await repository.FindAsync(draft.Model, draft.Version, cancel) is { } there)
            {
                if (!EvidenceRules.IsRepeat(there.Manifest, check.Manifest) || there.Manifest.IsSealed != key is not null)
                    throw new PublicationException($"{draft.Model} {draft.Version} is published already with another content ({there.Digest.ToString()[..12]}); a release never changes, give it a new version.");
                PublishOutput.Repeated(json, there);
                return ExitCode.Done;
            }

            var sealing = key is null ? null : new ReleaseSealing(key);
            check = sealing?.Seal(check, cancel) ?? check;
            using var attestor = parsed.GetValue(AttestorOption) is { } attestorKey ? KeyFiles.Open(attestorKey) : null;
            check = await EvidenceMaker.AddAsync(
                check, draft,
                async (type, payload) => attestor is not null ? DsseEnvelope.Sign(type, payload, attestor) : repository is not null ? await repository.SignAsync(draft.Model, type, payload, cancel) : null,
                ToolVersion);
            var bytes = DocumentJson.Write(check.Manifest);
            var publishes = repository is not null && !parsed.GetValue(DryRunOption);
            if (publishes && sealing is not null)
                await GiveKeysAsync(parsed, repository!, sealing, check.Manifest, cancel); // before a device can want them
            if (publishes && parsed.GetValue(PublishSigned.RequestOption) is { } request)
            {
                PublishSigned.Write(request, await repository!.AskAsync(check.Manifest, bytes, check.Files, new Progress<long>(), cancel));
                return ExitCode.Done;
            }

            var publication = publishes
                ? await PublishOutput.WithProgressAsync(
                    json, check.Manifest, progress => repository!.PublishAsync(check.Manifest, bytes, check.Files, file => sealing?.Find(file), progress, cancel))
                : null;
            check = check with { Warnings = [.. check.Warnings, .. (publication?.Warnings ?? []).Select(warning => new Problem("repository", warning))] };
            PublishOutput.Done(json, check, Sha256Digest.Of(bytes), publication);
            return ExitCode.Done;
        }
        catch (Exception e) when (e is UsageException or PublicationException or RepositoryConflictException or IOException or UnauthorizedAccessException)
        {
            PublishOutput.Problems(json, [new("", e.Message)], []);
            return e is UsageException ? ExitCode.Usage : ExitCode.Failed;
        }
    }

    /// <summary>The model's key when the release is to be sealed; null when it goes in the clear.</summary>
    static async Task<ModelKey?> ModelKeyAsync(ParseResult parsed, IReleaseRepository? repository, ModelName model, ReleaseManifest? last, CancellationToken cancel)
    {
        var (wanted, refused) = (parsed.GetValue(SealedOption) || parsed.GetValue(SealToOption) is { Length: > 0 }, parsed.GetValue(UnsealedOption));
        if (wanted && refused)
            throw new UsageException("--sealed and --unsealed: give one of them.");
        if (repository is not null && await repository.MustSealAsync(model, cancel))
        {
            if (refused)
                throw new UsageException($"--unsealed: releases of {model} must be sealed; an operator takes that back with 'coppice model seal {model} --off'.");
            wanted = true;
        }

        if (!wanted && (refused || last?.IsSealed != true))
            return null;
        if (Keys(parsed) is not { Length: > 0 } keys)
            throw new UsageException("Sealed with what? Give the folder of keys with --keys, or set COPPICE_KEYS.");
        if (SealingFiles.FindModelKey(keys, model) is { } known)
            return known;
        if (last?.IsSealed == true)
            throw new PublicationException($"{model} {last.Version} is sealed, but its key is not at {SealingFiles.ModelKeyPath(keys, model)}. Bring it from where the release was published; or let 'coppice seal model-key {model}' make another, and devices fetch whole files once.");
        if (parsed.GetValue(DryRunOption))
            return ModelKey.Create(); // nothing is published with it
        var made = SealingFiles.MakeModelKey(keys, model);
        await Console.Error.WriteLineAsync($"Made the key of {model}: {SealingFiles.ModelKeyPath(keys, model)}. Keep a copy in a safe; without it the next release is sealed anew.");
        return made;
    }

    /// <summary>Gives the keys of a release to those who may read it, or to the server that decides.</summary>
    static async Task GiveKeysAsync(ParseResult parsed, IReleaseRepository repository, ReleaseSealing sealing, ReleaseManifest manifest, CancellationToken cancel)
    {
        var keys = sealing.KeysOf(manifest);
        try
        {
            if (parsed.GetValue(SealToOption) is { Length: > 0 } files)
            {
                foreach (var to in SealingFiles.ReadPublic(files))
                    await repository.GrantAsync(GrantFile.Of(to.Digest).With(keys.Select(key => Grant.Of(key, to))), cancel);
            }
            else if (await repository.KeeperAsync(cancel) is { } keeper)
            {
                await repository.KeepAsync(manifest.Model, GrantFile.Of(keeper.Digest).With(keys.Select(key => Grant.Of(key, keeper))), cancel);
            }
            else
            {
                await Console.Error.WriteLineAsync(
                    $"warning: nobody is given the keys: this repository keeps none, and there is no --seal-to. Before a rollout: coppice seal grant {manifest.Model} {manifest.Version} --to FILE");
            }
        }
        finally
        {
            foreach (var key in keys)
                key.Dispose();
        }
    }

    static string? Keys(ParseResult parsed) => parsed.GetValue(KeysOption) ?? Environment.GetEnvironmentVariable("COPPICE_KEYS");

    static IReleaseRepository? Open(ParseResult parsed)
    {
        if ((parsed.GetValue(RepoOption) ?? Environment.GetEnvironmentVariable("COPPICE_SERVER")) is not { Length: > 0 } repo)
            return parsed.GetValue(DryRunOption) ? null : throw new UsageException("Where to? Give --repo FOLDER or URL, or set COPPICE_SERVER; --dry-run only checks.");
        var keys = Keys(parsed);
        if (string.IsNullOrEmpty(keys) && parsed.GetValue(PublishSigned.RequestOption) is null && parsed.GetValue(PublishSigned.SignedOption) is not { Length: > 0 })
            throw new UsageException("Signed by whom? Give the folder of keys with --keys, or set COPPICE_KEYS; or have others sign, with --request.");
        return Open(repo, keys, parsed.GetValue(TokenOption));
    }

    /// <summary>A repository folder, or a server's by its address.</summary>
    internal static IReleaseRepository Open(string repo, string? keys, string? token) =>
        Uri.TryCreate(repo, UriKind.Absolute, out var url) && url.Scheme is "http" or "https"
            ? ServerRepository.Open(url, ServerOptions.Token(token), keys, TimeProvider.System)
            : FolderRepository.Open(repo, keys, TimeProvider.System);

    /// <summary>Null where the native library cannot be had: the release is then published untried, with a warning.</summary>
    static OnnxRuntime? Runtime()
    {
        try
        {
            var runtime = new OnnxRuntime();
            return runtime.Version.Length > 0 ? runtime : null;
        }
        catch (InferenceException)
        {
            return null;
        }
    }

    static ReleaseDraft? Draft(ParseResult parsed, ImmutableArray<Problem>.Builder problems)
    {
        if (!ModelName.TryParse(parsed.GetValue(ModelArgument), out var model))
            problems.Add(new("MODEL", $"'{parsed.GetValue(ModelArgument)}' is not a model name; write owner/name in lower case, as plant/bearing."));
        if (!SemanticVersion.TryParse(parsed.GetValue(VersionArgument), out var version))
            problems.Add(new("VERSION", $"'{parsed.GetValue(VersionArgument)}' is not a semantic version; write it as 1.4.0 or 1.4.0-rc.1."));
        var variants = Variants(parsed, problems);
        var limits = new TrialLimits(
            Read<double>(parsed, AccuracyOption, RequirementText.TryShare, "a share; write 0.85 or 85%", problems),
            Read<double>(parsed, DropOption, RequirementText.TryShare, "a share; write 0.02 or 2%", problems),
            parsed.GetValue(GoldenOption),
            Read<TimeSpan>(parsed, LatencyOption, Duration.TryParse, "a duration; write 25ms or 2s", problems),
            (long?)Read<double>(parsed, MemoryOption, (string text, out double bytes) => ByteSize.TryParse(text, out bytes), "an amount of bytes; write 64MB", problems));
        var source = Read<Sha256Digest>(parsed, SourceOption, (string text, out Sha256Digest digest) => Sha256Digest.TryParse(text, out digest), "a SHA-256 of 64 hexadecimal digits", problems);
        var datasets = Datasets(parsed, problems);
        var rewrites = Rewrites(parsed, problems);
        var needs = Needs(parsed, problems);
        if (problems.Count > 0)
            return null;
        return new(model!, version!, variants)
        {
            Task = parsed.GetValue(TaskOption),
            Datasets = datasets,
            Rewrites = rewrites,
            Attestations = [.. parsed.GetValue(AttestationOption) ?? []],
            Evaluation = parsed.GetValue(EvalOption),
            Limits = limits,
            Licence = parsed.GetValue(LicenceOption),
            Notes = parsed.GetValue(NotesOption),
            Breaking = parsed.GetValue(BreakingOption),
            Needs = needs,
            Provenance = new(parsed.GetValue(ByOption) ?? Environment.UserName, TimeProvider.System.GetUtcNow(), $"coppice {ToolVersion}", source),
        };
    }

    static string ToolVersion => typeof(Publish).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";

    static ImmutableArray<BomData> Datasets(ParseResult parsed, ImmutableArray<Problem>.Builder problems)
    {
        var datasets = ImmutableArray.CreateBuilder<BomData>();
        foreach (var text in parsed.GetValue(DatasetOption) ?? [])
        {
            if (text.Split('=', 2) is [{ Length: > 0 } name, var hex] && Sha256Digest.TryParse(hex, out var digest))
                datasets.Add(new(name, digest));
            else
                problems.Add(new("--dataset", $"'{text}' is not a data set; write NAME=SHA256 with 64 hexadecimal digits."));
        }

        return datasets.ToImmutable();
    }

    static ImmutableArray<ModelRequirement> Needs(ParseResult parsed, ImmutableArray<Problem>.Builder problems)
    {
        var needs = ImmutableArray.CreateBuilder<ModelRequirement>();
        foreach (var text in parsed.GetValue(NeedsOption) ?? [])
        {
            if (ModelRequirement.TryParse(text, out var requirement))
                needs.Add(requirement!);
            else
                problems.Add(new("--needs-model", $"'{text}' is not a model and its versions; write 'plant/embedder >=1.2.0 <2.0.0'."));
        }

        return needs.ToImmutable();
    }

    static ImmutableArray<Rewrite> Rewrites(ParseResult parsed, ImmutableArray<Problem>.Builder problems)
    {
        if (parsed.GetValue(RewritesOption) is not { } path)
            return [];
        try
        {
            return BuildProvenance.ReadRewrites(File.ReadAllBytes(path), path);
        }
        catch (Exception e) when (e is UntrustedMetadataException or IOException or UnauthorizedAccessException)
        {
            problems.Add(new("--rewrites", e is UntrustedMetadataException malformed ? $"{path} cannot be read: {malformed.Found}; {malformed.Wanted}." : e.Message));
            return [];
        }
    }

    static ImmutableArray<VariantDraft> Variants(ParseResult parsed, ImmutableArray<Problem>.Builder problems)
    {
        var variants = ImmutableArray.CreateBuilder<VariantDraft>();
        if (parsed.GetValue(FilesArgument) is { Length: > 0 } files)
            variants.Add(new("default", [.. files]));
        foreach (var text in parsed.GetValue(VariantOption) ?? [])
        {
            if (text.Split('=', 2) is [{ Length: > 0 } name, { Length: > 0 } paths])
                variants.Add(new(name, [.. paths.Split(',', StringSplitOptions.RemoveEmptyEntries)]));
            else
                problems.Add(new("--variant", $"'{text}' is not a variant; write NAME=FILE or NAME=FILE,FILE."));
        }

        if (variants.Count == 0)
            problems.Add(new("FILE", "no model file; give one, or several builds with --variant NAME=FILE."));
        var adapterBase = Read<Sha256Digest>(parsed, AdapterOption, (string text, out Sha256Digest digest) => Sha256Digest.TryParse(text, out digest), "a SHA-256 of 64 hexadecimal digits", problems);
        for (var i = 0; i < variants.Count; i++)
            variants[i] = variants[i] with { AdapterBase = adapterBase, Runtime = parsed.GetValue(RuntimeOption) };
        foreach (var text in parsed.GetValue(RequiresOption) ?? [])
        {
            var (colon, equals) = (text.IndexOf(':', StringComparison.Ordinal), text.IndexOf('=', StringComparison.Ordinal));
            var only = colon > 0 && colon < equals ? text[..colon] : null;
            if (only is not null && variants.All(variant => variant.Name != only))
                problems.Add(new("--requires", $"'{only}' is no variant of this release; it has {string.Join(", ", variants.Select(variant => variant.Name))}."));
            for (var i = 0; i < variants.Count; i++)
            {
                if (only is null || variants[i].Name == only)
                    variants[i] = variants[i] with { Requirements = RequirementText.Add(variants[i].Requirements, only is null ? text : text[(colon + 1)..], problems) };
            }
        }

        return variants.ToImmutable();
    }

    delegate bool TryRead<T>(string text, out T value);

    static T? Read<T>(ParseResult parsed, Option<string?> option, TryRead<T> tryRead, string wanted, ImmutableArray<Problem>.Builder problems)
        where T : struct
    {
        if (parsed.GetValue(option) is not { } text)
            return null;
        if (tryRead(text, out var value))
            return value;
        problems.Add(new(option.Name, $"'{text}' is not {wanted}."));
        return null;
    }
}
