using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>A way to get a file that a manifest names: its whole blob, a patch on a file that is here, the ranges that differ.</summary>
public interface IFileWay
{
    /// <summary>In words for a person: <c>whole blob</c>.</summary>
    string Name { get; }

    /// <summary>Bytes it would take over the network; null when it cannot make this file.</summary>
    ValueTask<long?> CostAsync(ReleaseFile file, CancellationToken cancel);

    /// <summary>Puts the file's bytes, synced, where <see cref="Storage.DataFolder.Part"/> says.</summary>
    /// <param name="file">What is wanted.</param>
    /// <param name="arrived">Told of every run of bytes that came over the network.</param>
    /// <param name="cancel">Ends the call; what has come is kept where it helps later.</param>
    /// <returns>The digest of what is there now. The caller compares it, whatever the way.</returns>
    /// <exception cref="LinkException">It did not work this time; says why.</exception>
    Task<Sha256Digest> FetchAsync(ReleaseFile file, Action<int> arrived, CancellationToken cancel);
}
