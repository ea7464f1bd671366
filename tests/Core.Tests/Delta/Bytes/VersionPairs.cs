namespace Coppice.Core.Tests.Delta.Bytes;

/// <summary>Two public versions of real models each, in <c>shared/models</c> beside the repository.</summary>
static class VersionPairs
{
    /// <summary>The bytes of a pair; false when it is not on this machine, which is a failure on a build server.</summary>
    public static bool TryRead(string name, out byte[] old, out byte[] made)
    {
        (old, made) = ([], []);
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (!File.Exists(Path.Combine(folder.FullName, "Coppice.slnx")))
                continue;
            var pair = Path.GetFullPath(Path.Combine(folder.FullName, "..", "shared", "models", name));
            if (!Directory.Exists(pair))
                break;
            old = File.ReadAllBytes(Directory.GetFiles(pair, "old.*")[0]);
            made = File.ReadAllBytes(Directory.GetFiles(pair, "new.*")[0]);
            return true;
        }
        Assert.False(Environment.GetEnvironmentVariable("CI") == "true", $"'shared/models/{name}' is not beside the repository; a build server must have it.");
        Console.WriteLine($"NOT RUN: 'shared/models/{name}' is not beside the repository.");
        return false;
    }
}
