using System.Net.Http.Json;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Sealing;

/// <summary>A publisher with a model's key, beside a server that keeps content keys.</summary>
sealed class SealedShop : IAsyncDisposable
{
    readonly string keyFile;

    SealedShop(RunningServer server, string keyFile) => (Server, this.keyFile) = (server, keyFile);

    public RunningServer Server { get; }

    public ModelKey Key { get; } = ModelKey.Create();

    public static string NewKeyFile(out SealingKey key)
    {
        key = SealingKey.Create();
        var file = Path.Combine(Directory.CreateTempSubdirectory("coppice-sealing-").FullName, "server.pem");
        File.WriteAllBytes(file, key.Export());
        return file;
    }

    public static async Task<SealedShop> StartAsync(Func<ControlPlaneOptions, ControlPlaneOptions>? with = null)
    {
        var file = NewKeyFile(out var key);
        key.Dispose();
        var server = await RunningServer.StartAsync(options => (with?.Invoke(options) ?? options) with { SealingKeys = [file] });
        return new(server, file);
    }

    /// <summary>Seals a file under this model's key, as a publisher does.</summary>
    public (ReleaseFile File, byte[] Sealed) Seal(string name, byte[] plain)
    {
        var digest = Sha256Digest.Of(plain);
        using var content = Key.Content(digest);
        using var stream = new SealingStream(new MemoryStream(plain), new(content, SealHeader.OfBlob(content.Id, digest)));
        var made = new MemoryStream();
        stream.CopyTo(made);
        return (new(name, digest, plain.Length) { Sealed = new(Sha256Digest.Of(made.ToArray()), made.Length, SealHeader.DefaultSegment, content.Id) }, made.ToArray());
    }

    /// <summary>Hands a content key in, sealed to the server.</summary>
    public async Task HandInAsync(ReleaseFile file, ModelName? model = null)
    {
        Assert.True(SealingPublicKey.TryParse((await Server.Client.GetSealingAsync()).PublicKey, out var keeper));
        using var content = Key.Content(file.Digest);
        await Server.Client.PutKeysAsync(model ?? Bearing, GrantFile.Of(keeper.Digest).With([Grant.Of(content, keeper)]));
    }

    public async Task<ReleaseFile> PublishAsync(string version, byte[] plain, ModelName? model = null)
    {
        var (file, made) = Seal("model.bin", plain);
        await HandInAsync(file, model);
        await Server.Client.PutBlobAsync(file.Stored.Digest, new MemoryStream(made), made.Length);
        var manifest = DocumentJson.Write(new ReleaseManifest(1, model ?? Bearing, V(version), [new("fp32", [file], ModelFormat.Opaque)]));
        await Server.Client.PublishAsync(model ?? Bearing, new(manifest, Server.Sign(manifest, version, model)));
        return file;
    }

    /// <summary>A device that has joined with a sealing key.</summary>
    public async Task<(TestDevice Device, SealingKey Key)> EnrolAsync(string id, string? label = null, params (string Name, string Value)[] facts)
    {
        var key = SealingKey.Create();
        Assert.True(DevicePublicKey.TryParse(key.Public.ToString(), out var shown));
        var device = await Server.EnrolAsync(new TestDevice(Server, id) { Sealing = shown }, facts);
        if (label is not null)
            await Server.Client.LabelDeviceAsync(id, [KeyValuePair.Create("site", label)]);
        return (device, key);
    }

    public static Task<HttpResponseMessage> AskAsync(TestDevice device, params Sha256Digest[] keys) =>
        device.SendAsync("v1/keys", System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new([.. keys]), DeviceMessagesContext.Default.KeyRequest));

    public static async Task<KeyAnswer> AnswerAsync(TestDevice device, params Sha256Digest[] keys)
    {
        using var answer = await AskAsync(device, keys);
        answer.EnsureSuccessStatusCode();
        return (await answer.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.KeyAnswer))!;
    }

    public async ValueTask DisposeAsync()
    {
        Key.Dispose();
        await Server.DisposeAsync();
        Directory.Delete(Path.GetDirectoryName(keyFile)!, recursive: true);
    }
}
