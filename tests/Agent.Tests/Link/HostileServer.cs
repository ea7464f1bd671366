using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Coppice.Agent.Tests.Link;

/// <summary>A server on loopback that answers each request with whatever bytes it is told, whether they are HTTP or not.</summary>
sealed class HostileServer : IAsyncDisposable
{
    readonly TcpListener listener = new(IPAddress.Loopback, 0);
    readonly CancellationTokenSource closing = new();
    readonly Task work;

    /// <param name="answer">Given the request's head; writes what it likes.</param>
    public HostileServer(Func<string, NetworkStream, CancellationToken, Task> answer)
    {
        listener.Start();
        work = Task.Run(async () =>
        {
            while (!closing.IsCancellationRequested)
            {
                try
                {
                    using var client = await listener.AcceptTcpClientAsync(closing.Token);
                    await using var stream = client.GetStream();
                    var head = await HeadAsync(stream);
                    Requests.Add(head);
                    await answer(head, stream, closing.Token);
                }
                catch (Exception e) when (e is IOException or SocketException or OperationCanceledException) // the client hung up, or we do
                {
                }
            }
        });
    }

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/");

    public List<string> Requests { get; } = [];

    async Task<string> HeadAsync(NetworkStream stream)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal) && await stream.ReadAsync(one, closing.Token) == 1)
            head.Append((char)one[0]);
        // A body that is left unread makes the system reset the connection, and the answer with it.
        var length = head.ToString().Split('\n').FirstOrDefault(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase));
        if (length is not null)
            await stream.ReadExactlyAsync(new byte[int.Parse(length.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture)], closing.Token);
        return head.ToString();
    }

    public static async Task SayAsync(NetworkStream stream, string head, byte[] body)
    {
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n"));
        await stream.WriteAsync(body);
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync();
        await work;
        listener.Dispose();
        closing.Dispose();
    }
}
