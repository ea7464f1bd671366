using System.Text;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Sealing;
using Coppice.Server.Storage;
using Coppice.Trust;
using Coppice.Trust.Sealing;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Sealing;

public sealed class KeysTests
{
    static readonly byte[] Weights = Encoding.UTF8.GetBytes("weights that only Oslo may read");

    [Fact]
    public async Task An_entitled_device_is_given_the_key_and_opens_the_file_and_another_is_not()
    {
        await using var shop = await SealedShop.StartAsync();
        await shop.Server.Client.SealModelAsync(Bearing, "site = oslo");
        var file = await shop.PublishAsync("1.0.0", Weights);
        var (oslo, key) = await shop.EnrolAsync("till-1", "oslo");
        var (bergen, other) = await shop.EnrolAsync("till-2", "bergen");

        var given = await SealedShop.AnswerAsync(oslo, file.Sealed!.Key);
        var refused = await SealedShop.AnswerAsync(bergen, file.Sealed.Key);

        using var content = GrantFile.Read(given.Grants).Find(GrantKind.Content, file.Sealed.Key)!.OpenContent(key);
        var blob = await shop.Server.Anyone.GetByteArrayAsync("repository/" + RepositoryLayout.BlobFile(file.Stored.Digest));
        using var source = new Formats.SealedSource(new Formats.MemorySource(blob), content);
        var plain = new byte[source.Length];
        source.Read(0, plain);
        Assert.Equal(Weights, plain);
        Assert.Throws<BrokenSealException>(() => GrantFile.Read(given.Grants).Grants[0].OpenContent(other));
        Assert.Empty(GrantFile.Read(refused.Grants).Grants);
        Assert.Contains("not among the devices", Assert.Single(refused.Refused).Why, StringComparison.Ordinal);
        Assert.Equal(1, (await shop.Server.Client.FindSealedModelAsync(Bearing))!.Devices);
    }

    [Fact]
    public async Task What_a_device_says_of_itself_entitles_it_to_nothing()
    {
        await using var shop = await SealedShop.StartAsync();
        await shop.Server.Client.SealModelAsync(Bearing, "site = oslo");
        var file = await shop.PublishAsync("1.0.0", Weights);
        var (liar, _) = await shop.EnrolAsync("till-1", facts: ("site", "oslo"));
        Assert.Single((await SealedShop.AnswerAsync(liar, file.Sealed!.Key)).Refused);
    }

    [Fact]
    public async Task A_device_that_loses_its_label_or_is_retired_is_given_no_more_keys()
    {
        await using var shop = await SealedShop.StartAsync();
        await shop.Server.Client.SealModelAsync(Bearing, "site = oslo");
        var first = await shop.PublishAsync("1.0.0", Weights);
        var (device, _) = await shop.EnrolAsync("till-1", "oslo");
        Assert.Empty((await SealedShop.AnswerAsync(device, first.Sealed!.Key)).Refused);

        var second = await shop.PublishAsync("1.1.0", [.. Weights, 1]);
        await shop.Server.Client.LabelDeviceAsync("till-1", [KeyValuePair.Create("site", "bergen")]);
        Assert.Equal(2, (await SealedShop.AnswerAsync(device, first.Sealed.Key, second.Sealed!.Key)).Refused.Length);

        await shop.Server.Client.LabelDeviceAsync("till-1", [KeyValuePair.Create("site", "oslo")]);
        await shop.Server.Client.RetireDeviceAsync("till-1");
        using var answer = await SealedShop.AskAsync(device, second.Sealed.Key);
        Assert.InRange((int)answer.StatusCode, 401, 403);
    }

    [Fact]
    public async Task A_device_entitled_to_one_model_is_not_given_the_keys_of_another()
    {
        await using var shop = await SealedShop.StartAsync();
        var other = ModelName.Parse("plant/pump");
        await shop.Server.Client.SealModelAsync(Bearing, "site = oslo");
        await shop.Server.Client.SealModelAsync(other, "site = bergen");
        var pump = await shop.PublishAsync("1.0.0", [.. Weights, 2], other);
        var (oslo, _) = await shop.EnrolAsync("till-1", "oslo");
        var answer = await SealedShop.AnswerAsync(oslo, pump.Sealed!.Key, Sha256Digest.Of("no key"u8));
        Assert.Equal(2, answer.Refused.Length);
        Assert.Contains("does not have", answer.Refused[1].Why, StringComparison.Ordinal);

        // The same content key under another model's name would carry its entitlement over.
        var refusal = await Assert.ThrowsAsync<ControlException>(() => shop.HandInAsync(pump, Bearing));
        Assert.Contains("each model has its own", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stolen_data_folder_holds_neither_plaintext_nor_a_key_that_opens_it()
    {
        await using var shop = await SealedShop.StartAsync();
        await shop.Server.Client.SealModelAsync(Bearing, "");
        var file = await shop.PublishAsync("1.0.0", Weights);
        var (device, _) = await shop.EnrolAsync("till-1");
        await SealedShop.AnswerAsync(device, file.Sealed!.Key);

        using var content = shop.Key.Content(file.Digest);
        var row = await shop.Server.Get<Database>().ReadAsync(db => db.ContentKeys.SingleAsync(), CancellationToken.None);
        Assert.Equal(content.Id, row.Key);
        using var thief = SealingKey.Create();
        Assert.Throws<BrokenSealException>(() => Grant.Read(row.Grant).OpenContent(thief));
        var files = Directory.GetFiles(shop.Server.Plane.Data, "*", SearchOption.AllDirectories);
        Assert.True(files.Length > 10);
        foreach (var path in files.Where(path => Path.GetFileName(path) != "lock"))
        {
            await using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            Assert.True(bytes.AsSpan().IndexOf(Weights.AsSpan(0, 16)) < 0, $"{path} holds plaintext");
        }
    }

    [Fact]
    public async Task A_sealing_key_in_the_data_folder_is_refused_at_the_start()
    {
        var data = NewFolder();
        var file = SealedShop.NewKeyFile(out var key);
        key.Dispose();
        Directory.CreateDirectory(data);
        var inside = Path.Combine(data, "server.pem");
        File.Copy(file, inside);
        var refused = await Assert.ThrowsAsync<InvalidDataException>(() => RunningServer.StartAsync(options => options with { SealingKeys = [inside] }, data));
        Assert.Contains("move it out", refused.Message, StringComparison.Ordinal);
        Directory.Delete(data, recursive: true);
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Fact]
    public async Task After_a_change_of_the_servers_key_the_new_one_opens_everything()
    {
        var (data, first, second) = (NewFolder(), SealedShop.NewKeyFile(out var one), SealedShop.NewKeyFile(out var two));
        using var model = ModelKey.Create();
        using var content = model.Content(Sha256Digest.Of(Weights));
        await using (var server = await RunningServer.StartAsync(options => options with { SealingKeys = [first] }, data))
        {
            await server.Client.SealModelAsync(Bearing, "");
            await server.Client.PutKeysAsync(Bearing, GrantFile.Of(one.Public.Digest).With([Grant.Of(content, one.Public)]));
        }

        await using (await RunningServer.StartAsync(options => options with { SealingKeys = [second, first] }, data))
        {
        }

        await using (var server = await RunningServer.StartAsync(options => options with { SealingKeys = [second] }, data))
        {
            Assert.Equal(two.Public.Digest, (await server.Get<Database>().ReadAsync(db => db.ContentKeys.SingleAsync(), CancellationToken.None)).SealedTo);
            Assert.Equal(content.Id, (await server.Get<ContentKeyStore>().OpenAsync([content.Id], CancellationToken.None)).Single().Value.Id);
        }

        Directory.Delete(data, recursive: true);
        foreach (var file in new[] { first, second })
            Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
        one.Dispose();
        two.Dispose();
    }

    [Fact]
    public async Task A_release_in_the_clear_is_refused_where_releases_must_be_sealed()
    {
        await using var shop = await SealedShop.StartAsync();
        await shop.Server.Client.SealModelAsync(Bearing, "");
        var refused = await Assert.ThrowsAsync<ControlException>(() => shop.Server.PublishAsync("1.0.0"));
        Assert.Equal("/problems/must-be-sealed", refused.Type);
        await shop.Server.Client.UnsealModelAsync(Bearing);
        await shop.Server.PublishAsync("1.0.0");
        Assert.Null(await shop.Server.Client.FindSealedModelAsync(Bearing));
    }

    [Fact]
    public async Task Keys_are_taken_only_when_they_open_and_somebody_is_entitled()
    {
        await using var shop = await SealedShop.StartAsync();
        var (file, _) = shop.Seal("model.bin", Weights);
        Assert.Equal("/problems/nobody-entitled", (await Assert.ThrowsAsync<ControlException>(() => shop.HandInAsync(file))).Type);
        await shop.Server.Client.SealModelAsync(Bearing, "");

        Assert.True(SealingPublicKey.TryParse((await shop.Server.Client.GetSealingAsync()).PublicKey, out var keeper));
        using var stranger = SealingKey.Create();
        using var content = shop.Key.Content(file.Digest);
        var toOther = GrantFile.Of(stranger.Public.Digest).With([Grant.Of(content, stranger.Public)]);
        Assert.Contains("no key of this server", (await Assert.ThrowsAsync<ControlException>(() => shop.Server.Client.PutKeysAsync(Bearing, toOther))).Message, StringComparison.Ordinal);
        var damaged = Grant.Of(content, keeper).Bytes.ToArray();
        damaged[^1] ^= 1;
        await Assert.ThrowsAsync<ControlException>(() => shop.Server.Client.PutKeysAsync(Bearing, GrantFile.Of(keeper.Digest).With([Grant.Read(damaged)])));

        await shop.HandInAsync(file);
        await shop.HandInAsync(file); // the same again changes nothing
        Assert.Equal(1, (await shop.Server.Client.FindSealedModelAsync(Bearing))!.Keys);
    }

    [Fact]
    public async Task Grants_of_a_publisher_lie_beside_one_another_in_the_repository_and_may_be_replaced()
    {
        await using var server = await RunningServer.StartAsync();
        using var device = SealingKey.Create();
        using var one = new ContentKey(Sha256Digest.Of("one"u8).ToArray());
        using var two = new ContentKey(Sha256Digest.Of("two"u8).ToArray());
        var path = "repository/" + RepositoryLayout.GrantFile(device.Public.Digest);
        await server.Client.PutGrantsAsync(GrantFile.Of(device.Public.Digest).With([Grant.Of(one, device.Public)]));
        await server.Client.PutGrantsAsync(GrantFile.Of(device.Public.Digest).With([Grant.Of(two, device.Public)]));

        using var answer = await server.Anyone.GetAsync(path);
        Assert.Equal("no-cache", answer.Headers.CacheControl?.ToString());
        Assert.NotNull(answer.Headers.ETag);
        var file = GrantFile.Read(await answer.Content.ReadAsByteArrayAsync());
        Assert.Equal(2, file.Grants.Length);
        await server.Client.WithdrawGrantsAsync(device.Public.Digest);
        Assert.Empty(GrantFile.Read(await server.Anyone.GetByteArrayAsync(path)).Grants);
    }

    [Fact]
    public async Task A_server_without_a_sealing_key_keeps_none_and_serves_sealed_releases_all_the_same()
    {
        await using var server = await RunningServer.StartAsync();
        Assert.Null((await server.Client.GetSealingAsync()).PublicKey);
    }

    [Fact]
    public async Task Keys_are_sealed_to_the_key_a_device_enrolled_with_and_a_revoked_device_gets_none()
    {
        await using var shop = await SealedShop.StartAsync();
        await shop.Server.Client.SealModelAsync(Bearing, "");
        var file = await shop.PublishAsync("1.0.0", Weights);
        var (device, key) = await shop.EnrolAsync("till-1");
        using (key)
            Assert.Equal(key.Public.Digest, GrantFile.Read((await SealedShop.AnswerAsync(device, file.Sealed!.Key)).Grants).Recipient);

        await shop.Server.Client.RevokeDeviceAsync("till-1", "stolen from the shop");
        await SealedShop.AskAsync(device, file.Sealed.Key).ProblemAsync(403);
    }

    [Fact]
    public async Task Too_many_keys_or_none_are_refused()
    {
        await using var shop = await SealedShop.StartAsync();
        var (device, _) = await shop.EnrolAsync("till-1");
        await SealedShop.AskAsync(device).ProblemAsync(400);
        await SealedShop.AskAsync(device, [.. Enumerable.Range(0, KeyRequest.MaxKeys + 1).Select(i => Sha256Digest.Of([(byte)i, (byte)(i >> 8)]))]).ProblemAsync(400);
    }
}
