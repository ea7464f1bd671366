using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>How grave a message of ONNX Runtime is.</summary>
public enum OrtLogLevel
{
    /// <summary>Every step.</summary>
    Verbose,

    /// <summary>What was done.</summary>
    Information,

    /// <summary>Odd, but it goes on.</summary>
    Warning,

    /// <summary>A call failed.</summary>
    Error,

    /// <summary>The process cannot go on.</summary>
    Fatal,
}

/// <summary>A message of ONNX Runtime.</summary>
/// <param name="Level">How grave.</param>
/// <param name="Source">The file and line of ONNX Runtime that says it.</param>
/// <param name="Text">The message.</param>
public readonly record struct OrtLogEntry(OrtLogLevel Level, string Source, string Text);

/// <summary>How ONNX Runtime is set up in this process.</summary>
public sealed record OrtEnvironmentOptions
{
    /// <summary>Called with each message, from any thread, loading and running included; it must return soon. Null says nothing.</summary>
    /// <remarks>What it throws is dropped: an exception cannot pass through native code.</remarks>
    public Action<OrtLogEntry>? Log { get; init; }

    /// <summary>The least grave message that <see cref="Log"/> sees.</summary>
    public OrtLogLevel LogLevel { get; init; } = OrtLogLevel.Warning;

    /// <summary>Threads of a pool that sessions with <see cref="OrtSessionOptions.SharedThreads"/> share; null for no such pool, 0 for one a core.</summary>
    public int? SharedThreads { get; init; }

    /// <summary>Whether the threads of that pool spin for a moment before they sleep: quicker, at the price of power.</summary>
    public bool Spin { get; init; }
}

/// <summary>ONNX Runtime in this process: one environment, started once and never ended.</summary>
public static unsafe class OrtEnvironment
{
    /// <summary>OrtArenaAllocator of the C API.</summary>
    const int ArenaAllocator = 1;

    /// <summary>OrtMemTypeDefault of the C API.</summary>
    const int DefaultMemory = 0;

    static readonly Lock Starting = new();
    static nint handle;
    static nint cpuMemory;
    static nint defaultAllocator;
    static Action<OrtLogEntry>? log;

    /// <summary>Starts ONNX Runtime with these options. Without it, the first use starts it silently and without a shared pool.</summary>
    /// <exception cref="InvalidOperationException">It runs already.</exception>
    /// <exception cref="InferenceException">The native library is not found or too old.</exception>
    public static void Start(OrtEnvironmentOptions options)
    {
        lock (Starting)
        {
            if (handle != 0)
                throw new InvalidOperationException("ONNX Runtime runs in this process already; start it before the first session, adapter or tensor.");
            StartLocked(options);
        }
    }

    /// <summary>The version of the native library, <c>1.30.0</c>.</summary>
    /// <exception cref="InferenceException">The native library is not found or too old.</exception>
    public static string Version
    {
        get
        {
            OrtLibrary.EnsureKnown();
            return OrtLibrary.Version;
        }
    }

    /// <summary>The file of the native library.</summary>
    /// <exception cref="InferenceException">The native library is not found or too old.</exception>
    public static string LibraryPath
    {
        get
        {
            OrtLibrary.EnsureKnown();
            return OrtLibrary.Path;
        }
    }

    /// <summary>How the native library was built, in its own words.</summary>
    public static string BuildInfo
    {
        get
        {
            OrtLibrary.EnsureLoaded();
            return Marshal.PtrToStringUTF8((nint)Ort.GetBuildInfoString()) ?? "";
        }
    }

    /// <summary>Execution providers that the library was built with, the most specialised first. Only the CPU's is used here.</summary>
    public static ImmutableArray<string> Providers
    {
        get
        {
            _ = Handle;
            byte** names;
            int count;
            OrtStatus.Check(Ort.GetAvailableProviders(&names, &count), OrtStep.Describe, "its providers");
            var providers = ImmutableArray.CreateBuilder<string>(count);
            for (var i = 0; i < count; i++)
                providers.Add(Marshal.PtrToStringUTF8((nint)names[i]) ?? "");
            OrtStatus.Forget(Ort.ReleaseAvailableProviders(names, count));
            return providers.MoveToImmutable();
        }
    }

    /// <summary>Whether there is a pool for <see cref="OrtSessionOptions.SharedThreads"/>.</summary>
    internal static bool HasSharedThreads { get; private set; }

    /// <summary>The environment; starts it when need be.</summary>
    internal static nint Handle
    {
        get
        {
            if (Volatile.Read(ref handle) == 0)
            {
                lock (Starting)
                {
                    if (handle == 0)
                        StartLocked(new());
                }
            }
            return handle;
        }
    }

    /// <summary>The memory of the CPU, as tensors and allocators name it.</summary>
    internal static nint CpuMemory => Handle == 0 ? 0 : cpuMemory;

    /// <summary>The allocator of texts and of tensors that no session owns.</summary>
    internal static nint DefaultAllocator => Handle == 0 ? 0 : defaultAllocator;

    static void StartLocked(OrtEnvironmentOptions options)
    {
        OrtLibrary.EnsureLoaded();
        log = options.Log;
        // Failures come back as statuses; without a listener they need not be told twice.
        var level = (int)(options.Log is null ? OrtLogLevel.Fatal : options.LogLevel);
        var callback = (nint)(delegate* unmanaged<nint, int, byte*, byte*, byte*, byte*, void>)&OnLog;
        nint created;
        using var id = OrtText.Of("coppice");
        if (options.SharedThreads is { } threads)
        {
            nint threading;
            OrtStatus.Check(Ort.CreateThreadingOptions(&threading), OrtStep.Start, "thread pool");
            try
            {
                OrtStatus.Check(Ort.SetGlobalIntraOpNumThreads(threading, threads), OrtStep.Start, "thread pool");
                OrtStatus.Check(Ort.SetGlobalInterOpNumThreads(threading, 1), OrtStep.Start, "thread pool");
                OrtStatus.Check(Ort.SetGlobalSpinControl(threading, options.Spin ? 1 : 0), OrtStep.Start, "thread pool");
                OrtStatus.Check(
                    Ort.CreateEnvWithCustomLoggerAndGlobalThreadPools(callback, 0, level, id.Pointer, threading, &created), OrtStep.Start, "environment");
            }
            finally
            {
                Ort.ReleaseThreadingOptions(threading);
            }
        }
        else
        {
            OrtStatus.Check(Ort.CreateEnvWithCustomLogger(callback, 0, level, id.Pointer, &created), OrtStep.Start, "environment");
        }

        nint memory, allocator;
        OrtStatus.Check(Ort.CreateCpuMemoryInfo(ArenaAllocator, DefaultMemory, &memory), OrtStep.Start, "memory");
        OrtStatus.Check(Ort.GetAllocatorWithDefaultOptions(&allocator), OrtStep.Start, "allocator");
        (cpuMemory, defaultAllocator, HasSharedThreads) = (memory, allocator, options.SharedThreads is not null);
        Volatile.Write(ref handle, created); // last: it tells other threads that all is there
    }

    [UnmanagedCallersOnly]
    static void OnLog(nint state, int level, byte* category, byte* id, byte* source, byte* text)
    {
        if (log is not { } listener)
            return;
        try
        {
            listener(new((OrtLogLevel)level, Marshal.PtrToStringUTF8((nint)source) ?? "", Marshal.PtrToStringUTF8((nint)text) ?? ""));
        }
        catch (Exception)
        {
            // Thrown on into native code it would end the process; the option's documentation says that it is dropped.
        }
    }
}
