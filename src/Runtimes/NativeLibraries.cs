using System.Runtime.InteropServices;
using Coppice.Inference;

namespace Coppice.Runtimes;

/// <summary>Finds and loads the native libraries of the runtimes.</summary>
/// <remarks>
/// Looked at in this order: the folder in the environment variable <c>COPPICE_NATIVE</c>; the program's own folder;
/// <c>node_modules</c> of the repository that the program was built in; the system's loader.
/// </remarks>
static class NativeLibraries
{
    /// <summary>The environment variable that names a folder to look in first.</summary>
    public const string FolderVariable = "COPPICE_NATIVE";

    /// <summary>The file that marks the root of the repository.</summary>
    const string RootMarker = "Coppice.slnx";

    /// <summary>Loads a library and never unloads it.</summary>
    /// <param name="title">Its name for people: <c>ONNX Runtime</c>.</param>
    /// <param name="fileNames">File names it goes by on this system, the most exact first.</param>
    /// <param name="packageFolder">Its folder inside <c>node_modules</c>; null where the package has no build for this machine.</param>
    /// <exception cref="InferenceException">It is at none of the places, or does not load; names every place and what was there.</exception>
    public static (nint Library, string Path) Load(string title, ReadOnlySpan<string> fileNames, string? packageFolder)
    {
        var tried = new List<string>();
        foreach (var folder in Folders(Environment.GetEnvironmentVariable(FolderVariable), AppContext.BaseDirectory, packageFolder))
        {
            foreach (var name in fileNames)
            {
                var path = Path.Combine(folder, name);
                if (!File.Exists(path))
                {
                    tried.Add($"{path}: not there");
                    continue;
                }
                try
                {
                    return (NativeLibrary.Load(path), path);
                }
                catch (Exception refused) when (refused is DllNotFoundException or BadImageFormatException)
                {
                    tried.Add($"{path}: there, but does not load ({refused.Message.ReplaceLineEndings(" ").Trim()})");
                }
            }
        }

        foreach (var name in fileNames)
        {
            if (NativeLibrary.TryLoad(name, out var library))
                return (library, name);
            tried.Add($"{name}: unknown to the system's loader");
        }
        throw new InferenceException(
            $"The native library of {title} was not found for {RuntimeInformation.RuntimeIdentifier}. Run 'npm ci --ignore-scripts' in the repository, " +
            $"put the library beside the program, or set {FolderVariable} to its folder. Looked at:\n  {string.Join("\n  ", tried)}")
        { Fault = InferenceFault.Runtime };
    }

    /// <summary>The folders to look in, in order.</summary>
    public static IEnumerable<string> Folders(string? chosen, string program, string? packageFolder)
    {
        if (!string.IsNullOrEmpty(chosen))
            yield return Path.GetFullPath(chosen);
        yield return program;
        if (packageFolder is null)
            yield break;
        for (var folder = new DirectoryInfo(program); folder is not null; folder = folder.Parent)
        {
            if (!File.Exists(Path.Combine(folder.FullName, RootMarker)))
                continue;
            yield return Path.Combine(folder.FullName, "node_modules", packageFolder);
            yield break;
        }
    }
}
