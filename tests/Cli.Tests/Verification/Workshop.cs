using System.Diagnostics;
using System.Text.Json;
using Coppice.Trust;

namespace Coppice.Cli.Tests.Verification;

/// <summary>A repository in a folder, made by the program under test, with one release and all that can be said about it.</summary>
public sealed class Workshop : IAsyncLifetime
{
    public static readonly Sha256Digest Source = Sha256Digest.Of("source"u8);
    public static readonly Sha256Digest Dataset = Sha256Digest.Of("recordings"u8);

    public string Folder { get; } = Directory.CreateTempSubdirectory("coppice-workshop-").FullName;

    public string Root { get; private set; } = "";

    public string ReviewKey => PathOf("review.pub");

    public string[] Release { get; private set; } = [];

    public string PathOf(params string[] parts) => Path.Combine([Folder, .. parts]);

    public async Task InitializeAsync()
    {
        await RunAsync("repository", "init", PathOf("repository"), "--keys", PathOf("keys"));
        Root = Sha256Digest.Of(await File.ReadAllBytesAsync(PathOf("repository", "metadata", "1.root.json"))).ToString();
        await File.WriteAllBytesAsync(PathOf("model.bin"), [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * i))]);
        var model = Sha256Digest.Of(await File.ReadAllBytesAsync(PathOf("model.bin")));
        await File.WriteAllTextAsync(PathOf("rewrites.json"), $$$"""
            {"rewrites": [{"name": "quantise", "tool": "quantiser 1.2", "parameters": {"bits": "8"}, "inputs": [{"sha256": "{{{Source}}}"}], "output": {"sha256": "{{{model}}}"}}]}
            """);
        using var reviewer = SigningKey.Create();
        await File.WriteAllTextAsync(ReviewKey, reviewer.Public.Value);
        var review = new InTotoStatement([new("model.bin", model)], "https://example.com/review/v1", JsonElement.Parse("{\"by\":\"two people\"}"u8));
        await File.WriteAllBytesAsync(PathOf("review.dsse.json"), DsseEnvelope.Sign(InTotoStatement.PayloadType, review.Write(), reviewer).Write());
        Release =
        [
            "publish", "plant/bearing", "1.0.0", PathOf("model.bin"), "--repo", PathOf("repository"), "--keys", PathOf("keys"), "--source", Source.ToString(), "--rewrites", PathOf("rewrites.json"),
            "--task", "fault-classification", "--dataset", $"recordings={Dataset}", "--licence", "Apache-2.0", "--notes", "the first", "--by", "ci", "--attestation", PathOf("review.dsse.json"),
        ];
        var (exit, _, errors) = await RunAsync(Release);
        Assert.True(exit == 0, errors);
    }

    /// <summary>Runs the program under test.</summary>
    public async Task<(int Exit, string Output, string Errors)> RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "coppice.exe" : "coppice"), arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["XDG_CONFIG_HOME"] = PathOf("config") },
        };
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await errors);
    }

    /// <summary>Verifies a release and reads what was said.</summary>
    public async Task<(int Exit, JsonElement Report)> VerifyAsync(params string[] more)
    {
        var (exit, output, errors) = await RunAsync(["verify", "plant/bearing@1.0.0", "--json", .. more]);
        Assert.True(output.Length > 0, errors);
        return (exit, JsonElement.Parse(output));
    }

    /// <summary>A copy of the repository to do something to.</summary>
    public string Copy()
    {
        var to = PathOf($"copy-{Guid.NewGuid():N}");
        foreach (var file in Directory.EnumerateFiles(PathOf("repository"), "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(to, Path.GetRelativePath(PathOf("repository"), file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        return to;
    }

    public Task DisposeAsync()
    {
        Directory.Delete(Folder, recursive: true);
        return Task.CompletedTask;
    }
}
