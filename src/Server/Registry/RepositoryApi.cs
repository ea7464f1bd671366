using System.Globalization;
using Coppice.Server.Access;
using Coppice.Trust;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace Coppice.Server.Registry;

/// <summary>The signed tree as static files: what a CDN, a plain web server or a USB stick could serve as well.</summary>
static class RepositoryApi
{
    const string ForEver = "public, max-age=31536000, immutable";
    const string AskAgain = "no-cache";

    static readonly string[] Folders = ["metadata", "targets", "blobs", "patches", "grants"];

    public static void MapRepository(this IEndpointRouteBuilder routes) =>
        routes.MapMethods("/repository/{**path}", [HttpMethods.Get, HttpMethods.Head], Get).AllowAnonymous().WithMetadata(RequestKind.Reading).ExcludeFromDescription();

    static Results<PhysicalFileHttpResult, FileContentHttpResult, ProblemHttpResult> Get(string? path, Repository repository, HttpResponse response)
    {
        var file = path is not null && IsOfTheTree(path) ? new FileInfo(Path.Combine([repository.Folder, .. path.Split('/')])) : null;
        if (file?.Exists != true)
        {
            response.Headers.CacheControl = AskAgain; // the next root may be there a moment later
            return Problems.NotFound($"The repository has no file '{path}'.");
        }

        var type = path!.EndsWith(".json", StringComparison.Ordinal) ? "application/json" : "application/octet-stream";
        if (!NeverChanges(path))
        {
            // Small, and replaced now and then: read whole, so that the tag is that of the bytes that are sent.
            var bytes = File.ReadAllBytes(file.FullName);
            response.Headers.CacheControl = AskAgain;
            return TypedResults.Bytes(bytes, type, entityTag: Tag(Sha256Digest.Of(bytes).ToString()), enableRangeProcessing: true);
        }

        // A version is no digest: another repository under the same address has another 1.root.json.
        var tag = path.StartsWith("blobs/", StringComparison.Ordinal) ? file.Name : string.Create(CultureInfo.InvariantCulture, $"{file.LastWriteTimeUtc.Ticks:x}-{file.Length:x}");
        response.Headers.CacheControl = ForEver;
        return TypedResults.PhysicalFile(file.FullName, type, lastModified: file.LastWriteTimeUtc, enableRangeProcessing: true, entityTag: Tag(tag));
    }

    /// <summary>Whether each part is a plain name: no part that climbs, hides or is empty, whatever the URL was decoded to.</summary>
    static bool IsOfTheTree(string path)
    {
        var parts = path.Split('/');
        return parts.Length > 1 && Folders.Contains(parts[0])
            && parts.All(part => part.Length is > 0 and <= 255 && part[0] != '.' && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '+'));
    }

    /// <summary>Whether the bytes under a name stay: it holds a version or a digest of them. In <c>metadata/</c> only the timestamp does not, in <c>grants/</c> none, and an index of patches
    /// changes as they come and go.</summary>
    static bool NeverChanges(string path)
    {
        if (path.StartsWith("grants/", StringComparison.Ordinal))
            return false;
        var name = path[(path.LastIndexOf('/') + 1)..];
        if (path.StartsWith(RepositoryLayout.PatchIndexFolder + "/", StringComparison.Ordinal))
            return false;
        return path.StartsWith("metadata/", StringComparison.Ordinal)
            ? name.IndexOf('.', StringComparison.Ordinal) is > 0 and var dot && name.AsSpan(0, dot).IndexOfAnyExceptInRange('0', '9') < 0
            : !path.StartsWith("targets/", StringComparison.Ordinal) || (name.Length > Sha256Digest.HexLength && Sha256Digest.TryParse(name.AsSpan(0, Sha256Digest.HexLength), out _));
    }

    static EntityTagHeaderValue Tag(string text) => new($"\"{text}\"");
}
