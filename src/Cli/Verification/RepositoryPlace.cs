using Coppice.Agent.Link;
using Coppice.Agent.Link.Tuf;
using Coppice.Mirror.Bundles;
using Coppice.Protocol;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Cli.Verification;

/// <summary>Where a repository is to be read: a folder, or an address.</summary>
/// <param name="Metadata">Its metadata and documents.</param>
/// <param name="Files">Its files.</param>
/// <param name="Address">The server's address, where it is one.</param>
sealed record RepositoryPlace(IMetadataSource Metadata, IRepositoryFiles Files, Uri? Address) : IDisposable
{
    /// <summary>Longest that expired metadata may be taken: beyond that a site is not offline, it is forgotten.</summary>
    static readonly TimeSpan LongestGrace = TimeSpan.FromDays(3650);

    HttpClient? owner;
    Func<Sha256Digest, CancellationToken, Task<byte[]?>> grants = (_, _) => Task.FromResult<byte[]?>(null);

    /// <summary>What a public key is granted; null when the place has nothing of it.</summary>
    public Task<byte[]?> GrantsAsync(Sha256Digest recipient, CancellationToken cancel) => grants(recipient, cancel);

    /// <summary>Opens a place as a command line names it; null takes the server of the environment.</summary>
    /// <exception cref="UsageException">There is none, or it is no place.</exception>
    /// <exception cref="Formats.MalformedFileException">The bundle is none, or is damaged.</exception>
    public static RepositoryPlace Open(string? text, string? bundle = null)
    {
        if (bundle is not null)
        {
            var file = BundleFile.Open(bundle);
            return new(file, file, null);
        }

        var isServer = text is null;
        text ??= Environment.GetEnvironmentVariable(ServerOptions.ServerVariable);
        if (string.IsNullOrWhiteSpace(text))
            throw new UsageException($"Of which repository? Give --repository FOLDER or URL, or set {ServerOptions.ServerVariable}.");
        if (!text.Contains("://", StringComparison.Ordinal))
        {
            if (!Directory.Exists(Path.Combine(text, "metadata")))
                throw new UsageException($"--repository: {text} holds no metadata/; give the folder of a repository.");
            return new(new FolderSource(text), new FolderFiles(text), null)
            {
                grants = (recipient, _) => Task.FromResult(Path.Combine(text, RepositoryLayout.GrantFile(recipient)) is var path && File.Exists(path) ? File.ReadAllBytes(path) : null),
            };
        }

        if (!Uri.TryCreate(text.EndsWith('/') ? text : text + "/", UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https"))
            throw new UsageException($"--repository: '{text}' is not an address; write it as https://coppice.example.org/repository.");
        var server = isServer ? address : address.AbsolutePath.EndsWith("/repository/", StringComparison.Ordinal) ? new Uri(address, "../") : null;
        var connections = ServerRoots.Handler();
        (connections.AllowAutoRedirect, connections.ConnectTimeout, connections.UseCookies) = (false, TimeSpan.FromSeconds(15), false);
        var http = new HttpClient(connections) { Timeout = TimeSpan.FromMinutes(1), MaxResponseContentBufferSize = GrantFile.MaxBytes };
        http.DefaultRequestHeaders.Add(DirectRequest.Header, DirectRequest.Value);
        var tree = isServer ? new Uri(address, "repository/") : address;
        return new(new HttpSource(http, tree), new HttpFiles(http, tree), server)
        {
            owner = http,
            grants = async (recipient, cancel) =>
            {
                using var answer = await http.GetAsync(new Uri(tree, RepositoryLayout.GrantFile(recipient)), cancel);
                return answer.IsSuccessStatusCode ? await answer.Content.ReadAsByteArrayAsync(cancel) : null;
            },
        };
    }

    /// <summary>How long expired metadata is taken.</summary>
    /// <exception cref="UsageException">It is no duration, or too long.</exception>
    public static TimeSpan Grace(string? text) => Duration.TryParse(text, out var grace) && grace >= TimeSpan.Zero && grace <= LongestGrace
        ? grace
        : throw new UsageException($"--offline-grace: '{text}' is not a duration of at most {LongestGrace.TotalDays:0} days; write it as 30d.");

    public void Dispose() => owner?.Dispose();
}

/// <summary>Trusted metadata that lasts as long as one command.</summary>
sealed class MemoryMetadata : IMetadataStore
{
    readonly Dictionary<string, ReadOnlyMemory<byte>> files = new(StringComparer.Ordinal);

    public ReadOnlyMemory<byte>? Read(string role) => files.TryGetValue(role, out var bytes) ? bytes : (ReadOnlyMemory<byte>?)null; // a bare null would become empty memory

    public void Write(string role, ReadOnlyMemory<byte> bytes) => files[role] = bytes;

    public void Delete(string role) => files.Remove(role);
}
