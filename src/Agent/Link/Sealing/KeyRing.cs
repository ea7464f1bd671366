using System.Collections.Immutable;
using Coppice.Agent.Storage;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Agent.Link.Sealing;

/// <summary>Asks the device's server for content keys.</summary>
public delegate Task<KeyAnswer> KeyQuestion(ImmutableArray<Sha256Digest> keys, CancellationToken cancel);

/// <summary>The content keys that this device was given. On the disk they are sealed to the device, in memory they are open.</summary>
/// <remarks>Looks, in this order: on the disk; in the repository's grants to this device, and to groups that it is a member of; at the server. Safe for several models at once.</remarks>
/// <param name="disk">The data folder.</param>
/// <param name="mine">What the device is granted keys to.</param>
/// <param name="files">The repository.</param>
/// <param name="ask">Asks the server; null for a device that has none.</param>
public sealed class KeyRing(IDisk disk, SealingKey mine, IRepositoryFiles files, KeyQuestion? ask) : IDisposable
{
    /// <summary>Groups of one device that are looked into.</summary>
    const int MostGroups = 64;

    readonly SemaphoreSlim one = new(1);
    readonly Dictionary<Sha256Digest, ContentKey> open = [];

    /// <summary>Brings the keys of files, so that they can be opened; does nothing for those that are here or not sealed.</summary>
    /// <exception cref="LinkException">A key is not given to this device; says which and why.</exception>
    public async Task BringAsync(IReadOnlyCollection<ReleaseFile> wanted, CancellationToken cancel)
    {
        var sealedFiles = wanted.Where(file => file.Sealed is not null).DistinctBy(file => file.Digest).ToList();
        if (sealedFiles.Count == 0)
            return;
        await one.WaitAsync(cancel);
        try
        {
            var missing = sealedFiles.Where(file => !TryOpen(file)).ToList();
            if (missing.Count == 0)
                return;
            var reasons = new List<string>();
            await LookInRepositoryAsync(missing, reasons, cancel);
            await AskServerAsync(missing, reasons, cancel);
            if (missing.Count > 0)
                throw new LinkException($"{string.Join(", ", missing.Select(file => file.Name).Take(5))}: this device is given no key of it. {string.Join(" ", reasons.Distinct().Take(3))} It is asked for again.");
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>The key of a sealed file.</summary>
    /// <exception cref="LinkException">It is not given to this device.</exception>
    public async Task<ContentKey> FindAsync(ReleaseFile file, CancellationToken cancel)
    {
        await BringAsync([file], cancel);
        lock (open)
            return open[file.Sealed!.Key];
    }

    /// <summary>Keys of a file that is or was here, by the digest of its plaintext; none when it was never sealed here.</summary>
    public IReadOnlyList<ContentKey> Of(Sha256Digest file)
    {
        var keys = new List<ContentKey>();
        foreach (var grant in Kept(file)?.Grants ?? [])
        {
            lock (open)
            {
                if (!open.TryGetValue(grant.Key, out var key))
                {
                    try
                    {
                        open[grant.Key] = key = grant.OpenContent(mine);
                    }
                    catch (BrokenSealException) // a damaged disk: as if it were not there
                    {
                        continue;
                    }
                }

                keys.Add(key);
            }
        }

        return keys;
    }

    /// <summary>Deletes the keys of files that nothing needs any more.</summary>
    /// <param name="wanted">Digests that stay.</param>
    public void Collect(IReadOnlySet<Sha256Digest> wanted)
    {
        foreach (var name in disk.Files(DataFolder.ContentKeys))
        {
            if (!Sha256Digest.TryParse(name.AsSpan(0, Math.Min(name.Length, Sha256Digest.HexLength)), out var digest) || !wanted.Contains(digest))
                disk.Delete($"{DataFolder.ContentKeys}/{name}");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        one.Dispose();
        lock (open)
        {
            foreach (var key in open.Values)
                key.Dispose();
            open.Clear();
        }
    }

    bool TryOpen(ReleaseFile file)
    {
        lock (open)
        {
            if (open.ContainsKey(file.Sealed!.Key) && disk.LengthOf(DataFolder.ContentKey(file.Digest)) is not null)
                return true;
        }

        return Of(file.Digest).Any(key => key.Id == file.Sealed.Key);
    }

    async Task LookInRepositoryAsync(List<ReleaseFile> missing, List<string> reasons, CancellationToken cancel)
    {
        if (await GrantsAsync(mine.Public.Digest, reasons, cancel) is not { } own)
        {
            reasons.Add("The repository grants this device nothing.");
            return;
        }

        Take(own, mine, missing, reasons);
        foreach (var member in own.Grants.Where(grant => grant.Kind == GrantKind.Group).Take(MostGroups))
        {
            if (missing.Count == 0)
                return;
            try
            {
                using var group = member.OpenGroup(mine);
                if (await GrantsAsync(group.Public.Digest, reasons, cancel) is { } grants)
                    Take(grants, group, missing, reasons);
            }
            catch (BrokenSealException e)
            {
                reasons.Add(e.Message);
            }
        }

        if (missing.Count > 0)
            reasons.Add("The repository does not grant it to this device.");
    }

    async Task<GrantFile?> GrantsAsync(Sha256Digest recipient, List<string> reasons, CancellationToken cancel)
    {
        try
        {
            if (await files.ReadAsync(RepositoryLayout.GrantFile(recipient), GrantFile.MaxBytes, cancel) is not { } bytes)
                return null;
            var file = GrantFile.Read(bytes);
            if (file.Recipient == recipient)
                return file;
            reasons.Add("The repository's grants to this device are another's.");
        }
        catch (Exception e) when (e is LinkException or BrokenSealException)
        {
            reasons.Add(e.Message);
        }

        return null;
    }

    async Task AskServerAsync(List<ReleaseFile> missing, List<string> reasons, CancellationToken cancel)
    {
        if (ask is null)
            return;
        foreach (var part in missing.Select(file => file.Sealed!.Key).Distinct().Chunk(KeyRequest.MaxKeys))
        {
            try
            {
                var answer = await ask([.. part], cancel);
                reasons.AddRange(answer.Refused.Take(3).Select(refused => $"The server: {refused.Why}"));
                Take(GrantFile.Read(answer.Grants), mine, missing, reasons);
            }
            catch (Exception e) when (e is LinkException or BrokenSealException)
            {
                reasons.Add(e.Message);
                return;
            }
        }
    }

    /// <summary>Opens what is missing among grants, keeps it sealed to this device, and takes it out of what is missing.</summary>
    void Take(GrantFile grants, SealingKey by, List<ReleaseFile> missing, List<string> reasons)
    {
        for (var i = missing.Count - 1; i >= 0; i--)
        {
            var file = missing[i];
            if (grants.Find(GrantKind.Content, file.Sealed!.Key) is not { } grant)
                continue;
            try
            {
                var key = grant.OpenContent(by); // has the name that the signed manifest says, or is refused
                Keep(file.Digest, by == mine ? grant : Grant.Of(key, mine.Public));
                lock (open)
                    open[key.Id] = key;
                missing.RemoveAt(i);
            }
            catch (BrokenSealException e)
            {
                reasons.Add(e.Message);
            }
        }
    }

    void Keep(Sha256Digest file, Grant grant)
    {
        disk.MakeFolder(DataFolder.ContentKeys);
        disk.Replace(DataFolder.ContentKey(file), (Kept(file) ?? GrantFile.Of(mine.Public.Digest)).With([grant]).Write());
    }

    GrantFile? Kept(Sha256Digest file)
    {
        try
        {
            return disk.ReadSmall(DataFolder.ContentKey(file), GrantFile.MaxBytes) is { } bytes && GrantFile.Read(bytes) is var kept && kept.Recipient == mine.Public.Digest ? kept : null;
        }
        catch (BrokenSealException) // torn by a power cut: it is given again
        {
            return null;
        }
    }
}
