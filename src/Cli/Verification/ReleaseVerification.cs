using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Agent.Link;
using Coppice.Agent.Link.Tuf;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli.Verification;

/// <summary>Looks at everything that a repository says of a release, from the root of trust down to the last byte of the last file.</summary>
/// <param name="metadata">Where the repository is.</param>
/// <param name="files">Where its files are.</param>
/// <param name="root">The root that was named; null to begin with the repository's own first one.</param>
/// <param name="attestors">Keys, beyond the release's own, whose attestations count.</param>
/// <param name="offlineGrace">How long timestamp and snapshot are taken after they expired.</param>
sealed class ReleaseVerification(
    IMetadataSource metadata, IRepositoryFiles files, Sha256Digest? root, IReadOnlyList<PublicKey> attestors, TimeSpan offlineGrace)
{
    const int BufferBytes = 1 << 17;

    readonly ImmutableArray<string>.Builder proved = ImmutableArray.CreateBuilder<string>();
    readonly ImmutableArray<string>.Builder notProved = ImmutableArray.CreateBuilder<string>();
    readonly ImmutableArray<string>.Builder failed = ImmutableArray.CreateBuilder<string>();

    /// <summary>Looks. Reads every file of the release once, through a small buffer.</summary>
    public async Task<VerificationReport> RunAsync(ModelName model, SemanticVersion version, DateTimeOffset now, CancellationToken cancel)
    {
        try
        {
            await LookAsync(model, version, now, cancel);
        }
        catch (UntrustedMetadataException e)
        {
            failed.Add(e.Message);
        }
        catch (Exception e) when (e is LinkException or HttpRequestException or IOException)
        {
            failed.Add($"the repository could not be read to the end: {e.Message}");
        }

        return new(proved.ToImmutable(), notProved.ToImmutable(), failed.ToImmutable());
    }

    async Task LookAsync(ModelName model, SemanticVersion version, DateTimeOffset now, CancellationToken cancel)
    {
        if (await RootAnchor.FindAsync(metadata, root, cancel) is not { } anchor)
        {
            failed.Add(root is null ? "there is no repository: it has no root metadata." : $"the repository has no root with the SHA-256 {root}: it is another repository than the one you trust.");
            return;
        }

        var store = new MemoryMetadata();
        store.Write(TopLevelRole.Root, anchor);
        var client = new TufClient(metadata, store, offlineGrace: offlineGrace);
        await client.RefreshAsync(now, cancel);
        var trusted = client.Trusted!;
        proved.Add($"The repository's root version {trusted.Root.Signed.Version} follows from the root {Sha256Digest.Of(anchor.Span)} by the signatures of its keys.");
        if (root is null)
            notProved.Add($"That this is your repository: no root was named. If it is, pin it next time with --root {Sha256Digest.Of(anchor.Span)}.");
        var expiry = trusted.Timestamp!.Signed.Expires;
        if (expiry > now)
            proved.Add($"The repository was current when it was read: its timestamp, version {trusted.Timestamp.Signed.Version}, is good until {Output.Time(expiry)}.");
        else
            notProved.Add($"That the repository is current: its timestamp, version {trusted.Timestamp.Signed.Version}, expired at {Output.Time(expiry)} and was taken by --offline-grace. There may be newer releases, and this one may have been revoked since.");

        var path = RepositoryLayout.ReleaseTarget(model.ToString(), version.ToString());
        if (await client.GetTargetAsync(path, cancel) is not { } target)
        {
            failed.Add($"the repository has no release {model} {version}.");
            return;
        }

        var bytes = await client.DownloadTargetAsync(target, ReleaseManifest.MaxBytes, cancel);
        var (role, keys) = Naming(trusted, path);
        proved.Add($"The manifest {Sha256Digest.Of(bytes.Span)} of {model} {version} was signed for the role '{role}' by {Signers(trusted, role, keys)}.");
        if (!DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out var problems))
        {
            failed.AddRange(problems.Select(problem => $"the signed manifest cannot be used: {problem}"));
            return;
        }

        if (manifest.Model != model || manifest.Version != version)
            failed.Add($"the manifest is of {manifest.Model} {manifest.Version}, but is signed as that of {model} {version}.");
        if (await HashFilesAsync(manifest, cancel) is var (count, length) && failed.Count == 0)
            proved.Add($"All {count} files of the release, {ByteSize.Format(length)}, have the SHA-256 that the manifest names.");
        if (manifest.IsSealed)
            notProved.Add("What the sealed files hold: their encrypted form is what was signed, and a device compares what it opens with the digest in the manifest.");
        await LookAtStatementsAsync(manifest, [.. keys, .. attestors], cancel);
        notProved.Add("That the model is good: what it answers on your data shows in a trial on the device, not in a signature.");
    }

    /// <summary>The role that names a target, and the keys that may sign it.</summary>
    static (string Role, ImmutableArray<PublicKey> Keys) Naming(TrustedMetadataSet trusted, string path)
    {
        var search = new TargetSearch(path);
        var (role, by) = (TopLevelRole.Targets, TopLevelRole.Root);
        while (search.Next(out var next, out var delegator))
        {
            if (!trusted.TryGetTargets(next, delegator, out var targets))
                break;
            (role, by) = (next, delegator);
            search.Visit(targets.Signed);
        }

        IDelegator? above = by == TopLevelRole.Root ? trusted.Root.Signed : trusted.TryGetTargets(by, TopLevelRole.Root, out var known) ? known.Signed : null;
        return (role, above?.KeysOf(role) is { } of ? [.. above.Keys.Where(key => of.KeyIds.Contains(key.Key)).Select(key => key.Value)] : []);
    }

    static string Signers(TrustedMetadataSet trusted, string role, ImmutableArray<PublicKey> keys)
    {
        trusted.TryGetTargets(role, role == TopLevelRole.Targets ? TopLevelRole.Root : TopLevelRole.Targets, out var file);
        var ids = keys.Where(key => key.IsUsable && file?.Signatures.Any(signature => key.Verify(file.SignedForm.Span, signature.Signature.Span)) == true).Select(key => $"key {key.ComputeKeyId()[..16]}");
        return string.Join(" and ", ids) is { Length: > 0 } names ? names : "its keys";
    }

    async Task<(int Count, long Length)> HashFilesAsync(ReleaseManifest manifest, CancellationToken cancel)
    {
        var (count, length) = (0, 0L);
        foreach (var file in manifest.Files)
        {
            if (await HoldsAsync(file.Name, file.Stored, file, cancel))
                (count, length) = (count + 1, length + file.StoredLength);
            if (file.TensorMap is { } map)
                await HoldsAsync($"The tensor map of {file.Name}", map, file, cancel);
        }

        return (count, length);
    }

    /// <summary>Whether the repository holds a blob as it was signed; tells what is wrong where it does not.</summary>
    async Task<bool> HoldsAsync(string name, BlobName blob, ReleaseFile file, CancellationToken cancel)
    {
        try
        {
            await using var body = await files.OpenAsync(new(RepositoryLayout.BlobFile(blob.Digest), blob.Length, file), 0, null, cancel);
            var found = await HashAsync(body.Body, blob.Length, cancel);
            if (found == blob.Digest)
                return true;
            failed.Add($"{name} is not the file that was signed: {(found is null ? $"it does not have {blob.Length} bytes" : $"its SHA-256 is {found}")}, signed is {blob.Digest}.");
        }
        catch (LinkException e)
        {
            failed.Add($"{name} ({blob.Digest}) is not to be had: {e.Message}");
        }

        return false;
    }

    static async Task<Sha256Digest?> HashAsync(Stream body, long length, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BufferBytes];
        var read = 0L;
        for (int run; (run = await body.ReadAsync(buffer, cancel)) > 0;)
        {
            read += run;
            if (read > length)
                return null;
            hash.AppendData(buffer, 0, run);
        }

        return read == length ? new Sha256Digest(hash.GetHashAndReset()) : null;
    }

    async Task LookAtStatementsAsync(ReleaseManifest manifest, ImmutableArray<PublicKey> keys, CancellationToken cancel)
    {
        if (manifest.Evidence is not { } evidence || !evidence.Files.Any())
        {
            notProved.Add("How the release was made, and of what: it carries no provenance statement and no bill of materials.");
            return;
        }

        if (evidence.Statement is { } statement && await ReadAsync(statement, DsseEnvelope.MaxBytes, cancel) is { } envelope)
            LookAtStatement(manifest, statement, envelope, keys);
        else if (evidence.Statement is null)
            notProved.Add("How the release was made: it carries no provenance statement.");
        if (evidence.Bom is { } bom && await ReadAsync(bom, ModelBom.MaxBytes, cancel) is { } bill)
            LookAtBom(manifest, bill);
        else if (evidence.Bom is null)
            notProved.Add("What the release consists of, beyond its files: it carries no bill of materials.");
        foreach (var attestation in evidence.Attestations)
        {
            if (await ReadAsync(attestation, DsseEnvelope.MaxBytes, cancel) is { } other)
                LookAtAttestation(manifest, attestation, other, keys);
        }
    }

    void LookAtStatement(ReleaseManifest manifest, ReleaseFile file, byte[] bytes, ImmutableArray<PublicKey> keys)
    {
        if (Open(file, bytes) is not var (envelope, statement))
            return;
        var provenance = BuildProvenance.Of(statement, file.Name);
        var wrong = EvidenceRules.CheckStatement(manifest, statement, provenance);
        failed.AddRange(wrong.Select(problem => problem.ToString()));
        if (envelope.Signers(keys) is not { IsEmpty: false } signers)
        {
            failed.Add($"{file.Name} is signed by none of the keys that may say how this release was made; if another attestor is meant, give its public key with --attestor-key.");
            return;
        }

        if (!wrong.IsEmpty)
            return;
        proved.Add($"The provenance statement is about exactly the release's files, and was signed by {Names(signers)}.");
        var made = provenance!;
        notProved.Add($"That what the statement says is true; its signer says: published by '{made.By}' at {Output.Time(made.At)} with coppice {made.Tool}, {(made.Source is { } source ? $"from the source {source}" : "from a source that is not named")}, "
            + (made.Rewrites.IsEmpty ? "without rewrites." : $"through {string.Join(", then ", made.Rewrites.Select(rewrite => $"'{rewrite.Name}'{(rewrite.Tool is { } tool ? $" by {tool}" : "")}"))}."));
    }

    void LookAtBom(ReleaseManifest manifest, byte[] bytes)
    {
        if (!BomJson.TryRead(bytes, out var content, out var problem))
        {
            failed.Add($"the bill of materials cannot be read: {problem}");
            return;
        }

        var wrong = EvidenceRules.CheckBom(manifest, content);
        failed.AddRange(wrong.Select(found => found.ToString()));
        if (!wrong.IsEmpty)
            return;
        proved.Add("The bill of materials lists exactly the release's variants and files, and the manifest names it by its SHA-256.");
        notProved.Add("That the bill is true beyond that: data sets, licences and figures in it are the publisher's word.");
    }

    void LookAtAttestation(ReleaseManifest manifest, ReleaseFile file, byte[] bytes, ImmutableArray<PublicKey> keys)
    {
        if (Open(file, bytes) is not var (envelope, statement))
            return;
        if (!EvidenceRules.IsAbout(manifest, statement))
            failed.Add($"{file.Name} is about none of the release's files.");
        else if (envelope.Signers(keys) is { IsEmpty: false } signers)
            proved.Add($"{file.Name}, of type {statement.PredicateType}, is about files of the release and was signed by {Names(signers)}.");
        else
            notProved.Add($"Who made {file.Name}, of type {statement.PredicateType}: its key is not known here. The publisher chose to add it; give its maker's public key with --attestor-key to check it.");
    }

    (DsseEnvelope Envelope, InTotoStatement Statement)? Open(ReleaseFile file, byte[] bytes)
    {
        try
        {
            var envelope = DsseEnvelope.Read(bytes, file.Name);
            return (envelope, InTotoStatement.Read(envelope, file.Name));
        }
        catch (UntrustedMetadataException e)
        {
            failed.Add(e.Message);
            return null;
        }
    }

    /// <summary>The bytes of a small file whose digest was looked at already; null when it is not what was signed, which was said then.</summary>
    async Task<byte[]?> ReadAsync(ReleaseFile file, int most, CancellationToken cancel)
    {
        if (file.Length > most)
        {
            failed.Add($"{file.Name} has {ByteSize.Format(file.Length)}; at most {ByteSize.Format(most)} are read.");
            return null;
        }

        try
        {
            await using var body = await files.OpenAsync(new(RepositoryLayout.BlobFile(file.Digest), file.Length, file), 0, null, cancel);
            var bytes = new byte[file.Length];
            await body.Body.ReadExactlyAsync(bytes, cancel);
            return Sha256Digest.Of(bytes) == file.Digest ? bytes : null;
        }
        catch (Exception e) when (e is LinkException or EndOfStreamException)
        {
            return null;
        }
    }

    static string Names(ImmutableArray<PublicKey> signers) => string.Join(" and ", signers.Select(key => $"key {key.ComputeKeyId()[..16]}"));
}
