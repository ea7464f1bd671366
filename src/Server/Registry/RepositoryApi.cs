using System.Globalization;
using Coppice.Server.Access;
using Coppice.Server.Trust;
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

    static Results<PhysicalFileHttpResult, FileContentHttpResult, FileStreamHttpResult, ProblemHttpResult> Get(string? path, Repository repository, HttpResponse response)
    {
        if (path is null || !IsOfTheTree(path))
            return NoFile(path, response);
        var type = path.EndsWith(".json", StringComparison.Ordinal) ? "application/json" : "application/octet-stream";
        var changes = !RepositoryTree.NeverChanges(path);
        if (!changes && repository.FolderOf(path) is { } folder)
        {
            var file = new FileInfo(Path.Combine([folder, .. path.Split('/')]));
            if (!file.Exists)
                return NoFile(path, response);
            // A version is no digest: another repository under the same address has another 1.root.json.
            var tag = path.StartsWith("blobs/", StringComparison.Ordinal) ? file.Name : string.Create(CultureInfo.InvariantCulture, $"{file.LastWriteTimeUtc.Ticks:x}-{file.Length:x}");
            response.Headers.CacheControl = ForEver;
            return TypedResults.PhysicalFile(file.FullName, type, lastModified: file.LastWriteTimeUtc, enableRangeProcessing: true, entityTag: Tag(tag));
        }

        if (repository.Files.Open(path) is not { } stream)
            return NoFile(path, response);
        response.Headers.CacheControl = changes ? AskAgain : ForEver;
        if (SplitTree.IsLarge(path))
            return TypedResults.Stream(stream, type, enableRangeProcessing: true, entityTag: Tag(path[(path.LastIndexOf('/') + 1)..]));
        // Small: read whole, so that the tag is that of the bytes that are sent.
        using (stream)
        {
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return TypedResults.Bytes(bytes, type, entityTag: Tag(Sha256Digest.Of(bytes).ToString()), enableRangeProcessing: true);
        }
    }

    static ProblemHttpResult NoFile(string? path, HttpResponse response)
    {
        response.Headers.CacheControl = AskAgain; // the next root may be there a moment later
        return Problems.NotFound($"The repository has no file '{path}'.");
    }

    /// <summary>Whether each part is a plain name: no part that climbs, hides or is empty, whatever the URL was decoded to.</summary>
    static bool IsOfTheTree(string path)
    {
        var parts = path.Split('/');
        return parts.Length > 1 && Folders.Contains(parts[0])
            && parts.All(part => part.Length is > 0 and <= 255 && part[0] != '.' && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '+'));
    }

    static EntityTagHeaderValue Tag(string text) => new($"\"{text}\"");
}
