namespace Coppice.Agent.Link;

/// <summary>The server, the repository or the network did not give what was asked for. It is tried again.</summary>
public sealed class LinkException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>How long the server asks to be left alone; null when it does not say.</summary>
    public TimeSpan? After { get; init; }

    /// <summary>Whether the server does not know who asks.</summary>
    public bool Unknown { get; init; }

    /// <summary>Whether the same request would end the same way: there is no such file, or what came is not what it should be.</summary>
    public bool Lasting { get; init; }

    /// <summary>Whether an operator must let the device in first.</summary>
    public bool Waits { get; init; }
}
