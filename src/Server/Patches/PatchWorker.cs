using Coppice.Server.Registry;
using Coppice.Server.Sealing;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Server.Patches;

/// <summary>Makes patches that devices will want, one after the other, behind everything else that the server does.</summary>
sealed partial class PatchWorker(
    PatchNeeds needs, Repository repository, ContentKeyStore keys, ControlPlaneOptions options, PatchSignal signal, TimeProvider time, ILogger<PatchWorker> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromMinutes(1);

    /// <summary>Pairs remembered; a server that runs for years begins anew.</summary>
    const int MostRemembered = 100_000;

    readonly PatchMaker maker = new(repository.Tree, options.LargestPatched);
    readonly SemaphoreSlim one = new(1);
    readonly HashSet<PatchPair> notWorth = [];

    /// <summary>Pairs that are not tried again by this process.</summary>
    public int NotWorth => notWorth.Count;

    /// <summary>Makes every patch that is wanted now and not there.</summary>
    /// <returns>How many were made.</returns>
    public async Task<int> MakeAsync(CancellationToken cancel)
    {
        await one.WaitAsync(cancel);
        try
        {
            var made = 0;
            foreach (var pair in await needs.FindAsync(cancel))
            {
                if (notWorth.Contains(pair))
                    continue;
                cancel.ThrowIfCancellationRequested();
                var opened = await keys.OpenAsync(new[] { pair.From, pair.To }.Select(file => file.Sealed?.Key).OfType<Sha256Digest>(), cancel);
                switch (await BehindAsync(() => Try(pair, opened.GetValueOrDefault, cancel)))
                {
                    case PatchOutcome.Made:
                        made++;
                        LogMade(pair.To.Name, pair.From.Digest.ToString()[..16], pair.To.Digest.ToString()[..16]);
                        break;
                    case PatchOutcome.NotWorth:
                        if (notWorth.Count >= MostRemembered)
                            notWorth.Clear();
                        notWorth.Add(pair);
                        break;
                }
            }

            return made;
        }
        finally
        {
            one.Release();
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!options.Patches)
            return;
        await using var clock = time.CreateTimer(_ => signal.Raise(), null, TimeSpan.Zero, Pause);
        await foreach (var _ in signal.AllAsync(stoppingToken))
        {
            try
            {
                await MakeAsync(stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(e); // a full disk or the like; devices fetch whole files meanwhile
            }
        }
    }

    public override void Dispose()
    {
        one.Dispose();
        base.Dispose();
    }

    PatchOutcome Try(PatchPair pair, Func<Sha256Digest, ContentKey?> key, CancellationToken cancel)
    {
        try
        {
            return maker.Make(pair, key, cancel);
        }
        catch (Exception e) when (e is not (IOException or OperationCanceledException)) // of these two files, whatever is the matter with them: the next pair has others
        {
            LogGaveUp(e, pair.To.Name, pair.From.Digest.ToString()[..16], pair.To.Digest.ToString()[..16]);
            return PatchOutcome.NotWorth;
        }
    }

    /// <summary>Runs on a thread of its own that gives way to requests, where the system knows priorities of threads.</summary>
    static Task<PatchOutcome> BehindAsync(Func<PatchOutcome> work) => Task.Factory.StartNew(
        () =>
        {
            Thread.CurrentThread.Priority = ThreadPriority.BelowNormal;
            return work();
        },
        CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    [LoggerMessage(LogLevel.Information, "Patch of {File} made from {From}… to {To}….")]
    partial void LogMade(string file, string from, string to);

    [LoggerMessage(LogLevel.Warning, "No patch of {File} could be made from {From}… to {To}…; devices fetch it whole.")]
    partial void LogGaveUp(Exception e, string file, string from, string to);

    [LoggerMessage(LogLevel.Error, "Patches could not be made; the next try is in a minute.")]
    partial void LogFailed(Exception e);
}
