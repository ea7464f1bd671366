namespace Coppice.Tests;

/// <summary>The checkout these tests were built from.</summary>
static class RepositoryRoot
{
    public static string Path { get; } = Find();

    public static IEnumerable<string> Sources(string under) =>
        Directory.EnumerateFiles(System.IO.Path.Combine(Path, under), "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("/bin/", StringComparison.Ordinal));

    static string Find()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = System.IO.Path.GetDirectoryName(folder))
        {
            if (File.Exists(System.IO.Path.Combine(folder, "Coppice.slnx")))
                return folder;
        }

        throw new InvalidOperationException($"No Coppice.slnx above {AppContext.BaseDirectory}; run the tests from a checkout.");
    }
}
