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

    public static void MapRepository(this IEndpointRouteBuilder routes)
    {
        var (repository, small, elsewhere) = (routes.ServiceProvider.GetRequiredService<Repository>(), routes.ServiceProvider.GetRequiredService<SmallFiles>(), routes.ServiceProvider.GetRequiredService<BlobsElsewhere>());
        routes.MapMethods("/repository/{**path}", [HttpMethods.Get, HttpMethods.Head], context => ServeAsync(context, repository, small, elsewhere))
            .AllowAnonymous().WithMetadata(RequestKind.Reading, new ServedEarly()).ExcludeFromDescription();
    }

    /// <summary>Marks what is answered before anybody is asked who they are: most of all requests are for the repository.</summary>
    sealed record ServedEarly;

    /// <summary>Answers polls that find nothing new, before anything else is done for a request: nearly all requests are these, and they need no route.</summary>
    /// <remarks>What is not answered here goes the whole way, also when too many came from one address.</remarks>
    public static void UsePolls(this WebApplication app)
    {
        var (repository, small, gate) = (app.Services.GetRequiredService<Repository>(), app.Services.GetRequiredService<SmallFiles>(), app.Services.GetRequiredService<ReadingGate>());
        app.Use((context, next) => IsKnown(context, repository, small) is { } kept && gate.LetsIn(context) ? NothingNew(context.Response, kept) : next(context));
    }

    /// <summary>The file that a request is for, when the caller has it as it is.</summary>
    static SmallFiles.Kept? IsKnown(HttpContext context, Repository repository, SmallFiles small)
    {
        const string Prefix = "/repository/";
        if (context.Request.Headers.IfNoneMatch is not [{ } known] || !HttpMethods.IsGet(context.Request.Method)
            || context.Request.Path.Value is not { } asked || !asked.StartsWith(Prefix, StringComparison.Ordinal))
            return null;
        var path = asked[Prefix.Length..];
        return IsOfTheTree(path) && !RepositoryTree.NeverChanges(path) && repository.FolderOf(path) is { } place
            && small.Find(Path.Join(place, path)) is { } kept && kept.Tag.Tag.Equals(known, StringComparison.Ordinal) ? kept : null;
    }

    static Task NothingNew(HttpResponse response, SmallFiles.Kept kept)
    {
        response.StatusCode = StatusCodes.Status304NotModified;
        response.Headers.CacheControl = AskAgain;
        response.Headers.ETag = kept.TagText;
        return Task.CompletedTask;
    }

    /// <summary>Answers for the repository here; after the gate, before everything that others need.</summary>
    public static void UseRepository(this IApplicationBuilder app) => app.Use((context, next) =>
        context.GetEndpoint() is { RequestDelegate: { } serve } endpoint && endpoint.Metadata.GetMetadata<ServedEarly>() is not null ? serve(context) : next(context));

    static Task ServeAsync(HttpContext context, Repository repository, SmallFiles small, BlobsElsewhere elsewhere)
    {
        var path = context.GetRouteValue("path") as string;
        if (path is null || !IsOfTheTree(path))
            return NoFile(path, context.Response).ExecuteAsync(context);
        if (elsewhere.TrySend(context, path))
            return Task.CompletedTask;
        var changes = !RepositoryTree.NeverChanges(path);
        if (!changes || repository.FolderOf(path) is not { } place)
            return Find(path, changes, repository, context.Response).ExecuteAsync(context);
        if (small.Find(Path.Join(place, path)) is not { } kept)
            return NoFile(path, context.Response).ExecuteAsync(context);

        context.Response.Headers.CacheControl = AskAgain;
        return TypedResults.Bytes(kept.Bytes, TypeOf(path), entityTag: kept.Tag, enableRangeProcessing: true).ExecuteAsync(context);
    }

    static string TypeOf(string path) => path.EndsWith(".json", StringComparison.Ordinal) ? "application/json" : "application/octet-stream";

    static IResult Find(string path, bool changes, Repository repository, HttpResponse response)
    {
        var type = TypeOf(path);
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
