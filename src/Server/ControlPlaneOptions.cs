using System.Collections.Immutable;
using System.Net;
using Coppice.Server.Access;
using Coppice.Server.Events;
using Coppice.Server.Patches;
using Coppice.Server.Storage;
using Coppice.Server.Trust;

namespace Coppice.Server;

/// <summary>How a server runs.</summary>
public sealed record ControlPlaneOptions
{
    /// <summary>The folder that holds everything; made at the first start.</summary>
    public required string Data { get; init; }

    /// <summary>A PostgreSQL database that keeps the tables; null for a file in the data folder.</summary>
    public PostgresAddress? Database { get; init; }

    /// <summary>File of the key under which servers on one database share their other keys; null for a server on its own.</summary>
    public string? ClusterKeyFile { get; init; }

    /// <summary>Whether the database's clock counts, of a database that servers share, and not the machine's.</summary>
    public bool FollowDatabaseClock { get; init; } = true;

    /// <summary>Folder of blobs and patches, which servers on one database share; null for one in the data folder.</summary>
    public string? BlobFolder { get; init; }

    /// <summary>S3-compatible storage of files and patches, in place of a folder; null for none.</summary>
    public BucketAddress? Bucket { get; init; }

    /// <summary>Whether devices get files and patches from <see cref="Bucket"/> themselves, at addresses that are signed for a while.</summary>
    public bool SignedBlobAddresses { get; init; }

    /// <summary>A CDN that holds <c>blobs/</c> and <c>patches/</c> below this address, ending in '/', to which devices are sent for them; null for none.</summary>
    public Uri? BlobCdn { get; init; }

    /// <summary>Addresses to listen on, <c>http:</c> or <c>https:</c>, parted by ';'; port 0 takes a free one.</summary>
    public string Listen { get; init; } = "http://127.0.0.1:8420";

    /// <summary>PEM of the certificate that TLS shows, with those above it; null for one of the server's own authority.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>PEM of its private key; null when it is in the same file.</summary>
    public string? CertificateKeyFile { get; init; }

    /// <summary>Further host names and addresses for the server's own certificate.</summary>
    public ImmutableArray<string> TlsNames { get; init; } = [];

    /// <summary>Proxies that are believed when they say who calls: <c>X-Forwarded-For</c>, and the client's certificate.</summary>
    public ImmutableArray<IPNetwork> TrustedProxies { get; init; } = [];

    /// <summary>Whether the APIs of devices and operators are spoken in the clear beyond this machine.</summary>
    public bool AllowPlainHttp { get; init; }

    /// <summary>Whether a device must show its certificate; otherwise its signature over a request counts too.</summary>
    public bool RequireCertificates { get; init; }

    /// <summary>How long a device's certificate lives. Devices renew it when two thirds are over.</summary>
    public TimeSpan CertificateLife { get; init; } = TimeSpan.FromDays(90);

    /// <summary>How often devices that speak hawkBit's device API ask; below a day.</summary>
    public TimeSpan DdiPoll { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Whether a device without a token may ask an operator to be let in.</summary>
    public bool AcceptRequests { get; init; } = true;

    /// <summary>Whether a device is refused whose identity two installations have.</summary>
    public bool QuarantineSuspects { get; init; }

    /// <summary>A device that was not heard of for longer is called silent.</summary>
    public TimeSpan SilentAfter { get; init; } = TimeSpan.FromDays(2);

    /// <summary>How old a signed report may be, as one that a mirror kept.</summary>
    public TimeSpan LatestReport { get; init; } = TimeSpan.FromDays(35);

    /// <summary>How long reports are kept; they are forgotten by the week, when all of one are older.</summary>
    public TimeSpan KeepReports { get; init; } = TimeSpan.FromDays(400);

    /// <summary>Enrolments, good or bad.</summary>
    public RequestLimit EnrolmentLimit { get; init; } = new(300, 6_000);

    /// <summary>Reading without proof: repository, health, authorities. A caller on this machine is not counted.</summary>
    public RequestLimit ReadingLimit { get; init; } = new(60_000, 1_200_000);

    /// <summary>Tokens, certificates and signatures that prove nothing.</summary>
    public RequestLimit FailingLimit { get; init; } = new(120, 6_000);

    /// <summary>Largest blob taken, in bytes.</summary>
    public long MaxBlobBytes { get; init; } = 64L << 30;

    /// <summary>Whether patches are made, so that devices fetch less.</summary>
    public bool Patches { get; init; } = true;

    /// <summary>Bytes of the largest file that a patch is made from or makes.</summary>
    public long LargestPatched { get; init; } = PatchMaker.DefaultLargest;

    /// <summary>Patches that are made at once, each with one thread.</summary>
    public int PatchThreads { get; init; } = 1;

    /// <summary>How long a patch stays that no device needs.</summary>
    public TimeSpan KeepPatches { get; init; } = TimeSpan.FromDays(7);

    /// <summary>How mail is sent; null for not at all.</summary>
    public MailSettings? Mail { get; init; }

    /// <summary>Whose sign-ins are taken beside API tokens; null for nobody's.</summary>
    public OidcSettings? Oidc { get; init; }

    /// <summary>Files of the server's sealing keys, outside the data folder: the present one first, then older ones that still open what is kept. Without one the server keeps no content keys.</summary>
    public IReadOnlyList<string> SealingKeys { get; init; } = [];

    /// <summary>The password of encrypted sealing keys.</summary>
    public string? SealingKeyPassword { get; init; }

    /// <summary>How long a stop waits for requests under way.</summary>
    public TimeSpan StopPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long signed metadata is trusted; null for the defaults.</summary>
    public RepositoryLifetimes? Lifetimes { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>What the log tells; it goes to standard error.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Warning;
}
