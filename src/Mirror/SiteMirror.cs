using Coppice.Agent.Link;
using Coppice.Agent.Link.Tuf;
using Coppice.Agent.Storage;
using Coppice.Mirror.Reports;
using Coppice.Mirror.Tree;
using Coppice.Mirror.Upstream;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Coppice.Mirror;

/// <summary>A mirror that runs: serves a site's devices from its own copy of the repository, and carries their reports. It holds no key, and nothing that it gives is believed for its sake.</summary>
public sealed class SiteMirror : IAsyncDisposable
{
    const int MaxRequestBytes = 1 << 20;
    const int MaxResponseBytes = 256 << 10; // a connection: what is read of a file ahead of what is sent

    readonly WebApplication app;
    readonly FileStream hold;
    readonly HttpClient http;
    readonly ServerTrust trust;
    readonly ReportCarrier carrier;
    readonly CancellationTokenSource closing = new();
    readonly Task work;

    SiteMirror(WebApplication app, FileStream hold, HttpClient http, ServerTrust trust, Follower follower, ReportCarrier carrier)
    {
        (this.app, this.hold, this.http, this.trust, this.carrier) = (app, hold, http, trust, carrier);
        Url = new(app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.First());
        work = Task.WhenAll(Task.Run(() => follower.RunAsync(closing.Token)), Task.Run(() => carrier.RunAsync(closing.Token)));
    }

    /// <summary>Where it listens.</summary>
    public Uri Url { get; }

    /// <summary>Starts a mirror. It serves what it has at once, whether or not upstream is there.</summary>
    /// <exception cref="IOException">The folder is held by another mirror, or the address is taken.</exception>
    public static async Task<SiteMirror> StartAsync(MirrorOptions options, CancellationToken cancel = default)
    {
        var disk = new FolderDisk(options.Data);
        FileStream hold;
        try
        {
            hold = new(Path.Combine(options.Data, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"{options.Data} is held by another mirror; stop it, or give another folder. ({e.Message})", e);
        }

        var trust = new ServerTrust(options.Upstream, null, options.Authority, options.Time);
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = options.Stall, PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        trust.Configure(handler.SslOptions);
        var http = new HttpClient(new ServerTrust.Handler(trust, handler)) { Timeout = Timeout.InfiniteTimeSpan };
        WebApplication? app = null;
        try
        {
            app = Build(options);
            var tree = new SiteTree(new FolderDisk(Path.Combine(options.Data, DataFolder.Repository)));
            var state = new UpstreamState(options.Time);
            var repository = new Uri(options.Upstream, "repository/");
            var cache = new FileCache(tree, http, repository, state, options.Budget, options.Stall, options.Time);
            cache.TakeStock();
            var spool = new ReportSpool(disk, options.ReportBudget);
            spool.Open();
            var carrier = new ReportCarrier(spool, http, options.Upstream, state, options.Stall, options.Time, app.Services.GetRequiredService<ILogger<ReportCarrier>>());
            var asked = new AskedModels(disk);
            var follower = new Follower(new UpstreamTree(tree, new HttpSource(http, repository), options.Root), cache, carrier, asked, state, options, app.Services.GetRequiredService<ILogger<Follower>>());
            var files = new RepositoryFiles(tree, cache, asked);
            var devices = new DeviceRequests(carrier, options);
            var status = new MirrorStatusPage(tree, cache, spool, carrier, state, options);
            app.Run(context =>
            {
                var path = context.Request.Path.Value ?? "";
                return path.StartsWith("/repository/", StringComparison.Ordinal) ? files.ServeAsync(context, path["/repository/".Length..])
                    : path.StartsWith("/v1/", StringComparison.Ordinal) && path != MirrorStatusPage.Path ? devices.ServeAsync(context, path)
                    : status.ServeAsync(context, path);
            });
            await app.StartAsync(cancel);
            return new(app, hold, http, trust, follower, carrier);
        }
        catch
        {
            if (app is not null)
                await app.DisposeAsync();
            http.Dispose();
            trust.Dispose();
            await hold.DisposeAsync();
            throw;
        }
    }

    static WebApplication Build(MirrorOptions options)
    {
        var builder = WebApplication.CreateEmptyBuilder(new() { ContentRootPath = options.Data, EnvironmentName = Environments.Production });
        builder.WebHost.UseKestrelCore().UseUrls(options.Listen).ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaxRequestBytes;
            kestrel.Limits.MaxResponseBufferSize = MaxResponseBytes;
            kestrel.ConfigureEndpointDefaults(endpoint => endpoint.Protocols = HttpProtocols.Http1AndHttp2);
        });
        builder.Logging.SetMinimumLevel(options.LogLevel).AddSimpleConsole(console => console.SingleLine = true).AddFilter("Microsoft", options.LogLevel == LogLevel.Information ? LogLevel.Warning : options.LogLevel);
        builder.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.Configure<ConsoleLifetimeOptions>(console => console.SuppressStatusMessages = true);
        return builder.Build();
    }

    /// <summary>Returns when the process is told to stop, or <paramref name="cancel"/> is cancelled, and requests under way are done.</summary>
    public Task WaitForShutdownAsync(CancellationToken cancel) => app.WaitForShutdownAsync(cancel);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync();
        await app.DisposeAsync();
        await work.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        carrier.Dispose();
        http.Dispose();
        trust.Dispose();
        closing.Dispose();
        await hold.DisposeAsync();
    }
}
