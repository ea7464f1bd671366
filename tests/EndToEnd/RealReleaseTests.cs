using System.Security.Cryptography;
using Coppice.Protocol;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>Public models of other people, old and new, through a real server and a real agent.</summary>
public sealed class RealReleaseTests
{
    [Fact]
    public async Task Every_real_pair_ships_from_old_to_new_byte_by_byte()
    {
        if (!SharedFiles.TryFind("models", out var models))
            return;
        var pairs = Directory.EnumerateDirectories(models).Select(folder => (Name: Path.GetFileName(folder).Replace('_', '-'), Files: Directory.GetFiles(folder)))
            .Select(pair => (pair.Name, Old: pair.Files.SingleOrDefault(IsNamed("old")), New: pair.Files.SingleOrDefault(IsNamed("new"))))
            .Where(pair => pair is { Old: not null, New: not null }).ToList();
        Assert.True(pairs.Count >= 17, $"only {pairs.Count} pairs in {models}");
        await using var site = await Site.StartAsync("--no-patches"); // these have tests of their own, and making them would keep this one waiting
        site.StartAgent("gateway", [.. pairs.SelectMany(pair => new[] { "--model", $"real/{pair.Name}" })]);

        foreach (var (version, file) in new (string, Func<(string, string? Old, string? New), string>)[] { ("1.0.0", pair => pair.Old!), ("2.0.0", pair => pair.New!) })
        {
            var rollouts = new List<string>();
            foreach (var pair in pairs)
            {
                await site.PublishAsync($"real/{pair.Name}", version, file(pair), "--breaking"); // releases of others keep no promise about names
                rollouts.Add((await site.RollOutAsync($"real/{pair.Name}", version)).Id);
            }

            foreach (var rollout in rollouts)
                await site.CompleteAsync(rollout);
            var served = ServedFiles(site.PathOf("gateway"));
            foreach (var pair in pairs)
                Assert.Contains((Path.GetFileName(file(pair)), Digest(file(pair))), served);
        }

        var device = await site.Control.GetDeviceAsync("gateway");
        Assert.Equal(pairs.Count, device.Models.Length);
        Assert.All(device.Models, model => Assert.True(model.Settled && model.Serving!.ToString() == "2.0.0" && model.Last == ReportKind.Settled, $"{model}"));
    }

    static Func<string, bool> IsNamed(string name) => path => Path.GetFileNameWithoutExtension(path) == name;

    /// <summary>Name and digest of every file that lies in a slot.</summary>
    static HashSet<(string, string)> ServedFiles(string data) =>
        [.. Directory.EnumerateFiles(data, "*", SearchOption.AllDirectories).Where(path => Path.GetFileNameWithoutExtension(path) is "old" or "new").Select(path => (Path.GetFileName(path), Digest(path)))];

    static string Digest(string path)
    {
        using var stream = File.OpenRead(path);
        return Convert.ToHexString(SHA256.HashData(stream));
    }
}
