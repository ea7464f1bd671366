using System.Globalization;
using Coppice.Protocol;
using Coppice.Server.Storage;
using Coppice.Server.Trust;

namespace Coppice.Server.Registry;

/// <summary>Sends devices for files and patches to where else they are: signed addresses in a bucket, or a CDN. What is signed and small stays here.</summary>
/// <remarks>
/// A caller that cannot go there, or a CDN that fetches from here, asks with <c>Coppice-Direct: 1</c> and gets the bytes. Whoever gives them, a device takes none
/// whose digest is another than the signed manifest says.
/// </remarks>
sealed class BlobsElsewhere(ControlPlaneOptions options, Repository repository)
{
    /// <summary>How long a signed address is good, and how long a caller may go there without asking again: half of it, so that a download that was begun is ended.</summary>
    static readonly TimeSpan SignedLife = TimeSpan.FromHours(1);

    static readonly TimeSpan CdnLife = TimeSpan.FromHours(6);

    readonly BucketFiles? bucket = options.SignedBlobAddresses ? (repository.Files as SplitTree)?.Large as BucketFiles : null;

    /// <summary>Answers with the other place, when there is one and the file is there.</summary>
    /// <param name="context">A GET or HEAD.</param>
    /// <param name="path">Of the tree.</param>
    /// <returns>False when the file is given from here.</returns>
    public bool TrySend(HttpContext context, string path)
    {
        if ((bucket is null && options.BlobCdn is null) || !SplitTree.IsLarge(path))
            return false;
        context.Response.Headers.Vary = DirectRequest.Header;
        if (!HttpMethods.IsGet(context.Request.Method) || context.Request.Headers[DirectRequest.Header] == DirectRequest.Value || repository.Files.Length(path) is null)
            return false;
        var (to, cache) = bucket is null
            ? (new Uri(options.BlobCdn!, path), Cache("public", CdnLife))
            : (bucket.SignedAddress(path, SignedLife), Cache("private", SignedLife / 2));
        context.Response.StatusCode = StatusCodes.Status307TemporaryRedirect;
        context.Response.Headers.Location = to.AbsoluteUri;
        context.Response.Headers.CacheControl = cache;
        return true;
    }

    static string Cache(string who, TimeSpan life) => string.Create(CultureInfo.InvariantCulture, $"{who}, max-age={(int)life.TotalSeconds}");
}
