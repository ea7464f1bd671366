using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

/// <summary>ONNX Runtime is started once a process, so once for all tests: with a listener and a shared pool.</summary>
static class TestEnvironment
{
    public static ConcurrentQueue<OrtLogEntry> Log { get; } = new();

    [ModuleInitializer]
    internal static void Start() => OrtEnvironment.Start(new() { Log = Listen, SharedThreads = 2 });

    static void Listen(OrtLogEntry entry)
    {
        Log.Enqueue(entry);
        throw new InvalidOperationException("A listener's exception must not reach native code.");
    }
}
