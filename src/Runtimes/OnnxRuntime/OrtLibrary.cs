using System.Runtime.InteropServices;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>The native library of ONNX Runtime and its table of functions.</summary>
static unsafe class OrtLibrary
{
    /// <summary>The version of the function table that <see cref="Ort"/> is written against; ONNX Runtime 1.30 is the first to have it.</summary>
    const uint ApiVersion = 30;

    static readonly Lock Loading = new();

    static nint table;

    /// <summary>The function table; null until <see cref="EnsureLoaded"/> returned.</summary>
    public static nint* Table => (nint*)Volatile.Read(ref table);

    /// <summary>As the library says it, <c>1.30.0</c>.</summary>
    public static string Version { get; private set; } = "";

    /// <summary>The file that was loaded.</summary>
    public static string Path { get; private set; } = "";

    /// <summary>Comes to know <see cref="Version"/> and <see cref="Path"/>, and lets the library go again: a device without models has no memory for one that does nothing.</summary>
    /// <exception cref="InferenceException">The library is not there or is too old.</exception>
    public static void EnsureKnown()
    {
        lock (Loading)
        {
            if (Version.Length > 0)
                return;
            var (library, _) = Open();
            NativeLibrary.Free(library);
        }
    }

    /// <summary>Loads the library on the first call; a failed load is tried again by the next call.</summary>
    /// <exception cref="InferenceException">The library is not there or is too old.</exception>
    public static void EnsureLoaded()
    {
        if (Table is not null)
            return;
        lock (Loading)
        {
            if (Table is null)
                Volatile.Write(ref table, Open().Table); // last: it tells other threads that all is there
        }
    }

    static (nint Library, nint Table) Open()
    {
        var (library, path) = NativeLibraries.Load("ONNX Runtime", FileNames, PackageFolder);
        if (!NativeLibrary.TryGetExport(library, "OrtGetApiBase", out var getBase))
            throw Unfit(path, "has no function OrtGetApiBase, so it is another library of that name");

        // struct OrtApiBase { GetApi(version); GetVersionString(); }
        var apiBase = ((delegate* unmanaged<nint*>)getBase)();
        var version = Marshal.PtrToStringUTF8(((delegate* unmanaged<nint>)apiBase[1])()) ?? "";
        var found = ((delegate* unmanaged<uint, nint*>)apiBase[0])(ApiVersion);
        if (found is null)
            throw Unfit(path, $"is version {version}, which is too old");
        (Version, Path) = (version, path);
        return (library, (nint)found);
    }

    static InferenceException Unfit(string path, string why) => new(
        $"{path} {why}; ONNX Runtime 1.{ApiVersion} or later is wanted. Remove it, or set {NativeLibraries.FolderVariable} to a folder with a later one.")
    { Fault = InferenceFault.Runtime };

    static string[] FileNames =>
        OperatingSystem.IsWindows() ? ["onnxruntime.dll"]
        : OperatingSystem.IsMacOS() ? ["libonnxruntime.1.dylib", "libonnxruntime.1.30.0.dylib", "libonnxruntime.dylib"]
        : ["libonnxruntime.so.1", "libonnxruntime.so"];

    /// <summary>Where the npm package onnxruntime-node keeps this machine's build.</summary>
    static string? PackageFolder
    {
        get
        {
            var system = OperatingSystem.IsWindows() ? "win32" : OperatingSystem.IsMacOS() ? "darwin" : OperatingSystem.IsLinux() ? "linux" : null;
            var machine = RuntimeInformation.ProcessArchitecture switch
            {
                Architecture.X64 when system is not "darwin" => "x64",
                Architecture.Arm64 => "arm64",
                _ => null,
            };
            return system is null || machine is null ? null : System.IO.Path.Combine("onnxruntime-node", "bin", "napi-v6", system, machine);
        }
    }
}
