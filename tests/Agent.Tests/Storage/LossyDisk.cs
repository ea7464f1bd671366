using Coppice.Agent.Storage;

namespace Coppice.Agent.Tests.Storage;

/// <summary>The power went. Not an IOException, so that nothing treats it as a disk that refuses.</summary>
public sealed class PowerCutException() : Exception("the power went");

/// <summary>A disk in memory that keeps, at a power cut, what was synced, and of the rest what chance leaves.</summary>
/// <remarks>
/// Bytes that were not synced are kept in part, or are zeros, or are gone. Names that were not synced by their folder come about or not, each by itself,
/// so that they may also seem reordered. A rename is one thing: both of its ends happen or neither.
/// </remarks>
public sealed class LossyDisk(int seed) : IDisk
{
    sealed class Inode
    {
        public byte[] Now = [];
        public byte[] Safe = [];
    }

    sealed class Folder
    {
        public readonly Dictionary<string, object> Now = new(StringComparer.Ordinal); // Inode or Folder
        public readonly Dictionary<string, object> Safe = new(StringComparer.Ordinal);
        public readonly List<Change> Pending = [];
    }

    sealed class Change(Folder from, string? removed, Folder to, string? added, object? what)
    {
        public Folder From { get; } = from;
        public string? Removed { get; } = removed;
        public Folder To { get; } = to;
        public string? Added { get; } = added;
        public object? What { get; } = what;

        public void Reach()
        {
            if (Removed is not null)
                From.Safe.Remove(Removed);
            if (Added is not null)
                To.Safe[Added] = What!;
        }
    }

    readonly Random chance = new(seed);
    readonly Folder root = new();
    bool off;

    /// <summary>Another disk with what this one has, safe and not.</summary>
    /// <param name="other">Its seed.</param>
    public LossyDisk Copy(int other)
    {
        var copy = new LossyDisk(other) { Changes = Changes, Capacity = Capacity };
        var known = new Dictionary<object, object>(ReferenceEqualityComparer.Instance) { [root] = copy.root };
        object Of(object what)
        {
            if (known.TryGetValue(what, out var made))
                return made;
            if (what is Inode inode)
                return known[what] = new Inode { Now = [.. inode.Now], Safe = [.. inode.Safe] };
            known[what] = made = new Folder();
            Fill((Folder)what, (Folder)made);
            return made;
        }

        void Fill(Folder from, Folder to)
        {
            foreach (var (name, what) in from.Now)
                to.Now[name] = Of(what);
            foreach (var (name, what) in from.Safe)
                to.Safe[name] = Of(what);
            foreach (var change in from.Pending)
                to.Pending.Add(new((Folder)Of(change.From), change.Removed, (Folder)Of(change.To), change.Added, change.What is { } what ? Of(what) : null));
        }

        Fill(root, copy.root);
        return copy;
    }

    /// <summary>Calls that change something, so far.</summary>
    public int Changes { get; private set; }

    /// <summary>The change at which the power goes, counted from the start; null for never.</summary>
    public int? CutAt { get; set; }

    /// <summary>The changes at which the disk is full.</summary>
    public Func<int, bool> FullAt { get; set; } = _ => false;

    /// <summary>Space for files.</summary>
    public long Capacity { get; set; } = long.MaxValue / 4;

    public long FreeBytes => Capacity;

    public string? FullPath(string path) => null;

    /// <summary>Before an operation: the power may go before it, or right after; a full disk refuses those that need room.</summary>
    void Alter(Action change, bool needsRoom = true)
    {
        if (off)
            throw new PowerCutException();
        Changes++;
        if (needsRoom && FullAt(Changes))
            throw new IOException("No space left on device");
        if (CutAt == Changes)
        {
            if (chance.Next(2) == 0)
                change();
            off = true;
            throw new PowerCutException();
        }

        change();
    }

    /// <summary>Goes on after a power cut, with what is left.</summary>
    public void PowerOn()
    {
        Settle(root, []);
        off = false;
        CutAt = null;
    }

    void Settle(Folder folder, HashSet<object> seen)
    {
        if (!seen.Add(folder))
            return;
        foreach (var change in folder.Pending)
        {
            if (chance.Next(2) == 0)
                change.Reach();
        }

        folder.Pending.Clear();
        folder.Now.Clear();
        foreach (var (name, entry) in folder.Safe.ToList())
            folder.Now[name] = entry;
        foreach (var entry in folder.Now.Values)
        {
            if (entry is Folder below)
                Settle(below, seen);
            else if (entry is Inode file && seen.Add(file))
                Tear(file);
        }
    }

    void Tear(Inode file)
    {
        if (!file.Now.AsSpan().SequenceEqual(file.Safe))
        {
            switch (chance.Next(4))
            {
                case 0:
                    break; // nothing of it came down
                case 1:
                    file.Safe = file.Now;
                    break;
                case 2: // the beginning did
                    file.Safe = file.Now[..chance.Next(Math.Min(file.Safe.Length, file.Now.Length), file.Now.Length + 1)];
                    break;
                default: // the length did, and the bytes did not
                    var torn = file.Now.ToArray();
                    for (var i = Math.Min(file.Safe.Length, torn.Length); i < torn.Length; i++)
                        torn[i] = chance.Next(3) == 0 ? torn[i] : (byte)0;
                    file.Safe = torn;
                    break;
            }
        }

        file.Now = file.Safe;
    }

    (Folder Folder, string Name)? Find(string path)
    {
        if (off)
            throw new PowerCutException();
        var parts = path.Split('/');
        var folder = root;
        foreach (var part in parts[..^1])
        {
            if (folder.Now.GetValueOrDefault(part) is not Folder below)
                return null;
            folder = below;
        }

        return (folder, parts[^1]);
    }

    (Folder Folder, string Name) Place(string path) => Find(path) ?? throw new DirectoryNotFoundException($"{path}: its folder is not there");

    Inode? File(string path) => Find(path) is var (folder, name) ? folder.Now.GetValueOrDefault(name) as Inode : null;

    public long? LengthOf(string path) => File(path)?.Now.Length;

    public Stream OpenRead(string path) => new MemoryStream(File(path)?.Now ?? throw new FileNotFoundException(path), writable: false);

    public IDiskFile Create(string path)
    {
        var (folder, name) = Place(path);
        var file = new Inode();
        Alter(() => Put(folder, name, file));
        return new Written(this, file);
    }

    public IDiskFile Append(string path)
    {
        if (File(path) is { } known)
            return new Written(this, known);
        return Create(path);
    }

    public void Cut(string path, long length)
    {
        var file = File(path) ?? throw new FileNotFoundException(path);
        Alter(() => file.Now = file.Now[..(int)length], needsRoom: false);
    }

    static void Put(Folder folder, string name, object what)
    {
        folder.Now[name] = what;
        folder.Pending.Add(new(folder, null, folder, name, what));
    }

    public void Rename(string from, string to)
    {
        var (source, name) = Place(from);
        var (target, other) = Place(to);
        var what = source.Now.GetValueOrDefault(name) ?? throw new FileNotFoundException(from);
        Alter(() =>
        {
            source.Now.Remove(name);
            target.Now[other] = what;
            target.Pending.Add(new(source, name, target, other, what));
        });
    }

    public void Link(string existing, string name)
    {
        var file = File(existing) ?? throw new FileNotFoundException(existing);
        var (folder, last) = Place(name);
        Alter(() => Put(folder, last, file));
    }

    public void Delete(string path)
    {
        if (Find(path) is not var (folder, name) || !folder.Now.ContainsKey(name))
            return;
        Alter(() =>
        {
            folder.Now.Remove(name);
            folder.Pending.Add(new(folder, name, folder, null, null));
        }, needsRoom: false);
    }

    public void DeleteFolder(string folder) => Delete(folder);

    public void MakeFolder(string folder)
    {
        if (folder.Length == 0 || (Find(folder) is var (parent, last) && parent.Now.GetValueOrDefault(last) is Folder))
            return;
        var above = DiskExtensions.FolderOf(folder);
        MakeFolder(above);
        var (holder, name) = Place(folder);
        Alter(() => Put(holder, name, new Folder()));
        SyncFolder(above);
    }

    public void SyncFolder(string folder)
    {
        var found = folder.Length == 0 ? root
            : Find(folder) is var (parent, name) && parent.Now.GetValueOrDefault(name) is Folder there ? there
            : throw new DirectoryNotFoundException(folder);
        Alter(() =>
        {
            foreach (var change in found.Pending)
                change.Reach();
            found.Pending.Clear();
        }, needsRoom: false);
    }

    public IReadOnlyList<string> Files(string folder) => Names<Inode>(folder);

    public IReadOnlyList<string> Folders(string folder) => Names<Folder>(folder);

    List<string> Names<T>(string folder)
    {
        var found = folder.Length == 0 ? root : Find(folder) is var (parent, name) ? parent.Now.GetValueOrDefault(name) as Folder : null;
        if (found is null)
            return [];
        return [.. found.Now.Where(entry => entry.Value is T).Select(entry => entry.Key).Order(StringComparer.Ordinal)];
    }

    /// <summary>Spoils a file, as a bad sector does.</summary>
    public void Rot(string path)
    {
        var file = File(path) ?? throw new FileNotFoundException(path);
        var bytes = file.Now.ToArray();
        bytes[chance.Next(bytes.Length)] ^= 0x40;
        file.Now = file.Safe = bytes;
    }

    sealed class Written(LossyDisk disk, Inode file) : IDiskFile
    {
        public long Length => file.Now.Length;

        public void Write(ReadOnlySpan<byte> bytes)
        {
            var added = bytes.ToArray();
            disk.Alter(() => file.Now = [.. file.Now, .. added]);
        }

        public void Sync() => disk.Alter(() => file.Safe = file.Now);

        public void Dispose()
        {
        }
    }
}
