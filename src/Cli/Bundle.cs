using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Agent.Link;
using Coppice.Agent.Link.Tuf;
using Coppice.Agent.Storage;
using Coppice.Cli.Publishing;
using Coppice.Cli.Verification;
using Coppice.Formats;
using Coppice.Mirror.Bundles;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice bundle</c>: a repository, or a part of it, as one file for a site without a network.</summary>
static class BundleCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build() =>
        new("bundle", "Carry releases to a site without a network, with the same checks as online.") { Json, Create(), Apply(), Inspect() };

    static Option<string?> Root() => new("--root") { Description = "SHA-256 of a version of the repository's root metadata; needed where nothing is trusted yet." };

    static Option<string> Grace() => new("--offline-grace") { Description = "How long the timestamp is taken after it expired, as 30d. Nothing where it is not said.", DefaultValueFactory = _ => "0s" };

    static Command Create()
    {
        var models = new Option<string[]>("--model") { Description = "MODEL, for what its newest rollout brings, or MODEL@VERSION; repeat for more.", Required = true };
        var variants = new Option<string[]>("--variant") { Description = "Only these variants; repeat for more." };
        var recipients = new Option<string[]>("--for") { Description = "File of public keys, of devices or groups, or the SHA-256 of one: their grants of content keys go in; repeat for more." };
        var from = new Option<string[]>("--from") { Description = "Version that the site holds: patches go in, and no file that a patch makes; repeat for more." };
        var whole = new Option<bool>("--whole") { Description = "With --from: whole files too, for devices that hold something else." };
        var split = new Option<string?>("--split") { Description = "Most bytes of one file, as 4GB; makes site.cpb.001, .002 … 'fat32' is the most that FAT32 takes." };
        var repository = new Option<string?>("--repository") { Description = "Folder or address of the repository; else that of COPPICE_SERVER." };
        var output = new Option<string>("--output", "-o") { Description = "The bundle.", Required = true };
        var root = Root();
        var command = new Command("create", "Gather a bundle from a repository. Needs no key.") { models, variants, recipients, from, whole, split, repository, root, output };
        command.SetAction((parsed, cancel) => RunAsync(async () =>
        {
            var order = new BundleOrder([.. parsed.GetRequiredValue(models).Select(Model)])
            {
                Variants = [.. parsed.GetValue(variants) ?? []],
                From = [.. (parsed.GetValue(from) ?? []).Select(Version)],
                Whole = parsed.GetValue(whole),
                Recipients = [.. (parsed.GetValue(recipients) ?? []).SelectMany(Recipients).Distinct()],
            };
            var path = Path.GetFullPath(parsed.GetRequiredValue(output));
            using var place = RepositoryPlace.Open(parsed.GetValue(repository));
            var store = new MemoryMetadata();
            var pinned = Digest(parsed.GetValue(root)) ?? (place.Address is { } address ? KnownRoots.Of(address) : null);
            store.Write(TopLevelRole.Root, await RootAnchor.FindAsync(place.Metadata, pinned, cancel)
                ?? throw new BundleRefusedException(pinned is null ? "The repository has no root metadata." : $"The repository has no root with the SHA-256 {pinned}."));
            var client = new TufClient(place.Metadata, store);
            await client.RefreshAsync(TimeProvider.System.GetUtcNow(), cancel);
            var scratch = path + ".patches";
            try
            {
                var content = new BundleContent(place.Metadata, place.Files, place.GrantsAsync, client, scratch);
                var index = await content.GatherAsync(order, cancel);
                await new BundleWriter(path, Split(parsed.GetValue(split))).WriteAsync(index, content.OpenAsync, _ => { }, cancel);
                var made = new BundleMade(path, index.Length, index.Entries.Length, [.. content.Releases.Select(release => $"{release.Model}@{release.Version}")], client.Trusted!.Timestamp!.Signed.Expires, content.Notes);
                if (parsed.GetValue(Json))
                    Output.Json(made, BundleContext.Default.BundleMade);
                else
                    Say(made);
            }
            finally
            {
                if (Directory.Exists(scratch))
                    Directory.Delete(scratch, recursive: true);
            }
        }));
        return command;
    }

    static void Say(BundleMade made)
    {
        foreach (var note in made.Notes)
            Console.Error.WriteLine($"note: {note}");
        Console.Out.WriteLine($"{made.Path}: {string.Join(", ", made.Releases)}; {made.Files} files, {ByteSize.Format(made.Bytes)}.");
        Console.Out.WriteLine($"Its timestamp is good until {Output.Time(made.Expires)}; later a site takes it only with --offline-grace.");
    }

    static Command Apply()
    {
        var bundle = new Argument<string>("BUNDLE") { Description = "The file; of a split one, its name without the number." };
        var data = new Option<string?>("--data") { Description = "Data folder of a device's agent, which may be running." };
        var mirror = new Option<string?>("--mirror") { Description = "Data folder of a mirror, which may be running." };
        var repository = new Option<string?>("--repository") { Description = "A repository folder that any web server or stick serves." };
        var (root, grace) = (Root(), Grace());
        var command = new Command("apply", "Check a bundle as a device would online, and take it in.") { bundle, data, mirror, repository, root, grace };
        command.SetAction((parsed, cancel) => RunAsync(async () =>
        {
            (string? Folder, bool IsDevice)[] given = [(parsed.GetValue(data), true), (parsed.GetValue(mirror), false), (parsed.GetValue(repository), false)];
            if (given.Count(place => place.Folder is not null) != 1)
                throw new UsageException("Where to? Give one of --data DEVICE_FOLDER, --mirror FOLDER and --repository FOLDER.");
            var (folder, isDevice) = given.Single(place => place.Folder is not null);
            var treeFolder = parsed.GetValue(repository) ?? Path.Combine(folder!, DataFolder.Repository);
            var file = BundleFile.Open(parsed.GetRequiredValue(bundle));
            IReadOnlyList<IMetadataStore> others = isDevice ? [new DiskMetadataStore(new FolderDisk(folder!))] : [];
            var applied = await new BundleApply(new(new FolderDisk(treeFolder)), RepositoryPlace.Grace(parsed.GetValue(grace)))
                .RunAsync(file, others, Digest(parsed.GetValue(root)), TimeProvider.System.GetUtcNow(), _ => { }, cancel);
            var told = new BundleTaken(treeFolder, applied.Taken, applied.BytesTaken, applied.There, [.. applied.Bundle.Releases.Select(release => $"{release.Model}@{release.Version}")], applied.Bundle.TimestampVersion, applied.Bundle.TimestampExpires);
            if (parsed.GetValue(Json))
            {
                Output.Json(told, BundleContext.Default.BundleTaken);
                return;
            }

            Console.Out.WriteLine($"{treeFolder} holds {string.Join(", ", told.Releases)}: {told.Taken} files, {ByteSize.Format(told.Bytes)}, were new; {told.There} were there.");
            if (told.Expires <= TimeProvider.System.GetUtcNow())
                Console.Out.WriteLine($"Its timestamp expired at {Output.Time(told.Expires)}; devices take it only with --offline-grace.");
        }));
        return command;
    }

    static Command Inspect()
    {
        var bundle = new Argument<string>("BUNDLE") { Description = "The file; of a split one, its name without the number." };
        var (root, grace) = (Root(), Grace());
        var command = new Command("inspect", "What a bundle holds. Checked against a root where one is named.") { bundle, root, grace };
        command.SetAction((parsed, cancel) => RunAsync(async () =>
        {
            var file = BundleFile.Open(parsed.GetRequiredValue(bundle));
            var wanted = Digest(parsed.GetValue(root));
            // Without a root that was named, the bundle's own: then it shows what the bundle says of itself.
            var first = wanted ?? (await RootAnchor.FindAsync(file, null, cancel) is { } own ? Sha256Digest.Of(own.Span) : throw new BundleRefusedException("The bundle holds no root metadata."));
            var now = TimeProvider.System.GetUtcNow();
            var reviewed = await new BundleReview(file, wanted is null ? TimeSpan.FromDays(3650) : RepositoryPlace.Grace(parsed.GetValue(grace))).RunAsync([], first, now, cancel);
            var told = new BundleShown(
                file.Index.Length, file.Index.Entries.Length, first.ToString(), wanted is not null, reviewed.TimestampVersion, reviewed.TimestampExpires,
                [.. reviewed.Releases.Select(release => $"{release.Model}@{release.Version}")], [.. reviewed.Plans.Select(plan => plan.Model.ToString())],
                file.Index.Entries.Count(entry => entry.Kind == BundleKind.Blob), file.Index.Entries.Count(entry => entry.Kind == BundleKind.Patch), [.. reviewed.Missing.Select(missing => missing.Name)]);
            if (parsed.GetValue(Json))
                Output.Json(told, BundleContext.Default.BundleShown);
            else
                Say(told, now);
        }));
        return command;
    }

    static void Say(BundleShown told, DateTimeOffset now)
    {
        Output.Fields(
            ("size", $"{ByteSize.Format(told.Bytes)} in {told.Files} files ({told.Blobs} blobs, {told.Patches} patches)"),
            ("releases", string.Join(", ", told.Releases)),
            ("plans", string.Join(", ", told.Plans)),
            ("root", told.Root),
            ("timestamp", $"version {told.TimestampVersion}, {(told.Expires > now ? "good until" : "expired at")} {Output.Time(told.Expires)}"),
            ("not inside", told.Missing.IsEmpty ? null : $"{string.Join(", ", told.Missing.Take(10))}{(told.Missing.Length > 10 ? $" and {told.Missing.Length - 10} more" : "")}"),
            ("checked", told.Checked ? "all signatures, from the root that you named" : "only that it fits together: name your root with --root to know whose it is"));
    }

    static async Task<int> RunAsync(Func<Task> command) => await Output.RunAsync(async () =>
    {
        try
        {
            await command();
        }
        catch (Exception e) when (e is BundleRefusedException or PublicationException or MalformedFileException or UntrustedMetadataException or LinkException or HttpRequestException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new Client.ControlException(new(Title: e.Message), e);
        }
    });

    static IEnumerable<Sha256Digest> Recipients(string text) =>
        Sha256Digest.TryParse(text, out var digest) ? [digest] : SealingFiles.ReadPublic([text]).Select(key => key.Digest);

    static (ModelName, SemanticVersion?) Model(string text)
    {
        if (!text.Contains('@'))
            return ModelName.TryParse(text, out var name) ? (name, null) : throw new UsageException($"--model: '{text}' is not a model; write plant/bearing or plant/bearing@1.2.0.");
        var (model, version) = ReleaseText.Read(text);
        return (model, version);
    }

    static SemanticVersion Version(string text) => SemanticVersion.TryParse(text, out var version) ? version : throw new UsageException($"--from: '{text}' is not a version; write it as 1.2.0.");

    static Sha256Digest? Digest(string? text) => text is null ? null
        : Sha256Digest.TryParse(text, out var digest) ? digest : throw new UsageException($"--root: '{text}' is not a SHA-256; give 64 hexadecimal digits.");

    static long? Split(string? text) => text is null ? null
        : text.Equals("fat32", StringComparison.OrdinalIgnoreCase) ? BundleWriter.FatBytes
        : ByteSize.TryParse(text, out var bytes) && bytes >= 1 << 20 ? (long)bytes
        : throw new UsageException($"--split: '{text}' is not a size of at least 1 MiB; write it as 4GB, or fat32.");
}

/// <summary>What <c>coppice bundle create --json</c> tells.</summary>
sealed record BundleMade(string Path, long Bytes, int Files, ImmutableArray<string> Releases, DateTimeOffset Expires, ImmutableArray<string> Notes);

/// <summary>What <c>coppice bundle apply --json</c> tells.</summary>
sealed record BundleTaken(string Folder, int Taken, long Bytes, int There, ImmutableArray<string> Releases, long TimestampVersion, DateTimeOffset Expires);

/// <summary>What <c>coppice bundle inspect --json</c> tells.</summary>
sealed record BundleShown(
    long Bytes, int Files, string Root, bool Checked, long TimestampVersion, DateTimeOffset Expires, ImmutableArray<string> Releases, ImmutableArray<string> Plans, int Blobs, int Patches, ImmutableArray<string> Missing);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(BundleMade))]
[JsonSerializable(typeof(BundleTaken))]
[JsonSerializable(typeof(BundleShown))]
sealed partial class BundleContext : JsonSerializerContext;
