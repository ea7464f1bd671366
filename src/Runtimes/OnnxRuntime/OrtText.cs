using System.Runtime.InteropServices;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>A text in native memory as ONNX Runtime wants it, for as long as the call lasts.</summary>
readonly unsafe ref struct OrtText
{
    OrtText(nint memory) => Pointer = (byte*)memory;

    /// <summary>The first byte; a zero ends the text.</summary>
    public byte* Pointer { get; }

    /// <summary>UTF-8.</summary>
    /// <exception cref="ArgumentException">The text holds a zero character, which would end it early.</exception>
    public static OrtText Of(string text) => new(Marshal.StringToCoTaskMemUTF8(Whole(text)));

    /// <summary>A path: UTF-16 on Windows, else UTF-8.</summary>
    /// <exception cref="ArgumentException">The path holds a zero character.</exception>
    public static OrtText OfPath(string path) =>
        OperatingSystem.IsWindows() ? new(Marshal.StringToCoTaskMemUni(Whole(path))) : Of(path);

    /// <summary>Copies a text that ONNX Runtime allocated, and frees it.</summary>
    public static string Take(byte* text)
    {
        var copy = Marshal.PtrToStringUTF8((nint)text) ?? "";
        if (text is not null)
            OrtStatus.Forget(Ort.AllocatorFree(OrtEnvironment.DefaultAllocator, text));
        return copy;
    }

    public void Dispose() => Marshal.FreeCoTaskMem((nint)Pointer);

    static string Whole(string text) => text.Contains('\0', StringComparison.Ordinal)
        ? throw new ArgumentException($"'{text.Replace('\0', '?')}' holds a zero character; give it without.", nameof(text))
        : text;
}
