using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Server.Tests.Trust;

/// <summary>A device that reads a tree by its files alone, and keeps what it trusts between updates.</summary>
sealed class TreeClient(ITreeFiles files, ReadOnlyMemory<byte> pinnedRoot)
{
    ReadOnlyMemory<byte> _root = pinnedRoot;
    ReadOnlyMemory<byte>? _timestamp;
    ReadOnlyMemory<byte>? _snapshot;
    TrustedMetadataSet? _trusted;

    public TrustedMetadataSet Trusted => _trusted!;

    /// <summary>One update by the specification's order; throws whenever a device would refuse.</summary>
    public void Update(DateTimeOffset now)
    {
        var client = new TrustedMetadataSet(_root, now);
        while (Read($"metadata/{client.Root.Signed.Version + 1}.root.json") is { } next)
        {
            if (client.UpdateRoot(next))
                (_timestamp, _snapshot) = (null, null);
            _root = next;
        }
        if (_timestamp is { } timestamp)
            client.LoadTimestamp(timestamp);
        if (client.UpdateTimestamp(Require("metadata/timestamp.json")))
            _timestamp = client.Timestamp!.Bytes;
        if (_snapshot is null || !client.LoadSnapshot(_snapshot.Value))
        {
            client.UpdateSnapshot(Require($"metadata/{client.Timestamp!.Signed.Snapshot.Version}.snapshot.json"));
            _snapshot = client.Snapshot!.Bytes;
        }
        client.UpdateTargets(Role(client, "targets"));
        foreach (var role in client.Targets!.Signed.Delegations!.Roles)
            client.UpdateTargets(Role(client, role.Name), role.Name, "targets");
        _trusted = client;
    }

    /// <summary>The verified content of a target; null when no role speaks of it.</summary>
    public byte[]? Target(string path)
    {
        var search = new TargetSearch(path);
        while (search.Next(out var role, out var delegator))
        {
            Assert.True(Trusted.TryGetTargets(role, delegator, out var targets));
            search.Visit(targets.Signed);
        }
        if (search.Found is not { } found)
            return null;
        var bytes = Require("targets/" + found.StoredPath(consistentSnapshot: true));
        found.Verify(bytes);
        return bytes;
    }

    byte[] Role(TrustedMetadataSet client, string role) => Require($"metadata/{client.NamedInSnapshot(role).Version}.{role}.json");

    byte[] Require(string path) => Read(path) ?? throw new FileNotFoundException($"The tree names '{path}' but does not hold it.");

    byte[]? Read(string path)
    {
        using var stream = files.Open(path);
        if (stream is null)
            return null;
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
