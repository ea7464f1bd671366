using Coppice.Agent.Link.Tuf;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>A repository over the network and a copy that bundles brought to this device: whichever has the newer timestamp is read, and the other where that one lacks a file.</summary>
/// <remarks>Neither is trusted: the client that reads follows signatures and lets no version go back.</remarks>
/// <param name="network">The server, a mirror, or a folder.</param>
/// <param name="site">The folder that <c>coppice bundle apply --data</c> fills.</param>
public sealed class NewerSource(IMetadataSource network, IMetadataSource site) : IMetadataSource
{
    long networkVersion;
    bool fromSite;

    /// <inheritdoc/>
    public async Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel)
    {
        if (fileName != "timestamp.json")
            return await EitherAsync(source => source.FetchMetadataAsync(fileName, mostBytes, null, cancel), cancel);
        var copy = await site.FetchMetadataAsync(fileName, mostBytes, null, cancel);
        if (copy.Outcome != FetchOutcome.Found)
        {
            fromSite = false;
            return await network.FetchMetadataAsync(fileName, mostBytes, knownTag, cancel);
        }

        FetchedFile? found;
        try
        {
            found = await network.FetchMetadataAsync(fileName, mostBytes, knownTag, cancel);
        }
        catch (Exception e) when (IsTrouble(e, cancel)) // no network, which is what the copy is for
        {
            found = null;
        }

        if (found is { Outcome: FetchOutcome.Found } fresh)
            networkVersion = VersionOf(fresh.Bytes);
        fromSite = found is null or { Outcome: FetchOutcome.Absent } || VersionOf(copy.Bytes) > networkVersion;
        return fromSite ? copy : found!.Value;
    }

    /// <inheritdoc/>
    public Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel) =>
        EitherAsync(source => source.FetchTargetAsync(path, mostBytes, cancel), cancel);

    async Task<FetchedFile> EitherAsync(Func<IMetadataSource, Task<FetchedFile>> fetch, CancellationToken cancel)
    {
        var (first, second) = fromSite ? (site, network) : (network, site);
        try
        {
            if (await fetch(first) is { Outcome: not FetchOutcome.Absent } found)
                return found;
        }
        catch (Exception e) when (!fromSite && IsTrouble(e, cancel))
        {
            if (await fetch(second) is { Outcome: FetchOutcome.Found } copy)
                return copy;
            throw;
        }

        try
        {
            return await fetch(second);
        }
        catch (Exception e) when (fromSite && IsTrouble(e, cancel))
        {
            return FetchedFile.Absent; // the copy has no such file, and there is no network to ask: as when a folder has none
        }
    }

    static bool IsTrouble(Exception e, CancellationToken cancel) =>
        e is HttpRequestException or IOException or LinkException || (e is OperationCanceledException && !cancel.IsCancellationRequested);

    /// <summary>0 for what is no timestamp: the other is read then.</summary>
    static long VersionOf(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            return MetadataFile.ReadTimestamp(bytes).Signed.Version;
        }
        catch (UntrustedMetadataException)
        {
            return 0;
        }
    }
}

/// <summary>No repository over the network: a device that hears of releases by bundles alone.</summary>
public sealed class NoSource : IMetadataSource, IRepositoryFiles
{
    /// <inheritdoc/>
    public Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel) => Task.FromResult(FetchedFile.Absent);

    /// <inheritdoc/>
    public Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel) => Task.FromResult(FetchedFile.Absent);

    /// <inheritdoc/>
    public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel) => throw Nowhere(file);

    /// <inheritdoc/>
    public IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, CancellationToken cancel) => throw Nowhere(file);

    /// <inheritdoc/>
    public Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel) => Task.FromResult<byte[]?>(null);

    static LinkException Nowhere(RepositoryFile file) =>
        new($"no bundle that was applied here holds {file.Path}, and there is no network to get it by.") { Lasting = true };
}

/// <summary>Files of the copy on this device where it has them, which costs nothing; else of the network.</summary>
/// <param name="repository">The copy's folder.</param>
/// <param name="network">Files elsewhere.</param>
public sealed class NearerFiles(string repository, IRepositoryFiles network) : IRepositoryFiles
{
    readonly FolderFiles site = new(repository);

    /// <inheritdoc/>
    public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel) => From(file).OpenAsync(file, offset, tag, cancel);

    /// <inheritdoc/>
    public IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, CancellationToken cancel) => From(file).RangesAsync(file, ranges, cancel);

    /// <inheritdoc/>
    public async Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel) =>
        await site.ReadAsync(path, most, cancel) ?? await network.ReadAsync(path, most, cancel);

    IRepositoryFiles From(RepositoryFile file) =>
        new FileInfo(Path.Combine([repository, .. file.Path.Split('/')])) is { Exists: true } found && found.Length == file.Length ? site : network;
}
