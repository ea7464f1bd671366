using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Agent.Tests;

/// <summary>A model took the process with it.</summary>
public sealed class ProcessEndedException() : Exception("the process ended");

/// <summary>A runtime whose models are lines of text: what they answer, and how they misbehave.</summary>
/// <remarks><c>answer 3</c>; <c>refuse</c> fails to load; <c>kill</c> ends the process at load; <c>fail</c> runs in trial, and fails each run once it serves.</remarks>
public sealed class TextRuntime : IModelRuntime
{
    int open;

    public string Name => "text";

    public string Version => "1.0.0";

    /// <summary>The release that serves, for models that misbehave only then.</summary>
    public Func<string?> Serving { get; set; } = () => null;

    /// <summary>Called with the release before it is loaded; throws or waits, or not.</summary>
    public Action<string> OnLoad { get; set; } = _ => { };

    /// <summary>Called with the release before each run; throws or waits, or not.</summary>
    public Action<string> OnRun { get; set; } = _ => { };

    /// <summary>Sessions that are loaded now.</summary>
    public int Open => Volatile.Read(ref open);

    public bool Supports(ModelFormat format) => format == ModelFormat.Opaque;

    public static byte[] Model(string release, string behaviour, int padding = 0) => Encoding.UTF8.GetBytes($"{behaviour}\n{release}\n{new string('.', padding)}");

    public IModelSession Load(ModelSource source, SessionLimits limits)
    {
        var text = Encoding.UTF8.GetString(source.Path is { } path ? File.ReadAllBytes(path) : source.Bytes.Span).Split('\n');
        switch (text[0].Split(' ')[0])
        {
            case "refuse":
                throw new InferenceException("the model is of no use") { Fault = InferenceFault.Model };
            case "kill":
                throw new ProcessEndedException();
        }

        OnLoad(text[1]);
        Interlocked.Increment(ref open);
        return new Session(this, text[0], text[1]);
    }

    sealed class Session(TextRuntime runtime, string line, string release) : IModelSession
    {
        bool closed;

        public ImmutableArray<TensorSpec> Inputs => [new("x", ElementType.Float32, [1])];

        public ImmutableArray<TensorSpec> Outputs => [new("y", ElementType.Float32, [1])];

        public SessionMemory Memory => default;

        public InferenceResult Run(ReadOnlySpan<Tensor> inputs, CancellationToken cancel = default)
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref closed), this);
            runtime.OnRun(release);
            var words = line.Split(' ');
            if (words[0] == "fail" && runtime.Serving() == release)
                throw new InferenceException("it fails");
            return new Answer(words.Length > 1 ? float.Parse(words[1], CultureInfo.InvariantCulture) : 0);
        }

        public void Dispose()
        {
            if (!Interlocked.Exchange(ref closed, true))
                Interlocked.Decrement(ref runtime.open);
        }
    }

    sealed class Answer(float value) : InferenceResult
    {
        readonly float[] values = [value];

        public override int Count => 1;

        public override ElementType TypeOf(int output) => ElementType.Float32;

        public override ReadOnlySpan<long> ShapeOf(int output) => new long[] { 1 };

        public override ReadOnlySpan<byte> BytesOf(int output) => System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan());

        protected override void Dispose(bool disposing)
        {
        }
    }
}
