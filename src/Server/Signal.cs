using System.Threading.Channels;

namespace Coppice.Server;

/// <summary>Wakes a worker. A hundred calls before it wakes are one.</summary>
abstract class Signal
{
    readonly Channel<bool> channel = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public void Raise() => channel.Writer.TryWrite(true);

    public IAsyncEnumerable<bool> AllAsync(CancellationToken cancel) => channel.Reader.ReadAllAsync(cancel);
}
