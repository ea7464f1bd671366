using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Coppice.Bench.Mirror;

/// <summary>What a server answered in a time.</summary>
/// <param name="Requests">Whole answers.</param>
/// <param name="Bytes">Of their bodies.</param>
/// <param name="Seconds">The time.</param>
readonly record struct Answered(long Requests, long Bytes, double Seconds);

/// <summary>Asks for one file again and again over connections that stay open, as devices do, with as little work of its own as may be.</summary>
static class HttpLoad
{
    const int BufferBytes = 256 << 10;

    /// <summary>Asks for a time.</summary>
    /// <param name="file">The file.</param>
    /// <param name="known">Its tag, to be answered that nothing is new; null to be given the file.</param>
    /// <param name="connections">How many ask at once.</param>
    /// <param name="span">How long.</param>
    public static async Task<Answered> RunAsync(Uri file, string? known, int connections, TimeSpan span)
    {
        var request = Encoding.ASCII.GetBytes($"GET {file.PathAndQuery} HTTP/1.1\r\nHost: {file.Authority}\r\n{(known is null ? "" : $"If-None-Match: {known}\r\n")}\r\n");
        var start = Stopwatch.GetTimestamp();
        var counts = await Task.WhenAll(Enumerable.Range(0, connections).Select(_ => Task.Run(() => AskAsync(file, request, known is null ? "HTTP/1.1 200" : "HTTP/1.1 304", start, span))));
        return new(counts.Sum(count => count.Requests), counts.Sum(count => count.Bytes), Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    /// <summary>The tag of a file.</summary>
    public static async Task<string> TagAsync(Uri file)
    {
        using var http = new HttpClient();
        using var response = await http.GetAsync(file);
        return response.EnsureSuccessStatusCode().Headers.ETag!.ToString();
    }

    static async Task<(long Requests, long Bytes)> AskAsync(Uri file, byte[] request, string wanted, long start, TimeSpan span)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(file.Host, file.Port);
        var buffer = new byte[BufferBytes];
        var (requests, bytes) = (0L, 0L);
        while (Stopwatch.GetElapsedTime(start) < span)
        {
            await socket.SendAsync(request);
            var (read, head) = (0, -1);
            while (head < 0)
            {
                read += await MoreAsync(socket, buffer.AsMemory(read));
                head = buffer.AsSpan(0, read).IndexOf("\r\n\r\n"u8);
            }

            var text = Encoding.ASCII.GetString(buffer, 0, head);
            if (!text.StartsWith(wanted, StringComparison.Ordinal))
                throw new InvalidDataException($"not {wanted}: {text}");
            var length = wanted.EndsWith("304", StringComparison.Ordinal) ? 0 : LengthIn(text);
            for (var left = length - (read - head - 4); left > 0;)
                left -= await MoreAsync(socket, buffer);
            requests++;
            bytes += length;
        }

        return (requests, bytes);
    }

    static async Task<int> MoreAsync(Socket socket, Memory<byte> buffer) =>
        await socket.ReceiveAsync(buffer) is > 0 and var read ? read : throw new IOException("the server closed the connection.");

    static long LengthIn(string head)
    {
        const string Name = "\r\nContent-Length: ";
        var from = head.IndexOf(Name, StringComparison.OrdinalIgnoreCase) + Name.Length;
        var end = head.IndexOf('\r', from);
        return long.Parse(head.AsSpan(from, (end < 0 ? head.Length : end) - from), NumberStyles.None, CultureInfo.InvariantCulture);
    }
}
