using Coppice.Inference;

namespace Coppice.Runtimes.Tests;

public sealed class NativeLibrariesTests
{
    [Fact]
    public void The_chosen_folder_comes_first_then_the_program_then_the_repository()
    {
        using var temporary = new TemporaryFolder();
        File.WriteAllText(temporary.File("Coppice.slnx"), "");
        var program = Path.Combine(temporary.Path, "src", "Cli", "bin") + Path.DirectorySeparatorChar;
        Directory.CreateDirectory(program);

        Assert.Equal(
            [Path.GetFullPath("chosen"), program, Path.Combine(temporary.Path, "node_modules", "package")],
            NativeLibraries.Folders("chosen", program, "package"));
        Assert.Equal([program], NativeLibraries.Folders(null, program, null));
    }

    [Fact]
    public void A_library_that_is_nowhere_is_reported_with_every_place_and_what_to_do()
    {
        var refusal = Assert.Throws<InferenceException>(() => NativeLibraries.Load("Nowhere", ["libnowhere.so.1", "libnowhere.so"], "no-package"));

        Assert.Equal(InferenceFault.Runtime, refusal.Fault);
        Assert.Contains(Path.Combine(AppContext.BaseDirectory, "libnowhere.so.1") + ": not there", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(Path.Combine("node_modules", "no-package", "libnowhere.so"), refusal.Message, StringComparison.Ordinal);
        Assert.Contains("libnowhere.so: unknown to the system's loader", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("npm ci", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("COPPICE_NATIVE", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_there_but_no_library_is_told_apart()
    {
        var name = $"libbroken-{Guid.NewGuid():N}.so";
        var path = Path.Combine(AppContext.BaseDirectory, name);
        File.WriteAllText(path, "no library");
        try
        {
            var refusal = Assert.Throws<InferenceException>(() => NativeLibraries.Load("Broken", [name], null));

            Assert.Contains("there, but does not load", refusal.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
