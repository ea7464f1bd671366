using System.Globalization;
using Coppice.Agent.Link;
using Coppice.Delivery;
using Coppice.Mirror.Tree;
using Coppice.Mirror.Upstream;
using Coppice.Trust;
using Coppice.Trust.Sealing;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Mirror;

/// <summary>The repository's files as devices ask for them: here, on their way, or not to be had.</summary>
public sealed class RepositoryFiles(SiteTree tree, FileCache cache, AskedModels asked)
{
    const string Timestamp = "metadata/timestamp.json";
    const string ForEver = "public, max-age=31536000, immutable";
    const int BufferBytes = 1 << 16;

    readonly string timestampFile = tree.Disk.FullPath(Timestamp)!;
    volatile HeldTimestamp? held;

    sealed record HeldTimestamp(DateTime Written, byte[] Bytes, string Tag, StringValues TagHeader);

    /// <summary>Answers GET and HEAD.</summary>
    public Task ServeAsync(HttpContext context, string path)
    {
        var get = HttpMethods.IsGet(context.Request.Method);
        if (!get && !HttpMethods.IsHead(context.Request.Method))
            return Plain(context, StatusCodes.Status405MethodNotAllowed, "The repository is read only.");
        if (path == Timestamp)
            return ServeTimestamp(context, get);
        if (!IsOfTheTree(path))
            return Plain(context, StatusCodes.Status404NotFound, "The repository has no such file.");
        if (path.StartsWith("targets/rollouts/", StringComparison.Ordinal))
            asked.Note(path);
        if (path.StartsWith("grants/", StringComparison.Ordinal))
            return ServeFreshAsync(context, path, GrantFile.MaxBytes, "application/octet-stream", get);
        if (path.StartsWith(RepositoryLayout.PatchIndexFolder + "/", StringComparison.Ordinal))
            return ServeFreshAsync(context, path, PatchIndex.MaxBytes, "application/json", get);
        if (tree.LengthOf(path) is { } length)
        {
            cache.Touch(path, length);
            return ServeFileAsync(context, path, length, get);
        }

        // Metadata is followed as a whole: what is not here is not, and the next root is asked for at every refresh.
        return path.StartsWith("metadata/", StringComparison.Ordinal)
            ? Plain(context, StatusCodes.Status404NotFound, "The repository has no such file.")
            : ServeArrivingAsync(context, path, get);
    }

    /// <summary>Serves a small file that changes under its name, as upstream has it now.</summary>
    async Task ServeFreshAsync(HttpContext context, string path, int most, string type, bool get)
    {
        try
        {
            if (await cache.FreshAsync(path, most, context.RequestAborted) is not { } bytes)
            {
                await Plain(context, StatusCodes.Status404NotFound, "The repository has no such file.");
                return;
            }

            context.Response.Headers.CacheControl = "no-cache";
            context.Response.ContentType = type;
            context.Response.ContentLength = bytes.Length;
            if (get)
                await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
        }
        catch (LinkException e)
        {
            context.Response.Headers.RetryAfter = "30";
            await Plain(context, StatusCodes.Status503ServiceUnavailable, $"This mirror does not hold the file, and {e.Message}");
        }
    }

    Task ServeTimestamp(HttpContext context, bool get)
    {
        var response = context.Response;
        if (Current() is not { } now)
            return Plain(context, StatusCodes.Status503ServiceUnavailable, "This mirror has not reached upstream yet, and no bundle was applied to it.");
        response.Headers.ETag = now.TagHeader;
        response.Headers.CacheControl = "no-cache";
        if (context.Request.Headers.IfNoneMatch is [{ } known] && known == now.Tag)
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        response.ContentType = "application/json";
        response.ContentLength = now.Bytes.Length;
        return get ? response.Body.WriteAsync(now.Bytes, 0, now.Bytes.Length) : Task.CompletedTask;
    }

    /// <summary>The timestamp that the tree has now, whoever wrote it: the time of its file is looked at each time.</summary>
    HeldTimestamp? Current()
    {
        var written = File.GetLastWriteTimeUtc(timestampFile);
        if (held is { } known && known.Written == written)
            return known;
        try
        {
            var bytes = File.ReadAllBytes(timestampFile);
            var tag = $"\"{Sha256Digest.Of(bytes)}\"";
            return held = new(written, bytes, tag, tag);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    async Task ServeFileAsync(HttpContext context, string path, long length, bool get)
    {
        SafeFileHandle file;
        try
        {
            file = File.OpenHandle(tree.Disk.FullPath(path)!, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (FileNotFoundException) // made room for another a moment ago
        {
            await ServeArrivingAsync(context, path, get);
            return;
        }

        using (file)
        {
            var (from, count) = Head(context, path, length);
            if (get)
                await SendAsync(context, file, from, count);
        }
    }

    /// <summary>Sends a run of a file. Read straight into what is sent: mostly it is in memory, and where it is not, asynchronous reading waits on another thread all the same.</summary>
    static async Task SendAsync(HttpContext context, SafeFileHandle file, long from, long count)
    {
        var writer = context.Response.BodyWriter;
        for (var end = from + count; from < end;)
        {
            var most = (int)Math.Min(BufferBytes, end - from);
            var read = RandomAccess.Read(file, writer.GetMemory(most).Span[..most], from);
            if (read == 0) // the disk gave less than it said: the device sees a broken answer and goes on from there
            {
                context.Abort();
                return;
            }

            writer.Advance(read);
            from += read;
            if ((await writer.FlushAsync(context.RequestAborted)).IsCompleted)
                return;
        }
    }

    async Task ServeArrivingAsync(HttpContext context, string path, bool get)
    {
        Arrival? arrival;
        try
        {
            arrival = await cache.ArriveAsync(path, context.RequestAborted);
        }
        catch (LinkException e)
        {
            context.Response.Headers.RetryAfter = "30";
            await Plain(context, StatusCodes.Status503ServiceUnavailable, $"This mirror does not hold the file, and {e.Message}");
            return;
        }

        if (arrival is null)
        {
            await Plain(context, StatusCodes.Status404NotFound, "The repository has no such file.");
            return;
        }

        FileStream file;
        try
        {
            file = arrival.Open();
        }
        catch (FileNotFoundException) when (tree.LengthOf(path) is { } whole) // it has arrived in the meantime
        {
            await ServeFileAsync(context, path, whole, get);
            return;
        }

        await using (file)
        {
            var (from, count) = Head(context, path, arrival.Length);
            if (get)
                await FollowAsync(context, file, arrival, from, count);
        }
    }

    /// <summary>Sends what has come, and then what comes. An arrival that breaks off breaks the answer off: the device goes on from there.</summary>
    static async Task FollowAsync(HttpContext context, FileStream file, Arrival arrival, long from, long count)
    {
        var buffer = new byte[BufferBytes];
        file.Position = from;
        for (var end = from + count; from < end;)
        {
            long here;
            try
            {
                here = await arrival.MoreThanAsync(from, context.RequestAborted);
            }
            catch (LinkException)
            {
                context.Abort();
                return;
            }

            while (from < Math.Min(here, end))
            {
                var read = await file.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, Math.Min(here, end) - from)), context.RequestAborted);
                if (read == 0)
                    break;
                await context.Response.Body.WriteAsync(buffer.AsMemory(0, read), context.RequestAborted);
                from += read;
            }
        }
    }

    /// <summary>Writes the head of an answer. Gives the run of bytes that was asked for.</summary>
    static (long From, long Count) Head(HttpContext context, string path, long length)
    {
        var response = context.Response;
        var tag = path.StartsWith("blobs/", StringComparison.Ordinal) ? $"\"{path[(path.LastIndexOf('/') + 1)..]}\"" : ""; // its digest; others are asked for without one
        response.Headers.CacheControl = ForEver;
        response.Headers.AcceptRanges = "bytes";
        if (tag.Length > 0)
            response.Headers.ETag = tag;
        response.ContentType = path.EndsWith(".json", StringComparison.Ordinal) ? "application/json" : "application/octet-stream";
        if (RangeHeaderValue.TryParse(context.Request.Headers.Range.ToString(), out var range) && range.Unit == "bytes" && range.Ranges.Count == 1
            && (StringValues.IsNullOrEmpty(context.Request.Headers.IfRange) || context.Request.Headers.IfRange == tag))
        {
            var (first, last) = (range.Ranges.First().From, range.Ranges.First().To);
            var from = first ?? Math.Max(0, length - (last ?? 0));
            var to = first is null ? length - 1 : Math.Min(last ?? length - 1, length - 1);
            if (from > to)
            {
                response.StatusCode = StatusCodes.Status416RangeNotSatisfiable;
                response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes */{length}");
                response.ContentLength = 0;
                return (0, 0);
            }

            response.StatusCode = StatusCodes.Status206PartialContent;
            response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes {from}-{to}/{length}");
            response.ContentLength = to - from + 1;
            return (from, to - from + 1);
        }

        response.ContentLength = length;
        return (0, length);
    }

    /// <summary>Whether each part is a plain name, whatever the URL was decoded to, in one of the repository's folders.</summary>
    static bool IsOfTheTree(string path)
    {
        var parts = path.Split('/');
        return parts.Length is > 1 and <= 8 && parts[0] is "metadata" or "targets" or "blobs" or "patches" or "grants"
            && parts.All(part => part.Length is > 0 and <= 255 && part[0] != '.' && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '+' or '%' or '~'));
    }

    internal static Task Plain(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : context.Response.WriteAsync(text, context.RequestAborted);
    }
}
