using System.Globalization;

namespace Coppice.EndToEnd;

/// <summary>A folder behind nginx, as an operator's mirror serves a repository.</summary>
sealed class StaticMirror : IAsyncDisposable
{
    readonly Nginx nginx;

    StaticMirror(Nginx nginx, Uri address) => (this.nginx, Address) = (nginx, address);

    /// <summary>Where it listens, ending in '/'.</summary>
    public Uri Address { get; }

    /// <summary>Every request so far: its status, its path, the ranges it asked for, and the bytes of the answer's body.</summary>
    public IReadOnlyList<(int Status, string Path, string Range, long Bytes)> Requests => [.. File.ReadLines(Path.Combine(nginx.Folder, "access.log")).Select(line => line.Split('|'))
        .Select(parts => (int.Parse(parts[0], CultureInfo.InvariantCulture), parts[1], parts[2], long.Parse(parts[3], CultureInfo.InvariantCulture)))];

    public static async Task<StaticMirror> StartAsync(string repository)
    {
        var folder = Directory.CreateTempSubdirectory("coppice-mirror-").FullName;
        var port = Nginx.FreePort();
        return new(await Nginx.StartAsync(folder, port, $$"""
              log_format told '$status|$uri|$http_range|$body_bytes_sent';
              access_log {{folder}}/access.log told;
              server { listen 127.0.0.1:{{port}}; root {{repository}}; }
            """), new($"http://127.0.0.1:{port}/"));
    }

    public ValueTask DisposeAsync() => nginx.DisposeAsync();
}
