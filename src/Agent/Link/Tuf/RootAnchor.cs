using Coppice.Trust;

namespace Coppice.Agent.Link.Tuf;

/// <summary>Finds the root that a person named, among those that a repository offers.</summary>
public static class RootAnchor
{
    const int MostRoots = 256;

    /// <summary>The root with a digest, whatever version it is; null when the repository has none such.</summary>
    /// <param name="source">The repository; trusted for nothing.</param>
    /// <param name="wanted">The root's SHA-256. Null takes the first root there is, on the word of whoever gave the repository.</param>
    /// <param name="cancel">Ends the call.</param>
    public static async Task<ReadOnlyMemory<byte>?> FindAsync(IMetadataSource source, Sha256Digest? wanted, CancellationToken cancel)
    {
        for (var version = 1; version <= MostRoots; version++)
        {
            var file = await source.FetchMetadataAsync($"{version}.root.json", new TufLimits().RootBytes, null, cancel);
            if (file.Outcome != FetchOutcome.Found)
                break;
            if (wanted is null || Sha256Digest.Of(file.Bytes.Span) == wanted)
                return file.Bytes;
        }

        return null;
    }
}
