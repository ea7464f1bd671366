using Coppice.Agent.Link;
using Coppice.Mirror.Reports;
using Coppice.Mirror.Upstream;
using Coppice.Trust;
using Microsoft.Extensions.Logging;

namespace Coppice.Mirror;

/// <summary>Follows upstream: looks at its timestamp, takes in what it leads to, fetches what devices will ask for, and says so when it is away.</summary>
public sealed partial class Follower(
    UpstreamTree upstream, FileCache cache, ReportCarrier carrier, AskedModels asked, UpstreamState state, MirrorOptions options, ILogger<Follower> log)
{
    /// <summary>Follows until it is told to stop.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        while (true)
        {
            await LookAsync(cancel);
            await Task.Delay(options.Poll, options.Time, cancel);
        }
    }

    async Task LookAsync(CancellationToken cancel)
    {
        using var late = new CancellationTokenSource(options.Stall * 2, options.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            var client = await upstream.RefreshAsync(options.Time.GetUtcNow(), either.Token);
            if (state.Answered())
            {
                LogBack();
                carrier.Wake();
            }

            if (client is null)
                return;
            LogNew(client.Trusted!.Timestamp!.Signed.Version);
            foreach (var (path, _) in await upstream.WantedAsync(client, asked.All, either.Token))
                await cache.EnsureAsync(path, cancel);
        }
        catch (UntrustedMetadataException e)
        {
            LogUntrusted(e.Message); // upstream answers, and lies or is broken: what is here stays
        }
        catch (Exception e) when (e is HttpRequestException or LinkException or IOException or UnauthorizedAccessException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            if (state.Failed(e.Message))
                LogAway(e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The repository is at timestamp version {Version}")]
    partial void LogNew(long version);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Upstream is away ({Why}); devices are served what is here, and their reports are kept")]
    partial void LogAway(string why);

    [LoggerMessage(Level = LogLevel.Information, Message = "Upstream is back")]
    partial void LogBack();

    [LoggerMessage(Level = LogLevel.Error, Message = "Upstream offers what no device should take; what is here stays: {Why}")]
    partial void LogUntrusted(string why);
}
