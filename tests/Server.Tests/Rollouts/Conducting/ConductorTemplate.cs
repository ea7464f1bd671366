using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Registry;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Coppice.Trust;
using Microsoft.Data.Sqlite;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Rollouts.Conducting;

/// <summary>A fleet and a shelf of signed releases, made once; each seed begins with a copy.</summary>
sealed class ConductorTemplate
{
    /// <summary>The first of them are at Oslo, where most rollouts go; the others are there for experiments, which need many.</summary>
    public const int Devices = 80;
    public const int Oslo = 12;
    public const int Releases = 9;

    static readonly Lazy<Task<ConductorTemplate>> Made = new(MakeAsync);

    readonly SqliteConnection tables;
    readonly MemoryTree tree;
    readonly RepositoryKeys keys;

    ConductorTemplate(SqliteConnection tables, MemoryTree tree, RepositoryKeys keys, ReadOnlyMemory<byte> root) => (this.tables, this.tree, this.keys, Root) = (tables, tree, keys, root);

    public static Task<ConductorTemplate> GetAsync() => Made.Value;

    public ReadOnlyMemory<byte> Root { get; }

    public MemoryTree Tree() => tree.Copy();

    public SigningKey OnlineKey => keys.Online;

    /// <summary>Fills an empty database that is open.</summary>
    public void FillTables(SqliteConnection empty)
    {
        lock (tables)
            tables.BackupDatabase(empty);
    }

    public static string Device(int number) => $"d-{number}";

    public static SemanticVersion Release(int number) => V($"{number}.0.0");

    /// <summary>A name that connections of this process share, until the last is closed.</summary>
    public static string MemoryFile() => $"file:/{Guid.NewGuid():n}?vfs=memdb";

    static async Task<ConductorTemplate> MakeAsync()
    {
        var (file, time, keys, files) = (MemoryFile(), new ConductorClock(), RepositoryKeys.Create(), new MemoryTree());
        var tables = new SqliteConnection($"Data Source={file}");
        await tables.OpenAsync();
        var root = new RepositoryTree(files, keys.Online).Initialise(keys, time.Now);
        using var database = await Database.OpenAsync(file, CancellationToken.None);
        var repository = Repository.Over(files, OnlineKeys.Of(keys.Online));
        using var plans = new PlanPublisher(database, repository, time);
        var releases = new ReleaseStore(database, repository, plans);
        for (var number = 1; number <= Releases; number++)
        {
            var (manifest, blob) = MakeRelease(Release(number).ToString());
            await repository.Tree.PutBlobAsync(new MemoryStream(blob), Sha256Digest.Of(blob), blob.Length, CancellationToken.None);
            var metadata = ReleaseSigning.Prepare(repository.Tree.CurrentReleases(), RepositoryLayout.ReleaseTarget(Bearing.ToString(), Release(number).ToString()), manifest, keys.Releases[0], time.Now);
            await releases.PublishAsync(DocumentJson.TryRead(manifest, out ReleaseManifest? read, out _) ? read : throw new InvalidDataException(), manifest, metadata, "publisher", time.Now, CancellationToken.None);
        }

        await database.WriteAsync(db =>
        {
            for (var number = 0; number < Devices; number++)
            {
                db.Devices.Add(new()
                {
                    Id = Device(number),
                    SigningKey = $"key {number}",
                    EnrolledAt = time.Now,
                    LastSeen = time.Now,
                    Facts = StoredText.Of(ImmutableDictionary<string, string>.Empty.Add("site", number < Oslo ? "oslo" : "bergen")),
                    Labels = StoredText.Of(ImmutableDictionary<string, string>.Empty),
                });
            }

            return Task.FromResult(0);
        }, CancellationToken.None);
        return new(tables, files, keys, root);
    }
}

/// <summary>A clock that is set, forwards and backwards.</summary>
sealed class ConductorClock : TimeProvider
{
    public DateTimeOffset Now { get; set; } = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => Now;
}
