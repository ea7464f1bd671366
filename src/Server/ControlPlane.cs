using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Approvals;
using Coppice.Server.Audit;
using Coppice.Server.Backups;
using Coppice.Server.Ddi;
using Coppice.Server.Events;
using Coppice.Server.Fleet;
using Coppice.Server.Health;
using Coppice.Server.Idempotency;
using Coppice.Server.Identity;
using Coppice.Server.Patches;
using Coppice.Server.Registry;
using Coppice.Server.Replicas;
using Coppice.Server.Rollouts;
using Coppice.Server.Sealing;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;

namespace Coppice.Server;

/// <summary>What only the first start tells.</summary>
/// <param name="AdminTokenFile">Where the admin's token is.</param>
/// <param name="OfflineKeys">Folder of the keys that belong on another machine.</param>
/// <param name="JoinToken">A first token by which devices join.</param>
public sealed record FirstStart(string AdminTokenFile, string OfflineKeys, CreatedJoinToken JoinToken);

/// <summary>A server that runs: the repository, the device API and the control API in one process on one data folder.</summary>
public sealed class ControlPlane : IAsyncDisposable
{
    static readonly TimeSpan FirstJoinTokenLife = TimeSpan.FromDays(7);
    const int FirstJoinTokenUses = 100;

    // Reading JSON straight from the connection's pipe leaves that pipe in the middle of a read when a member is refused,
    // and the connection is dropped with a warning in the log. Through a stream, the next request goes on.
    static ControlPlane() => AppContext.SetSwitch("Microsoft.AspNetCore.UseStreamBasedJsonParsing", true);

    readonly WebApplication app;
    readonly DataFolder data;

    ControlPlane(WebApplication app, DataFolder data, FirstStart? first)
    {
        (this.app, this.data, First) = (app, data, first);
        var urls = app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.Select(address => new Uri(address)).ToArray();
        Url = urls[0];
        DeviceUrl = urls.FirstOrDefault(url => url.Scheme == Uri.UriSchemeHttps) ?? Url;
    }

    /// <summary>Where it listens, at the first address.</summary>
    public Uri Url { get; }

    /// <summary>Where devices call: the first address with TLS, else the first one.</summary>
    public Uri DeviceUrl { get; }

    /// <summary>PEM of the roots that vouch for the server's TLS; null where public ones do, or there is no TLS.</summary>
    public string? Roots => app.Services.GetRequiredService<ServerCertificate>().Roots;

    /// <summary>Absolute.</summary>
    public string Data => data.Path;

    /// <summary>Holds a token that may do everything.</summary>
    public string AdminTokenFile => data.AdminTokenFile;

    /// <summary>Null when the data folder was there already.</summary>
    public FirstStart? First { get; }

    /// <summary>What the server is made of, for tests and for who embeds it.</summary>
    public IServiceProvider Services => app.Services;

    /// <summary>Starts a server; makes its data folder at the first start.</summary>
    /// <exception cref="DataFolderBusyException">Another server runs on the data folder.</exception>
    /// <exception cref="InvalidDataException">The data folder is not whole, or of a newer version.</exception>
    /// <exception cref="DatabaseUnavailableException">The database does not answer.</exception>
    /// <exception cref="IOException">The address is taken, or the disk fails.</exception>
    public static async Task<ControlPlane> StartAsync(ControlPlaneOptions options, CancellationToken cancel = default)
    {
        var data = DataFolder.Open(options.Data);
        WebApplication? app = null;
        var opened = new List<IDisposable>(); // what the program has not taken over yet
        try
        {
            var sealing = Opened(ServerKeys.Open(options.SealingKeys, options.SealingKeyPassword, data.Path)); // first: a wrong option leaves nothing behind
            var cluster = options.ClusterKeyFile is { } file ? Opened(ClusterKeys.Open(file)) : null;
            var database = Opened(options.Database is { } address ? await Database.OpenAsync(address, cancel) : await Database.OpenAsync(data.DatabaseFile, cancel));
            if (database.IsShared && options.FollowDatabaseClock)
            {
                var clock = new DatabaseClock(options.Time);
                await clock.AskAsync(() => database.ClockAsync(cancel), now => now);
                options = options with { Time = clock };
            }

            await using var starting = await database.BeginStartAsync(cancel);
            var now = options.Time.GetUtcNow();
            var files = Place.Open(options, data, database);
            if (cluster is null && database.IsShared && await ClusterKeys.AreSharedAsync(database, cancel))
                throw new InvalidDataException($"Servers on {database.Place} share their keys; give this one their --cluster-key.");
            if (cluster is not null && Repository.HasTree(files))
                await cluster.ShareAsync(database, data, cancel);
            var repository = Opened(Repository.Open(data, files, options.Lifetimes, now, keys => cluster?.KeepOnlineAsync(database, keys, cancel).GetAwaiter().GetResult()));
            var authorities = Opened(Authorities.Open(data.Authorities, now));
            var (audit, secrets) = (Opened(AuditKey.Open(data)), Opened(SecretBox.Open(data)));
            if (cluster is not null && database.IsShared)
                await cluster.ShareAsync(database, data, cancel);
            app = Build(options, new(data, database, repository, authorities, sealing, audit, secrets, cluster, await Restores.ReadAsync(database, cancel)));
            opened.Clear();
            var first = await PrepareAsync(app.Services, data, options.Time.GetUtcNow(), cancel);
            await app.StartAsync(cancel);
            return new(app, data, first);
        }
        catch
        {
            if (app is not null)
                await app.DisposeAsync();
            foreach (var one in Enumerable.Reverse(opened))
                one.Dispose();
            data.Dispose();
            throw;
        }

        T Opened<T>(T one) where T : IDisposable
        {
            opened.Add(one);
            return one;
        }
    }

    /// <summary>What a start opens before there is a program.</summary>
    sealed record Parts(
        DataFolder Data, Database Database, Repository Repository, Authorities Authorities, ServerKeys Sealing, AuditKey Audit, SecretBox Secrets, ClusterKeys? Cluster, Restores Restores);

    /// <summary>Returns when the process is told to stop (SIGTERM, SIGINT) or <paramref name="cancel"/> is cancelled, and requests under way are done.</summary>
    public Task WaitForShutdownAsync(CancellationToken cancel) => app.WaitForShutdownAsync(cancel);

    /// <summary>Lets requests under way finish, and stops.</summary>
    public Task StopAsync(CancellationToken cancel = default) => app.StopAsync(cancel);

    public async ValueTask DisposeAsync()
    {
        if (!app.Lifetime.ApplicationStopped.IsCancellationRequested)
            await app.StopAsync(); // else the workers' end would be taken for a failure
        await app.DisposeAsync();
        data.Dispose();
    }

    static async Task<FirstStart?> PrepareAsync(IServiceProvider services, DataFolder data, DateTimeOffset now, CancellationToken cancel)
    {
        await services.GetRequiredService<AuditStore>().LinkOlderAsync(cancel);
        var isNew = await services.GetRequiredService<OperatorStore>().EnsureAdminAsync(token => DataFolder.WritePrivate(data.AdminTokenFile, token + "\n"), now, cancel);
        await services.GetRequiredService<ReleaseStore>().ReconcileAsync(now, cancel);
        await services.GetRequiredService<PlanPublisher>().ReconcileAsync(cancel);
        await services.GetRequiredService<ContentKeyStore>().RenewAsync(cancel);
        if (!isNew)
            return null;
        var token = await services.GetRequiredService<JoinTokenStore>().CreateAsync(new(FirstJoinTokenLife, FirstJoinTokenUses), EventRow.Itself, now, cancel);
        return new(data.AdminTokenFile, data.OfflineKeys, token);
    }

    static WebApplication Build(ControlPlaneOptions options, Parts parts)
    {
        var (data, database, repository, authorities, sealing, audit, secrets, cluster, restores) = parts;
        var tls = new ServerCertificate(authorities, options);
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions
        {
            ContentRootPath = data.Path,
            EnvironmentName = Environments.Production,
            Args = ["--hostBuilder:reloadConfigOnChange=false"], // else every write to the database is told to a watcher of the folder
        });
        builder.Configuration.Sources.Clear(); // a server is what its options say, not what lies around it
        builder.Configuration.AddInMemoryCollection();
        builder.WebHost.UseUrls(options.Listen);
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.ConfigureHttpsDefaults(tls.Configure);
        });
        builder.Logging.ClearProviders().SetMinimumLevel(options.LogLevel).AddSimpleConsole(console => console.SingleLine = true);
        // A line for each request is for who looks for a fault.
        builder.Logging.AddFilter("Microsoft", options.LogLevel == LogLevel.Information ? LogLevel.Warning : options.LogLevel);
        builder.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.StopPatience);
        builder.Services.Configure<ConsoleLifetimeOptions>(console => console.SuppressStatusMessages = true);

        var services = builder.Services;
        services.AddSingleton(options).AddSingleton(options.Time);
        services.AddSingleton(_ => database).AddSingleton(_ => repository).AddSingleton(_ => sealing); // made by a delegate, so that the container disposes of them
        services.AddSingleton(_ => authorities).AddSingleton(_ => tls);
        services.AddSingleton<CertificateStore>().AddSingleton<EnrolmentStore>().AddSingleton<AuthorisedStore>();
        services.AddSingleton<OperatorStore>().AddSingleton<TokenStore>().AddSingleton<RefusedActs>();
        if (options.Oidc is { } oidc)
            services.AddSingleton(oidc).AddSingleton<OidcTokens>();
        services.AddSingleton(_ => audit).AddSingleton<AuditStore>().AddSingleton<ApprovalStore>();
        services.AddSingleton(database.Bell).AddSingleton(_ => secrets).AddSingleton<EventSender>().AddSingleton<WebhookStore>().AddSingleton<IdempotencyStore>();
        services.AddSingleton(data).AddSingleton(restores).AddSingleton<AuthorityChanges>();
        if (cluster is not null)
            services.AddSingleton(_ => cluster).AddHostedService<ClusterKeysWorker>();
        services.AddSingleton<Conductor>().AddHostedService(all => all.GetRequiredService<Conductor>()).AddHostedService<EventEar>(); // before the workers that ask it
        services.AddSingleton<WebhookWorker>().AddHostedService(all => all.GetRequiredService<WebhookWorker>());
        services.AddSingleton<AuditWorker>().AddHostedService(all => all.GetRequiredService<AuditWorker>());
        services.AddSingleton<DeviceStore>().AddSingleton<GroupStore>().AddSingleton<ExplanationStore>().AddSingleton<JoinTokenStore>();
        services.AddSingleton<ReportStore>().AddSingleton<ReportIntake>().AddSingleton<Passports>().AddSingleton<EventStore>();
        services.AddSingleton<ReleaseStore>().AddSingleton<PlanPublisher>().AddSingleton<RolloutStore>().AddSingleton<RolloutSignal>();
        services.AddSingleton<ContentKeyStore>().AddSingleton<SealedModelStore>().AddSingleton<GrantStore>();
        services.AddSingleton<RolloutWorker>().AddHostedService(all => all.GetRequiredService<RolloutWorker>());
        services.AddSingleton<ExpiryWorker>().AddHostedService(all => all.GetRequiredService<ExpiryWorker>());
        services.AddSingleton<ReportRetention>().AddHostedService(all => all.GetRequiredService<ReportRetention>());
        services.AddSingleton<PatchNeeds>().AddSingleton<PatchSignal>().AddSingleton<SmallFiles>().AddSingleton<BlobsElsewhere>();
        services.AddSingleton<PatchWorker>().AddHostedService(all => all.GetRequiredService<PatchWorker>());
        services.AddSingleton<DdiTokenStore>().AddSingleton<DdiActionStore>().AddSingleton<DdiDigests>().AddSingleton<DdiLinks>();
        services.AddGate();
        services.AddBearerTokens();
        services.AddProblems();
        services.AddApiDescription();
        services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);
        services.ConfigureHttpJsonOptions(json => UseControlJson(json.SerializerOptions));

        var app = builder.Build();
        // Resolved now, so that they are disposed of even when the start fails.
        app.Services.GetRequiredService<Database>();
        app.Services.GetRequiredService<Repository>();
        app.Services.GetRequiredService<Authorities>();
        app.Services.GetRequiredService<ServerCertificate>();
        app.Services.GetRequiredService<ServerKeys>();
        app.Services.GetRequiredService<AuditKey>();
        app.Services.GetRequiredService<SecretBox>();
        app.UsePolls();
        app.UseExceptionHandler(new ExceptionHandlerOptions
        {
            SuppressDiagnosticsCallback = context => context.Exception is BadHttpRequestException,
            StatusCodeSelector = e => e switch
            {
                BadHttpRequestException bad => bad.StatusCode,
                DatabaseUnavailableException or BucketException => StatusCodes.Status503ServiceUnavailable,
                _ => StatusCodes.Status500InternalServerError,
            },
        });
        app.UseStatusCodePages();
        app.UseRouting();
        app.UseGate();
        app.UseRepository();
        app.UseAuthentication();
        app.UseAuthorization();
        app.UseAccessGate();
        app.UseIdempotencyKeys();
        app.MapOpenApi("/openapi/{documentName}.json").AllowAnonymous().WithMetadata(RequestKind.Reading);
        app.MapAuthorityFiles();
        app.MapHealth();
        app.MapRepository();
        app.MapSignIn();
        app.MapEnrol();
        app.MapReports();
        app.MapKeys();
        app.MapDdi();
        var operators = app.MapGroup("").RequireAuthorization(BearerTokens.Operator).AddAccessGate().ProducesProblem(StatusCodes.Status401Unauthorized);
        operators.MapBlobs();
        operators.MapModels();
        operators.MapReleases();
        operators.MapSigning();
        operators.MapSealing();
        operators.MapRollouts();
        operators.MapDevices();
        operators.MapGroups();
        operators.MapWaiting();
        operators.MapAuthorities();
        operators.MapJoinTokens();
        operators.MapDdiTokens();
        operators.MapEvents();
        operators.MapWebhooks();
        operators.MapOperators();
        operators.MapTokens();
        operators.MapAudit();
        operators.MapApprovals();
        return app;
    }

    static void UseControlJson(JsonSerializerOptions json)
    {
        json.TypeInfoResolverChain.Insert(0, ControlContext.Default);
        json.TypeInfoResolverChain.Insert(1, DeviceMessagesContext.Default);
        foreach (var converter in ControlContext.Default.Options.Converters)
            json.Converters.Add(converter);
        json.PropertyNameCaseInsensitive = false;
        json.NumberHandling = JsonNumberHandling.Strict;
        json.AllowDuplicateProperties = false;
        json.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        json.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;
        json.RespectNullableAnnotations = true;
        json.RespectRequiredConstructorParameters = true;
        json.IgnoreReadOnlyProperties = true;
        json.MaxDepth = 32;
    }
}
