using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Access;
using Coppice.Server.Patches;
using Coppice.Server.Sealing;
using Coppice.Trust;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Registry;

static class ReleasesApi
{
    public static void MapReleases(this IEndpointRouteBuilder routes)
    {
        var releases = routes.MapGroup("/v1/models/{owner}/{name}/releases").WithTags("Releases").ProducesProblem(400).ProducesProblem(404);
        releases.MapPost("/", Publish).Needs(Permission.ReleasePublish, Abouts.ModelInRoute).WithMetadata(new RequestSizeLimitAttribute(PublishRelease.MaxBytes)).ProducesProblem(409).ProducesProblem(413);
        releases.MapGet("/{version}", Get).Needs(Permission.ModelRead, Abouts.ModelInRoute);
        releases.MapPost("/{version}/revoke", Revoke).Needs(Permission.ReleaseRevoke, Abouts.ModelInRoute);
        releases.MapDelete("/{version}/revoke", Unrevoke).Needs(Permission.ReleaseRevoke, Abouts.ModelInRoute).ProducesProblem(409);
    }

    /// <summary>Publishes a release whose blobs are here already. The same bytes again change nothing.</summary>
    internal static async Task<Results<Created<ReleaseView>, Ok<ReleaseView>, ProblemHttpResult>> Publish(
        string owner, string name, PublishRelease request, ReleaseStore releases, Repository repository, SealedModelStore sealing, PatchSignal patches, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (!DocumentJson.TryRead(request.Manifest, out ReleaseManifest? manifest, out var problems))
            return Problems.Validation(problems.Select(problem => problem with { Where = Within("manifest", problem.Where) }));
        if (manifest.Model.ToString() != $"{owner}/{name}")
            return Problems.Validation([new("manifest.model", $"is {manifest.Model}, but the request is for {owner}/{name}; send it to /v1/models/{manifest.Model}/releases.")]);

        var digest = Sha256Digest.Of(request.Manifest);
        if (await releases.FindAsync(manifest.Model, manifest.Version, cancel) is { } there)
        {
            return there.Digest == digest
                ? TypedResults.Ok(there)
                : Problems.Of(409, "release-exists", "The version is taken.", $"{manifest.Model} {there.Version} was published at {there.PublishedAt:u} with another manifest; a release never changes, give it a new version.");
        }

        if (!manifest.IsSealed && await sealing.FindAsync(manifest.Model, cancel) is { } policy)
            return Problems.Of(409, "must-be-sealed", "The release is not sealed.", $"Releases of {manifest.Model} must be sealed, as {policy.SetBy} said at {policy.SetAt:u}; publish with --sealed, or take that back with 'coppice model seal {manifest.Model} --off'.");

        var missing = repository.Missing(manifest);
        if (missing.Length > 0)
            return Problems.Of(409, "missing-blobs", "Blobs are missing.", $"The repository lacks {missing.Length} of the release's files ({string.Join(", ", missing.Select(blob => NameOf(blob, manifest)).Take(10))}); PUT them to /v1/blobs/SHA256 first.",
                ("missing", missing.Select(file => file.Digest.ToString()).ToArray()));
        var lengths = manifest.Blobs.Where(blob => repository.Tree.BlobLength(blob.Digest) != blob.Length)
            .Select(blob => new Problem($"manifest.files[{blob.Digest}].length", $"is {blob.Length}, but the blob has {repository.Tree.BlobLength(blob.Digest)} bytes; write its length.")).ToList();
        if (lengths.Count > 0)
            return Problems.Validation(lengths);

        try
        {
            if (Misnamed(request.ReleasesMetadata, manifest, digest) is { } problem)
                return Problems.Validation([problem]);
            var release = await releases.PublishAsync(manifest, request.Manifest, request.ReleasesMetadata, caller.Name(), time.GetUtcNow(), cancel);
            patches.Raise(); // so that they are there before a rollout is
            return TypedResults.Created($"/v1/models/{release.Model}/releases/{release.Version}", release);
        }
        catch (RepositoryConflictException stale)
        {
            return Problems.Of(409, "stale-metadata", "The metadata does not follow the present one.", stale.Message);
        }
        catch (UntrustedMetadataException untrusted)
        {
            return Problems.Of(400, "untrusted-metadata", "The metadata is not trusted.", untrusted.Message);
        }
        catch (ArgumentException notAdded)
        {
            return Problems.Validation([new("releasesMetadata", notAdded.Message)]);
        }
    }

    /// <summary>A release with its manifest and where it runs.</summary>
    internal static async Task<Results<Ok<ReleaseDetail>, ProblemHttpResult>> Get(string owner, string name, string version, ReleaseStore releases, CancellationToken cancel)
    {
        if (!TryRead(owner, name, version, out var model, out var parsed, out var problem))
            return problem!;
        return await releases.DetailAsync(model!, parsed!, cancel) is { } release ? TypedResults.Ok(release) : Unknown(model!, parsed!);
    }

    /// <summary>Bars a release from serving anywhere, for ever. Devices that serve it go back to another, or stop.</summary>
    internal static async Task<Results<Ok<ReleaseView>, ProblemHttpResult>> Revoke(
        string owner, string name, string version, Reason request, ReleaseStore releases, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (!TryRead(owner, name, version, out var model, out var parsed, out var problem))
            return problem!;
        if (request.Why.Length is 0 or > Reason.MaxLength)
            return Problems.Validation([new("why", $"has {request.Why.Length} characters; say in 1 to {Reason.MaxLength} why.")]);
        return await releases.RevokeAsync(model!, parsed!, request.Why, caller.Name(), time.GetUtcNow(), cancel) is { } release ? TypedResults.Ok(release) : Unknown(model!, parsed!);
    }

    /// <summary>Always refused: a revocation is for ever.</summary>
    internal static async Task<ProblemHttpResult> Unrevoke(string owner, string name, string version, ReleaseStore releases, CancellationToken cancel)
    {
        if (!TryRead(owner, name, version, out var model, out var parsed, out var problem))
            return problem!;
        if (await releases.FindAsync(model!, parsed!, cancel) is not { } release)
            return Unknown(model!, parsed!);
        return Problems.Of(409, "revoked-for-ever", "A revocation is not taken back.",
            $"Devices may have left {model} {release.Version} for good, and those that were away would not hear of a change of mind; publish the same files as a new release.");
    }

    // Signed metadata that names the manifest under another model or version would publish something else than was asked.
    static Problem? Misnamed(byte[] metadata, ReleaseManifest manifest, Sha256Digest digest)
    {
        var path = RepositoryLayout.ReleaseTarget(manifest.Model.ToString(), manifest.Version.ToString());
        var next = MetadataFile.ReadTargets(metadata, RepositoryLayout.ReleasesRole).Signed; // whichever role's it is; the tree asks for the right keys
        return next.Files.TryGetValue(path, out var target) && target.Hashes.Sha256 == digest
            ? null
            : new("releasesMetadata", $"does not name '{path}' with the SHA-256 {digest} of the manifest; prepare and sign it for this very manifest.");
    }

    static bool TryRead(string owner, string name, string version, out ModelName? model, out SemanticVersion? parsed, out ProblemHttpResult? problem)
    {
        (parsed, problem) = (null, null);
        if (!ModelName.TryParse($"{owner}/{name}", out model))
            problem = Problems.NotFound($"'{owner}/{name}' is not a model name; write owner/name in lower case, as plant/bearing.");
        else if (!SemanticVersion.TryParse(version, out parsed))
            problem = Problems.NotFound($"'{version}' is not a version; write it as 1.4.0.");
        return problem is null;
    }

    static ProblemHttpResult Unknown(ModelName model, SemanticVersion version) => Problems.NotFound($"{model} has no release {version}; 'coppice model show {model}' lists those it has.");

    static string Within(string outer, string inner) => inner.Length == 0 ? outer : inner.StartsWith('$') ? outer + inner[1..] : $"{outer}.{inner}";

    static string NameOf(BlobName blob, ReleaseManifest manifest) =>
        manifest.Files.FirstOrDefault(file => file.StoredDigest == blob.Digest)?.Name ?? $"the tensor map of {manifest.Files.First(file => file.TensorMap?.Digest == blob.Digest).Name}";
}
