using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Mirror.Bundles;
using Coppice.Protocol;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Mirror.Tests.Bundles;

public sealed class BundleTests : IDisposable
{
    readonly SignedRepository repository = new();
    readonly Stick stick = new();

    public void Dispose()
    {
        repository.Dispose();
        stick.Dispose();
    }

    [Fact]
    public async Task A_bundle_carries_a_release_to_a_site_that_has_nothing()
    {
        repository.Roll("1.0.0");
        var bundle = await stick.MakeAsync(repository);

        var applied = await stick.ApplyAsync(bundle, repository.Root);

        Assert.Equal(["1.0.0"], applied.Bundle.Releases.Select(release => release.Version.ToString()));
        Assert.Empty(applied.Bundle.Missing);
        Assert.Equal(SignedRepository.Content("1.0.0", 5000), await Stick.ServedAsync(stick.Site, repository.Root, "1.0.0"));
    }

    [Fact]
    public async Task Applying_again_changes_nothing_and_a_newer_bundle_brings_only_what_is_new()
    {
        repository.Roll("1.0.0");
        var first = await stick.MakeAsync(repository);
        await stick.ApplyAsync(first, repository.Root);
        var again = await stick.ApplyAsync(first, null);
        repository.Roll("2.0.0");
        var second = await stick.ApplyAsync(await stick.MakeAsync(repository, Stick.Order("2.0.0"), "second.cpb"), null);

        Assert.Equal((0, 0L), (again.Taken, again.BytesTaken));
        Assert.InRange(second.BytesTaken, 5000, 15_000);
        Assert.NotNull(await Stick.ServedAsync(stick.Site, repository.Root, "2.0.0"));
        Assert.NotNull(await Stick.ServedAsync(stick.Site, repository.Root, "1.0.0"));
    }

    [Fact]
    public async Task With_a_version_to_start_from_a_patch_goes_in_place_of_the_file()
    {
        var (old, next) = (repository.Roll("1.0.0"), repository.Roll("2.0.0"));
        repository.PutPatch(old, next, new byte[300]);

        var bundle = BundleFile.Open(await stick.MakeAsync(repository, Stick.Order() with { From = [SemanticVersionOf("1.0.0")] }));
        var whole = BundleFile.Open(await stick.MakeAsync(repository, Stick.Order() with { From = [SemanticVersionOf("1.0.0")], Whole = true }, "whole.cpb"));

        Assert.Equal(300, bundle.Index.Find(RepositoryLayout.PatchFile([old], next))?.Length);
        Assert.Null(bundle.Index.Find(RepositoryLayout.BlobFile(next)));
        Assert.NotNull(whole.Index.Find(RepositoryLayout.BlobFile(next)));
        var applied = await stick.ApplyAsync(stick.PathOf("site.cpb"), repository.Root);
        Assert.Equal(["model.bin", "model.bin"], applied.Bundle.Missing.Select(file => file.Name));
    }

    [Fact]
    public async Task The_tensor_map_of_a_file_goes_where_the_file_goes()
    {
        byte[] map = [1, 2, 3];
        var (old, next) = (repository.Roll("1.0.0"), repository.Roll("2.0.0", tensorMap: map));
        repository.PutPatch(old, next, new byte[300]);
        var blob = RepositoryLayout.BlobFile(Sha256Digest.Of(map));

        var patched = BundleFile.Open(await stick.MakeAsync(repository, Stick.Order() with { From = [SemanticVersionOf("1.0.0")] }, "patched.cpb"));
        await stick.ApplyAsync(await stick.MakeAsync(repository), repository.Root);

        Assert.Null(patched.Index.Find(blob));
        Assert.Equal(map, stick.Site.ReadSmall(blob, 100));
    }

    [Fact]
    public async Task The_grants_of_a_device_and_of_its_groups_go_with_it_and_may_be_replaced()
    {
        repository.Roll("1.0.0");
        using var device = SealingKey.Create();
        using var group = SealingKey.Create();
        using var content = new ContentKey(new byte[32]);
        repository.Write(RepositoryLayout.GrantFile(device.Public.Digest), GrantFile.Of(device.Public.Digest).With([Grant.Of(group, device.Public)]).Write());
        repository.Write(RepositoryLayout.GrantFile(group.Public.Digest), GrantFile.Of(group.Public.Digest).With([Grant.Of(content, group.Public)]).Write());
        var order = Stick.Order() with { Recipients = [device.Public.Digest] };

        await stick.ApplyAsync(await stick.MakeAsync(repository, order), repository.Root);
        var again = GrantFile.Of(device.Public.Digest).With([Grant.Of(group, device.Public)]).Write();
        repository.Write(RepositoryLayout.GrantFile(device.Public.Digest), again);
        await stick.ApplyAsync(await stick.MakeAsync(repository, order), null);

        Assert.Equal(again, stick.Site.ReadSmall(RepositoryLayout.GrantFile(device.Public.Digest), 1 << 20));
        Assert.NotNull(stick.Site.ReadSmall(RepositoryLayout.GrantFile(group.Public.Digest), 1 << 20));
    }

    static Registry.SemanticVersion SemanticVersionOf(string text) => Registry.SemanticVersion.Parse(text);

    [Theory]
    [InlineData(700)]
    [InlineData(1000)]
    [InlineData(4096)]
    public async Task A_split_bundle_is_the_same_bundle_and_a_missing_part_is_named(long partBytes)
    {
        repository.Roll("1.0.0");
        var whole = await File.ReadAllBytesAsync(await stick.MakeAsync(repository));
        var split = await stick.MakeAsync(repository, name: "parts.cpb", split: partBytes);
        var parts = Directory.GetFiles(stick.Folder, "parts.cpb.*").Order(StringComparer.Ordinal).ToList();

        Assert.Equal(whole, parts.SelectMany(File.ReadAllBytes));
        Assert.All(parts, part => Assert.InRange(new FileInfo(part).Length, 1, partBytes));
        await stick.ApplyAsync(split, repository.Root);
        Assert.NotNull(await Stick.ServedAsync(stick.Site, repository.Root, "1.0.0"));

        File.Delete(parts[^1]);
        Assert.Contains("a part is missing or cut short", Assert.Throws<Formats.MalformedFileException>(() => BundleFile.Open(split)).Message, StringComparison.Ordinal);
        File.Delete(parts[0]);
        Assert.Contains("parts.cpb.001", Assert.Throws<FileNotFoundException>(() => BundleFile.Open(split)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_writer_that_was_killed_goes_on_after_the_last_whole_file()
    {
        repository.Roll("1.0.0");
        var expected = await File.ReadAllBytesAsync(await stick.MakeAsync(repository));
        var opened = new List<BundleKind>();
        Task KilledAt(BundleEntry entry, bool dies)
        {
            opened.Add(entry.Kind);
            return dies && entry.Kind == BundleKind.Blob ? throw new OperationCanceledException() : Task.CompletedTask;
        }

        await Assert.ThrowsAsync<OperationCanceledException>(() => stick.MakeAsync(repository, name: "killed.cpb", before: entry => KilledAt(entry, true)));
        Assert.False(File.Exists(stick.PathOf("killed.cpb")));
        opened.Clear();
        await stick.MakeAsync(repository, name: "killed.cpb", before: entry => KilledAt(entry, false));

        Assert.Equal([BundleKind.Blob], opened);
        Assert.Equal(expected, await File.ReadAllBytesAsync(stick.PathOf("killed.cpb")));
    }

    [Fact]
    public async Task The_same_bundle_is_made_of_the_same_bytes()
    {
        repository.Roll("1.0.0");
        Assert.Equal(await File.ReadAllBytesAsync(await stick.MakeAsync(repository)), await File.ReadAllBytesAsync(await stick.MakeAsync(repository, name: "b.cpb")));
    }

    [Fact]
    public async Task Whenever_the_power_goes_the_site_is_as_before_or_as_after_and_the_next_try_ends_it()
    {
        repository.Roll("1.0.0", length: 3000);
        var first = await stick.MakeAsync(repository);
        repository.Roll("2.0.0", length: 3000);
        var second = await stick.MakeAsync(repository, Stick.Order("2.0.0"), "second.cpb");
        var cuts = 0;
        for (var seed = 0; seed < 3; seed++)
        {
            for (var cut = 1; ; cut++)
            {
                var disk = new LossyDisk(seed);
                await stick.ApplyAsync(first, repository.Root, disk);
                var before = disk.Changes;
                disk.CutAt = before + cut;
                try
                {
                    await stick.ApplyAsync(second, null, disk);
                    break; // it ended before the power would have gone
                }
                catch (PowerCutException)
                {
                    cuts++;
                }

                disk.CutAt = null;
                disk.PowerOn();
                Assert.NotNull(await Stick.ServedAsync(disk, repository.Root, "1.0.0"));
                await stick.ApplyAsync(second, null, disk);
                Assert.Equal(SignedRepository.Content("2.0.0", 3000), await Stick.ServedAsync(disk, repository.Root, "2.0.0"));
            }
        }

        Assert.True(cuts > 60, $"only {cuts} cuts");
    }

    [Fact]
    public async Task A_first_bundle_needs_a_root_that_a_person_named()
    {
        repository.Roll("1.0.0");
        var bundle = await stick.MakeAsync(repository);

        Assert.Contains("--root", (await Assert.ThrowsAsync<BundleRefusedException>(() => stick.ApplyAsync(bundle, null))).Message, StringComparison.Ordinal);
        Assert.Contains("another repository", (await Assert.ThrowsAsync<BundleRefusedException>(() => stick.ApplyAsync(bundle, Sha256Digest.Of([1])))).Message, StringComparison.Ordinal);
        Assert.Empty(stick.Site.Files("metadata"));
    }
}
