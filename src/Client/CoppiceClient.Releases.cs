using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Headers;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Client;

public sealed partial class CoppiceClient
{
    /// <summary>Whether the repository has a blob.</summary>
    public async Task<bool> HasBlobAsync(Sha256Digest digest, CancellationToken cancel = default)
    {
        using var response = await SendAsync(HttpMethod.Head, $"v1/blobs/{digest}", null, cancel, HttpStatusCode.NotFound);
        return response.StatusCode != HttpStatusCode.NotFound;
    }

    /// <summary>Sends a blob; does nothing when the repository has it.</summary>
    /// <param name="digest">SHA-256 of the content.</param>
    /// <param name="content">Read once, from where it stands.</param>
    /// <param name="length">Bytes in the content.</param>
    /// <param name="cancel">Ends the call; the server keeps nothing of it.</param>
    public async Task PutBlobAsync(Sha256Digest digest, Stream content, long length, CancellationToken cancel = default)
    {
        using var body = new StreamContent(content, 256 << 10);
        body.Headers.ContentLength = length;
        body.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using var response = await SendAsync(HttpMethod.Put, $"v1/blobs/{digest}", body, cancel);
    }

    /// <summary>Publishes a release whose blobs are there already.</summary>
    public Task<ReleaseView> PublishAsync(ModelName model, PublishRelease release, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/models/{model}/releases", release, ControlContext.Default.PublishRelease, ControlContext.Default.ReleaseView, cancel);

    /// <summary>All models, in the order of their names.</summary>
    public Task<ImmutableArray<ModelView>> ListModelsAsync(CancellationToken cancel = default) => GetAsync("v1/models", ControlContext.Default.ImmutableArrayModelView, cancel);

    /// <summary>A model with its releases and rollouts.</summary>
    public Task<ModelDetail> GetModelAsync(ModelName model, CancellationToken cancel = default) => GetAsync($"v1/models/{model}", ControlContext.Default.ModelDetail, cancel);

    /// <summary>A release with its manifest and where it runs.</summary>
    public Task<ReleaseDetail> GetReleaseAsync(ModelName model, SemanticVersion version, CancellationToken cancel = default) =>
        GetAsync($"v1/models/{model}/releases/{Escape(version.ToString())}", ControlContext.Default.ReleaseDetail, cancel);

    /// <summary>Bars a release from serving anywhere, for ever.</summary>
    public Task<ReleaseView> RevokeAsync(ModelName model, SemanticVersion version, string why, CancellationToken cancel = default) =>
        SendAsync(HttpMethod.Post, $"v1/models/{model}/releases/{Escape(version.ToString())}/revoke", new Reason(why), ControlContext.Default.Reason, ControlContext.Default.ReleaseView, cancel);
}
