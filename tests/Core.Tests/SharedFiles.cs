namespace Coppice.Tests;

/// <summary>Real models and data that lie beside the repository, in <c>../shared</c>.</summary>
/// <remarks>A build server must have them; anywhere else a test that misses them says so and returns.</remarks>
static class SharedFiles
{
    static readonly string? Root = FindRoot();

    /// <summary>Where a shared file is; false when it is not there and the test cannot run.</summary>
    public static bool TryFind(string relative, out string path)
    {
        path = Root is null ? "" : Path.Combine(Root, relative);
        if (Root is not null && (File.Exists(path) || Directory.Exists(path)))
            return true;
        if (Environment.GetEnvironmentVariable("CI") == "true")
            Assert.Fail($"'{relative}' is not in the folder 'shared' beside the repository; a build server must have it.");
        Console.WriteLine($"NOT RUN: '{relative}' is not in the folder 'shared' beside the repository.");
        return false;
    }

    /// <summary>The bytes of a shared file; false as above.</summary>
    public static bool TryRead(string relative, out byte[] bytes)
    {
        bytes = TryFind(relative, out var path) ? File.ReadAllBytes(path) : [];
        return bytes.Length > 0;
    }

    static string? FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Coppice.slnx")) && folder.Parent is { } beside)
                return Path.Combine(beside.FullName, "shared");
        }
        return null;
    }
}
