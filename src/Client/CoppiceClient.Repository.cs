using Coppice.Protocol;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>Who signs what, until when, and what somebody should do.</summary>
    public Task<RepositoryView> GetRepositoryAsync(CancellationToken cancel = default) => GetAsync("v1/repository", ControlContext.Default.RepositoryView, cancel);

    /// <summary>Puts in force what offline keys signed. The same again changes nothing.</summary>
    public Task<AppliedMetadata> ApplyMetadataAsync(ApplyMetadata metadata, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, "v1/repository/metadata", metadata, ControlContext.Default.ApplyMetadata, ControlContext.Default.AppliedMetadata, cancel);
}
