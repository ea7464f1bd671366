using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Coppice.Bench.Mirror;

/// <summary>Polls of a timestamp that has not changed, as devices send them: conditional GETs over connections that stay open.</summary>
static class PollBench
{
    const int BufferBytes = 16 << 10;

    /// <summary>Asks each address in turn, three times, and prints requests a second.</summary>
    public static async Task<int> RunAsync(string[] arguments)
    {
        if (arguments.Length == 0)
        {
            Console.Error.WriteLine("Say which files: mirror http://127.0.0.1:8430/repository/metadata/timestamp.json http://127.0.0.1:8080/metadata/timestamp.json");
            return 2;
        }

        var addresses = arguments.Select(text => new Uri(text)).ToList();
        for (var turn = 1; turn <= 3; turn++)
        {
            foreach (var address in addresses)
            {
                var rate = await MeasureAsync(address, connections: 32, TimeSpan.FromSeconds(5));
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"turn {turn}  {address}  {rate:0} requests/s"));
            }
        }

        return 0;
    }

    static async Task<double> MeasureAsync(Uri address, int connections, TimeSpan span)
    {
        using var http = new HttpClient();
        using var first = await http.GetAsync(address);
        first.EnsureSuccessStatusCode();
        var request = Encoding.ASCII.GetBytes($"GET {address.PathAndQuery} HTTP/1.1\r\nHost: {address.Authority}\r\nIf-None-Match: {first.Headers.ETag}\r\n\r\n");
        var start = Stopwatch.GetTimestamp();
        var counts = await Task.WhenAll(Enumerable.Range(0, connections).Select(_ => Task.Run(() => PollAsync(address, request, start, span))));
        return counts.Sum() / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    static async Task<long> PollAsync(Uri address, byte[] request, long start, TimeSpan span)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(address.Host, address.Port);
        var buffer = new byte[BufferBytes];
        var count = 0L;
        while (Stopwatch.GetElapsedTime(start) < span)
        {
            await socket.SendAsync(request);
            var read = 0;
            do
            {
                var run = await socket.ReceiveAsync(buffer.AsMemory(read));
                if (run == 0)
                    throw new IOException("the server closed the connection.");
                read += run;
            }
            while (buffer.AsSpan(0, read).IndexOf("\r\n\r\n"u8) < 0);

            if (!buffer.AsSpan(0, read).StartsWith("HTTP/1.1 304"u8))
                throw new InvalidDataException($"not 304: {Encoding.ASCII.GetString(buffer, 0, Math.Min(read, 200))}");
            count++;
        }

        return count;
    }
}
