using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Coppice.Mirror.Tests.Serving;

/// <summary>A server as a mirror sees it: files of a folder, and a device API that takes what it is told to.</summary>
public sealed class Upstream : IAsyncDisposable
{
    readonly WebApplication app;

    Upstream(WebApplication app) => this.app = app;

    /// <summary>Where it is, also when it is no more.</summary>
    public Uri Url { get; private set; } = null!;

    /// <summary>Paths of the repository that were asked for.</summary>
    public ConcurrentQueue<string> Asked { get; } = new();

    /// <summary>Requests to the device API, as they came.</summary>
    public ConcurrentQueue<(string Path, string? Signature, byte[] Body)> Told { get; } = new();

    /// <summary>What the device API answers.</summary>
    public Func<int> Status { get; set; } = () => 200;

    /// <summary>What is sent in place of a file's bytes.</summary>
    public Func<string, byte[], byte[]> Alter { get; set; } = (_, bytes) => bytes;

    /// <summary>Holds answers with blobs back until it is set.</summary>
    public TaskCompletionSource? Gate { get; set; }

    public static async Task<Upstream> StartAsync(string folder, string listen = "http://127.0.0.1:0")
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls(listen);
        var app = builder.Build();
        var upstream = new Upstream(app);
        app.Run(context => upstream.ServeAsync(context, folder));
        await app.StartAsync();
        upstream.Url = new(app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.First() + "/");
        return upstream;
    }

    async Task ServeAsync(HttpContext context, string folder)
    {
        var path = context.Request.Path.Value!;
        if (path.StartsWith("/v1/", StringComparison.Ordinal))
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            context.Response.StatusCode = Status();
            if (context.Response.StatusCode < 500)
                Told.Enqueue((path, context.Request.Headers["Signature"], body.ToArray()));
            await context.Response.WriteAsync("""{"through":99,"passport":"signed"}""");
            return;
        }

        path = path["/repository/".Length..];
        Asked.Enqueue(path);
        var file = Path.Combine([folder, .. path.Split('/')]);
        if (!File.Exists(file))
        {
            context.Response.StatusCode = 404;
            return;
        }

        var bytes = Alter(path, await File.ReadAllBytesAsync(file));
        var from = 0;
        if (context.Request.Headers.Range.ToString() is ['b', 'y', 't', 'e', 's', '=', .. var range] && int.TryParse(range.TrimEnd('-'), out from))
        {
            context.Response.StatusCode = 206;
            context.Response.Headers.ContentRange = $"bytes {from}-{bytes.Length - 1}/{bytes.Length}";
        }

        context.Response.ContentLength = bytes.Length - from;
        var half = (bytes.Length - from) / 2;
        await context.Response.Body.WriteAsync(bytes.AsMemory(from, half));
        if (path.StartsWith("blobs/", StringComparison.Ordinal) && Gate is { } gate)
        {
            await context.Response.Body.FlushAsync();
            await gate.Task;
        }

        await context.Response.Body.WriteAsync(bytes.AsMemory(from + half));
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
