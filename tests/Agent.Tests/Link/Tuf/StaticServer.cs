using System.Net;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link.Tuf;

/// <summary>Answers as a static web server over a folder does, ETags included, and remembers what it was asked.</summary>
sealed class StaticServer(string folder) : HttpMessageHandler
{
    public List<string> Requests { get; } = [];

    /// <summary>Changes answers on their way; null leaves them.</summary>
    public Func<string, HttpResponseMessage?>? Answer { get; set; }

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var path = request.RequestUri!.AbsolutePath;
        Requests.Add((request.Headers.IfNoneMatch.Count > 0 ? "? " : "") + path);
        return Task.FromResult(Answer?.Invoke(path) ?? Serve(request, path));
    }

    HttpResponseMessage Serve(HttpRequestMessage request, string path)
    {
        var file = Path.Combine([folder, .. path.Split('/', StringSplitOptions.RemoveEmptyEntries)]);
        if (!File.Exists(file))
            return new HttpResponseMessage(HttpStatusCode.NotFound);
        var bytes = File.ReadAllBytes(file);
        var tag = $"\"{Sha256Digest.Of(bytes)}\"";
        if (request.Headers.IfNoneMatch.Any(known => known.Tag == tag))
            return new HttpResponseMessage(HttpStatusCode.NotModified);
        var answer = new HttpResponseMessage(HttpStatusCode.OK) { Content = new ByteArrayContent(bytes) };
        answer.Headers.ETag = new(tag);
        return answer;
    }
}
