namespace Coppice.Runtimes.Tests;

/// <summary>Real models in the folder <c>shared</c> beside the repository. Without it their tests fail in CI and elsewhere say that they did not run.</summary>
static class SharedFiles
{
    /// <summary>The path of a file or folder, or null when the folder is not on this machine.</summary>
    public static string? Find(string relative)
    {
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (root is not null && !File.Exists(Path.Combine(root.FullName, "Coppice.slnx")))
            root = root.Parent;
        var path = root?.Parent is { } parent ? Path.Combine(parent.FullName, "shared", relative) : null;
        // A work tree may lie one folder deeper than the repository.
        if (!Path.Exists(path) && root?.Parent?.Parent is { } grandparent)
            path = Path.Combine(grandparent.FullName, "shared", relative);
        if (Path.Exists(path))
            return path;
        Assert.False(Environment.GetEnvironmentVariable("CI") == "true", $"shared/{relative} is missing beside the repository.");
        Console.WriteLine($"Not run: shared/{relative} is not on this machine.");
        return null;
    }
}
