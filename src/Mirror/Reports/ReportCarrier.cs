using System.Collections.Concurrent;
using System.Net.Http.Headers;
using Coppice.Agent.Link;
using Coppice.Mirror.Upstream;
using Coppice.Protocol;
using Microsoft.Extensions.Logging;

namespace Coppice.Mirror.Reports;

/// <summary>Carries requests to upstream, one after the other in the order in which they came, each until upstream has answered it for good.</summary>
/// <remarks>A request may arrive twice, when an answer was lost; the server keeps each report once.</remarks>
public sealed partial class ReportCarrier(ReportSpool spool, HttpClient http, Uri upstream, UpstreamState state, TimeSpan stall, TimeProvider time, ILogger<ReportCarrier> log) : IDisposable
{
    const int MaxAnswer = (DevicePassport.MaxBytes / 3 * 4) + (64 << 10);
    static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    readonly ConcurrentDictionary<long, TaskCompletionSource<UpstreamAnswer?>> listening = new();
    readonly SemaphoreSlim more = new(0, 1);
    volatile bool pausing;
    long delivered;
    long refused;

    /// <summary>Requests that upstream has taken since the start.</summary>
    public long Delivered => Interlocked.Read(ref delivered);

    /// <summary>Requests that upstream has refused for good since the start.</summary>
    public long Refused => Interlocked.Read(ref refused);

    /// <summary>Whether upstream answered when it was last asked.</summary>
    public bool MayReach => state.Trouble is null;

    /// <summary>Keeps a request, and waits a while for upstream's answer to it.</summary>
    /// <returns>Whether it is kept, and upstream's answer when it came in time.</returns>
    public async Task<(bool Kept, UpstreamAnswer? Answer)> TakeAsync(CarriedRequest request, TimeSpan patience, CancellationToken cancel)
    {
        if (spool.Add(request) is not { } number)
            return (false, null);
        if (pausing || state.Trouble is not null)
            return (true, null); // nobody waits for an upstream that is away or busy, nor makes it busier
        var answer = new TaskCompletionSource<UpstreamAnswer?>(TaskCreationOptions.RunContinuationsAsynchronously);
        listening[number] = answer;
        Wake();
        try
        {
            return (true, pausing ? null : await answer.Task.WaitAsync(patience, time, cancel));
        }
        catch (TimeoutException)
        {
            return (true, null);
        }
        finally
        {
            listening.TryRemove(number, out _);
        }
    }

    /// <summary>Tries again now, as when upstream was heard of.</summary>
    public void Wake()
    {
        try
        {
            more.Release();
        }
        catch (SemaphoreFullException) // awake already
        {
        }
    }

    /// <inheritdoc/>
    public void Dispose() => more.Dispose();

    /// <summary>Carries until it is told to stop.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        var failures = 0;
        while (true)
        {
            if (spool.First() is not var (number, request))
            {
                await more.WaitAsync(cancel);
                continue;
            }

            if (request is null)
            {
                spool.Remove(number);
                continue;
            }

            if (await SendAsync(request, cancel) is { } answer && answer.Status is not (408 or 425 or 429 or >= 500))
            {
                if (answer.Status >= 400)
                {
                    Interlocked.Increment(ref refused);
                    LogRefused(answer.Status, System.Text.Encoding.UTF8.GetString(answer.Body.AsSpan(0, Math.Min(answer.Body.Length, 300))));
                }
                else
                {
                    Interlocked.Increment(ref delivered);
                }

                spool.Remove(number);
                if (listening.TryGetValue(number, out var waiting))
                    waiting.TrySetResult(answer);
                (failures, pausing) = (0, false);
                continue;
            }

            // Upstream is away or busy: later, and at once when somebody heard of it.
            pausing = true;
            foreach (var waits in listening.Values)
                waits.TrySetResult(null);
            var pause = TimeSpan.FromSeconds(Math.Pow(2, Math.Min(++failures, 6)) / 2);
            await Task.WhenAny(Task.Delay(pause < LongestPause ? pause : LongestPause, time, cancel), more.WaitAsync(cancel));
            cancel.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Sends a request as it came.</summary>
    /// <returns>Upstream's answer; null when it is not reached.</returns>
    public async Task<UpstreamAnswer?> SendAsync(CarriedRequest request, CancellationToken cancel)
    {
        using var late = new CancellationTokenSource(stall, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            using var message = new HttpRequestMessage(request.Body.Length == 0 && request.ContentType is null ? HttpMethod.Get : HttpMethod.Post, new Uri(upstream, request.Path.TrimStart('/')));
            if (message.Method == HttpMethod.Post)
            {
                message.Content = new ByteArrayContent(request.Body);
                if (request.ContentType is not null)
                    message.Content.Headers.TryAddWithoutValidation("Content-Type", request.ContentType);
            }

            foreach (var (name, value) in request.Headers)
            {
                var headers = name.StartsWith("Content-", StringComparison.OrdinalIgnoreCase) ? (HttpHeaders?)message.Content?.Headers : message.Headers;
                headers?.TryAddWithoutValidation(name, value);
            }

            using var response = await http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, either.Token);
            await using var body = await response.Content.ReadAsStreamAsync(either.Token);
            var bytes = new byte[MaxAnswer];
            var read = await body.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, either.Token);
            state.Answered();
            return new((int)response.StatusCode, response.Content.Headers.ContentType?.ToString(), bytes[..read]);
        }
        catch (Exception e) when (e is HttpRequestException or System.Net.Sockets.SocketException or LinkException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            state.Failed(e.Message);
            return null;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Upstream refused a device's request for good with {Status}: {Body}")]
    partial void LogRefused(int status, string body);
}
