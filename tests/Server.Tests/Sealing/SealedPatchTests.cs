using Coppice.Delivery;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Server.Patches;
using Coppice.Server.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Sealing;

public sealed class SealedPatchTests
{
    static byte[] Weights()
    {
        var bytes = new byte[300_000];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    static byte[] Tuned()
    {
        var bytes = Weights();
        new Random(2).NextBytes(bytes.AsSpan(200_000, 300));
        return bytes;
    }

    [Fact]
    public async Task A_patch_between_sealed_releases_is_sealed_and_makes_the_file_for_who_has_both_keys()
    {
        await using var shop = await SealedShop.StartAsync();
        await shop.Server.Client.SealModelAsync(Bearing, "");
        var from = await shop.PublishAsync("1.0.0", Weights());
        await shop.Server.StartRolloutAsync("1.0.0");
        var to = await shop.PublishAsync("2.0.0", Tuned());
        await shop.Server.Get<PatchWorker>().MakeAsync(CancellationToken.None);

        var patch = await shop.Server.Anyone.GetByteArrayAsync("repository/" + RepositoryLayout.PatchFile([from.Digest], to.Digest));
        Assert.InRange(patch.Length, 300, 3_000);
        Assert.True(patch.AsSpan().IndexOf(Tuned().AsSpan(200_010, 16)) < 0, "the patch tells what changed");
        using var fromKey = shop.Key.Content(from.Digest);
        using var toKey = shop.Key.Content(to.Digest);
        using var key = toKey.OfPatch([(from.Digest, fromKey)], to.Digest);
        using var opened = new SealedSource(new MemorySource(patch), key);
        Assert.Equal((SealedKind.Patch, SealHeader.PatchSubject([from.Digest], to.Digest)), (opened.Header.Kind, opened.Header.Subject));
        var plain = new byte[opened.Length];
        opened.Read(0, plain);
        using var made = new MemoryStream();
        PatchDecoder.Apply(new MemoryStream(plain), [new MemorySource(Weights())], made);
        Assert.Equal(Tuned(), made.ToArray());

        using var newOnly = toKey.OfPatch([(from.Digest, null)], to.Digest);
        Assert.Throws<BrokenSealException>(() => new SealedSource(new MemorySource(patch), newOnly));
    }

    [Fact]
    public async Task Without_the_keys_or_from_a_sealed_file_to_one_in_the_clear_there_is_no_patch()
    {
        await using var shop = await SealedShop.StartAsync();
        await shop.Server.Client.SealModelAsync(Bearing, "");
        var (from, to) = (await shop.PublishAsync("1.0.0", Weights()), await shop.PublishAsync("2.0.0", Tuned()));
        var tree = shop.Server.Get<Repository>().Tree;
        var maker = new PatchMaker(tree);
        var wish = new PatchWish([from.Blob], to.Blob, 1);
        ReleaseFile? Find(Sha256Digest digest) => digest == from.Digest ? from : to;
        Assert.Equal(PatchOutcome.Missing, maker.Make(wish, Find, _ => null, CancellationToken.None));

        await shop.Server.Client.PutBlobAsync(to.Digest, new MemoryStream(Tuned()), to.Length);
        Assert.Equal(PatchOutcome.NotWorth, maker.Make(wish, digest => digest == to.Digest ? to with { Sealed = null } : from, name => name == from.Sealed!.Key ? shop.Key.Content(from.Digest) : null, CancellationToken.None));
        Assert.Null(tree.PatchLength([from.Digest], to.Digest));
    }
}
