namespace Coppice.Tests;

/// <summary>Real models and data that lie beside the repository, in <c>../shared</c>.</summary>
/// <remarks>A build server must have them; anywhere else a test that misses them says so and returns.</remarks>
static class SharedFiles
{
    static readonly string Root = Path.Combine(RepositoryRoot.Path, "..", "shared");

    /// <summary>Where a shared file is; false when it is not there and the test cannot run.</summary>
    public static bool TryFind(string relative, out string path)
    {
        path = Path.GetFullPath(Path.Combine(Root, relative));
        if (Path.Exists(path))
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
}
