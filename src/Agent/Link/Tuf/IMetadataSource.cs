namespace Coppice.Agent.Link.Tuf;

/// <summary>Where a repository is read from: a web server, a folder, a USB stick. Nothing it gives is trusted.</summary>
public interface IMetadataSource
{
    /// <summary>Fetches a metadata file.</summary>
    /// <param name="fileName">The name inside the metadata folder, not yet escaped: <c>2.root.json</c>, <c>timestamp.json</c>.</param>
    /// <param name="mostBytes">A longer file is refused, before or while it is read.</param>
    /// <param name="knownTag">The tag under which the caller holds the file; null when it holds none.</param>
    /// <param name="cancel">Ends a download that takes too long; a source waits for ever by itself.</param>
    /// <exception cref="Coppice.Trust.UntrustedMetadataException">The file is longer than allowed.</exception>
    /// <exception cref="HttpRequestException">The server was not reached or answered with an error other than "not there".</exception>
    /// <exception cref="IOException">The connection broke, or the folder cannot be read.</exception>
    Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel);

    /// <summary>Fetches a target file.</summary>
    /// <param name="path">The path inside the targets folder, not yet escaped, digest prefix included.</param>
    /// <param name="mostBytes">A longer file is refused, before or while it is read.</param>
    /// <param name="cancel">Ends a download that takes too long.</param>
    /// <exception cref="Coppice.Trust.UntrustedMetadataException">The file is longer than allowed, or the path leaves the folder.</exception>
    Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel);
}

/// <summary>What came of a request.</summary>
public enum FetchOutcome
{
    /// <summary>The bytes are here.</summary>
    Found,
    /// <summary>The file is the one the caller knows by its tag.</summary>
    Unchanged,
    /// <summary>There is no such file (HTTP 404, 410, or the 403 that object stores say in its place).</summary>
    Absent,
}

/// <summary>A fetched file.</summary>
/// <param name="Outcome">What came of the request.</param>
/// <param name="Bytes">The file when found; empty otherwise.</param>
/// <param name="Tag">The version tag to ask with next time; null when the source has none.</param>
public readonly record struct FetchedFile(FetchOutcome Outcome, ReadOnlyMemory<byte> Bytes, string? Tag)
{
    /// <summary>There is no such file.</summary>
    public static FetchedFile Absent { get; } = new(FetchOutcome.Absent, default, null);
}
