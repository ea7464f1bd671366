using System.Threading.Channels;

namespace Coppice.Server.Rollouts;

/// <summary>Wakes the worker: something came that may move a rollout. A hundred calls before it wakes are one.</summary>
sealed class RolloutSignal
{
    readonly Channel<bool> channel = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public void Raise() => channel.Writer.TryWrite(true);

    public IAsyncEnumerable<bool> AllAsync(CancellationToken cancel) => channel.Reader.ReadAllAsync(cancel);
}
