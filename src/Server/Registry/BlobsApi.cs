using System.Globalization;
using Coppice.Access;
using Coppice.Server.Access;
using Coppice.Trust;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Registry;

static class BlobsApi
{
    public static void MapBlobs(this IEndpointRouteBuilder routes)
    {
        var blobs = routes.MapGroup("/v1/blobs").WithTags("Blobs").ProducesProblem(400);
        blobs.MapPut("/{sha256}", Put).WithMetadata(new DisableRequestSizeLimitAttribute()) // bounded by its Content-Length
            .Needs(Permission.BlobWrite).Accepts<byte[]>("application/octet-stream").Produces(201).Produces(204).ProducesProblem(411).ProducesProblem(413);
        blobs.MapMethods("/{sha256}", [HttpMethods.Head], Head).Needs(Permission.BlobWrite).Produces(200).ProducesProblem(404);
    }

    /// <summary>Stores a file under its SHA-256. The bytes are checked while they come; a wrong file leaves nothing behind.</summary>
    internal static async Task<Results<Created, NoContent, ProblemHttpResult>> Put(string sha256, HttpRequest request, Repository repository, ControlPlaneOptions options, CancellationToken cancel)
    {
        if (!Sha256Digest.TryParse(sha256, out var digest))
            return NoDigest(sha256);
        if (request.ContentLength is not { } length)
            return Problems.Of(411, "length-required", "The length is missing.", "Send the blob with its Content-Length, not chunked.");
        if (length > options.MaxBlobBytes)
            return Problems.Of(413, "too-large", "The body is too large.", $"The blob has {ByteSize.Format(length)}; this server takes {ByteSize.Format(options.MaxBlobBytes)} at most (--max-blob).");
        if (repository.Tree.BlobLength(digest) == length)
            return TypedResults.NoContent();
        try
        {
            return await repository.Tree.PutBlobAsync(request.Body, digest, length, cancel)
                ? TypedResults.Created($"/v1/blobs/{digest}")
                : TypedResults.NoContent();
        }
        catch (InvalidDataException wrong)
        {
            return Problems.Of(400, "wrong-blob", "The blob is not what was announced.", wrong.Message);
        }
    }

    /// <summary>Whether a blob is here, and its length.</summary>
    internal static Results<EmptyHttpResult, ProblemHttpResult> Head(string sha256, HttpResponse response, Repository repository)
    {
        if (!Sha256Digest.TryParse(sha256, out var digest))
            return NoDigest(sha256);
        if (repository.Tree.BlobLength(digest) is not { } length)
            return Problems.NotFound($"There is no blob {digest}.");
        response.Headers.ContentLength = length;
        response.Headers.ETag = string.Create(CultureInfo.InvariantCulture, $"\"{digest}\"");
        return TypedResults.Empty;
    }

    static ProblemHttpResult NoDigest(string text) =>
        Problems.Validation([new("sha256", $"'{(text.Length <= 80 ? text : text[..80] + "…")}' is not a SHA-256; give {Sha256Digest.HexLength} hexadecimal digits.")]);
}
