using System.Buffers;
using System.Collections.Immutable;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>How far ONNX Runtime rewrites a graph when it loads it.</summary>
public enum GraphOptimisation
{
    /// <summary>Not at all.</summary>
    None = 0,

    /// <summary>Folds constants and drops what has no effect.</summary>
    Basic = 1,

    /// <summary>Also fuses operators.</summary>
    Extended = 2,

    /// <summary>Also changes the layout of tensors.</summary>
    Layout = 3,

    /// <summary>Everything; the library's default.</summary>
    All = 99,
}

/// <summary>How a session is loaded and what it may take.</summary>
public sealed record OrtSessionOptions
{
    /// <summary>Threads inside one operator; 0 for one a core, 1 for the caller's thread alone.</summary>
    public int IntraOpThreads { get; init; }

    /// <summary>Operators that run side by side; 1 runs one after the other, 0 leaves the number to the library.</summary>
    public int InterOpThreads { get; init; } = 1;

    /// <summary>Runs on the pool of <see cref="OrtEnvironmentOptions.SharedThreads"/>; the two counts above then mean nothing.</summary>
    public bool SharedThreads { get; init; }

    /// <summary>How far the graph is rewritten.</summary>
    public GraphOptimisation Optimisation { get; init; } = GraphOptimisation.All;

    /// <summary>Keeps freed memory for the next run. Without it every tensor comes from the system: slower, but nothing is held between runs.</summary>
    public bool Arena { get; init; } = true;

    /// <summary>The most the session's own arena may take of the system; 0 for no bound. Weights that fill it at loading count.</summary>
    public long ArenaLimitBytes { get; init; }

    /// <summary>Plans one block for all tensors of a run from the second run of a shape on.</summary>
    public bool MemoryPattern { get; init; } = true;

    /// <summary>Takes kernels that give the same bits on every run, where there is a choice.</summary>
    public bool Deterministic { get; init; }

    /// <summary>Leaves weights as the file holds them, so that external data is mapped and shared with the page cache; multiplications become slower.</summary>
    /// <remarks>The arena still counts room for them, which it reserves but never touches: raise <see cref="ArenaLimitBytes"/> by their size.</remarks>
    public bool MapWeights { get; init; }

    /// <summary>Writes the graph as it was optimised to this file; null for not.</summary>
    public string? OptimisedModelPath { get; init; }

    /// <summary>Sizes for dimensions that the model names but leaves free, by their name: <c>batch</c>.</summary>
    public IReadOnlyDictionary<string, long> FreeDimensions { get; init; } = ImmutableDictionary<string, long>.Empty;

    /// <summary>Where external data of a model in memory lies; null where it has none.</summary>
    public string? ExternalDataFolder { get; init; }

    /// <summary>External data in memory, by the file name that the model gives; read while the session loads.</summary>
    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> ExternalFiles { get; init; } = ImmutableDictionary<string, ReadOnlyMemory<byte>>.Empty;

    /// <summary>Any other setting, by the key that ONNX Runtime's <c>onnxruntime_session_options_config_keys.h</c> gives it.</summary>
    public IReadOnlyDictionary<string, string> Config { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>What is wrong with the options themselves, before ONNX Runtime sees them.</summary>
    /// <exception cref="ArgumentException">A number is negative, or two options contradict each other.</exception>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(IntraOpThreads);
        ArgumentOutOfRangeException.ThrowIfNegative(InterOpThreads);
        ArgumentOutOfRangeException.ThrowIfNegative(ArenaLimitBytes);
        if (ArenaLimitBytes > 0 && !Arena)
            throw new ArgumentException($"a limit of {ArenaLimitBytes} bytes needs the arena, which {nameof(Arena)} = false turns off; drop one of the two.");
        if (SharedThreads && OrtEnvironment.Handle != 0 && !OrtEnvironment.HasSharedThreads)
            throw new ArgumentException($"there is no shared pool of threads; start OrtEnvironment with {nameof(OrtEnvironmentOptions.SharedThreads)} first.");
    }

    /// <summary>The native options. The caller disposes of <paramref name="pins"/> when the session is loaded.</summary>
    internal unsafe OrtSessionOptionsHandle Build(string subject, List<MemoryHandle> pins)
    {
        _ = OrtEnvironment.Handle;
        nint created;
        OrtStatus.Check(Ort.CreateSessionOptions(&created), OrtStep.Load, subject);
        var options = created;
        var handle = new OrtSessionOptionsHandle();
        handle.Own(options);
        try
        {
            Check(SharedThreads ? Ort.DisablePerSessionThreads(options) : Ort.SetIntraOpNumThreads(options, IntraOpThreads));
            if (!SharedThreads && InterOpThreads != 1)
            {
                Check(Ort.SetSessionExecutionMode(options, mode: 1));
                Check(Ort.SetInterOpNumThreads(options, InterOpThreads));
            }
            Check(Ort.SetSessionGraphOptimizationLevel(options, (int)Optimisation));
            Check(Arena ? Ort.EnableCpuMemArena(options) : Ort.DisableCpuMemArena(options));
            Check(MemoryPattern ? Ort.EnableMemPattern(options) : Ort.DisableMemPattern(options));
            Check(Ort.SetDeterministicCompute(options, Deterministic ? (byte)1 : (byte)0));
            if (OptimisedModelPath is not null)
            {
                using var path = OrtText.OfPath(Path.GetFullPath(OptimisedModelPath));
                Check(Ort.SetOptimizedModelFilePath(options, path.Pointer));
            }
            foreach (var (name, size) in FreeDimensions)
            {
                using var text = OrtText.Of(name);
                Check(Ort.AddFreeDimensionOverrideByName(options, text.Pointer, size));
            }
            foreach (var (key, value) in Config)
                Set(key, value);
            if (MapWeights)
                Set("session.disable_prepacking", "1");
            if (ExternalDataFolder is not null)
                Set("session.model_external_initializers_file_folder_path", Path.GetFullPath(ExternalDataFolder));
            if (ArenaLimitBytes > 0)
                Set("session.use_env_allocators", "1");
            AddExternalFiles();
            return handle;
        }
        catch
        {
            handle.Dispose();
            throw;
        }

        void Check(nint status) => OrtStatus.Check(status, OrtStep.Load, subject);

        void Set(string key, string value)
        {
            using var nativeKey = OrtText.Of(key);
            using var nativeValue = OrtText.Of(value);
            Check(Ort.AddSessionConfigEntry(options, nativeKey.Pointer, nativeValue.Pointer));
        }

        void AddExternalFiles()
        {
            foreach (var (name, bytes) in ExternalFiles)
            {
                var pin = bytes.Pin();
                pins.Add(pin);
                using var text = OrtText.OfPath(name);
                void* nativeName = text.Pointer;
                var data = (byte*)pin.Pointer;
                var length = (nuint)bytes.Length;
                Check(Ort.AddExternalInitializersFromFilesInMemory(options, &nativeName, &data, &length, 1));
            }
        }
    }
}
