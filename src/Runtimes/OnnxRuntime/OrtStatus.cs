using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>What was being done when ONNX Runtime said no.</summary>
enum OrtStep
{
    Start,
    Load,
    Run,
    Bind,
    Describe,
    LoadAdapter,
}

/// <summary>Turns ONNX Runtime's statuses into exceptions: its code and words, and what to do.</summary>
static unsafe class OrtStatus
{
    /// <summary>OrtErrorCode of the C API.</summary>
    enum Code
    {
        Fail = 1,
        InvalidArgument = 2,
        NoSuchFile = 3,
        NoModel = 4,
        EngineError = 5,
        RuntimeException = 6,
        InvalidProtobuf = 7,
        ModelLoaded = 8,
        NotImplemented = 9,
        InvalidGraph = 10,
        EpFail = 11,
        ModelLoadCanceled = 12,
        ModelRequiresCompilation = 13,
        NotFound = 14,
        DeviceReset = 15,
    }

    /// <summary>Does nothing for a good status; frees a bad one and throws it.</summary>
    /// <param name="status">Zero, or a status object, which is freed.</param>
    /// <param name="step">What was being done.</param>
    /// <param name="subject">To what: a path, a name.</param>
    public static void Check(nint status, OrtStep step, string subject)
    {
        if (status != 0)
            Throw(status, step, subject);
    }

    /// <summary>Frees a status of a call whose failure changes nothing.</summary>
    public static void Forget(nint status)
    {
        if (status != 0)
            Ort.ReleaseStatus(status);
    }

    [DoesNotReturn]
    static void Throw(nint status, OrtStep step, string subject)
    {
        var code = (Code)Ort.GetErrorCode(status);
        var text = Marshal.PtrToStringUTF8((nint)Ort.GetErrorMessage(status))?.Trim() ?? "";
        Ort.ReleaseStatus(status);
        var fault = FaultOf(code, text, step);
        throw new InferenceException($"ONNX Runtime {Refused(step)} '{subject}': {Sentence(text)} (code {(int)code}, {code}). {Advice(code, fault, step)}") { Fault = fault };
    }

    static InferenceFault FaultOf(Code code, string text, OrtStep step)
    {
        // The arena has no code of its own; these are the words of bfc_arena.cc and of std::bad_alloc.
        if (text.Contains("Available memory of", StringComparison.Ordinal) || text.Contains("Failed to allocate memory", StringComparison.Ordinal) ||
            text.Contains("bad_alloc", StringComparison.Ordinal))
            return InferenceFault.Memory;
        return step switch
        {
            OrtStep.Start => InferenceFault.Runtime,
            OrtStep.Load or OrtStep.Describe or OrtStep.LoadAdapter => InferenceFault.Model,
            _ => code == Code.InvalidArgument ? InferenceFault.Input : InferenceFault.Run,
        };
    }

    static string Refused(OrtStep step) => step switch
    {
        OrtStep.Start => "did not start",
        OrtStep.Load => "refuses the model",
        OrtStep.Run => "stopped a run of",
        OrtStep.Bind => "refuses the tensor",
        OrtStep.LoadAdapter => "refuses the adapter",
        _ => "does not describe",
    };

    static string Advice(Code code, InferenceFault fault, OrtStep step) => (fault, code, step) switch
    {
        (InferenceFault.Memory, _, _) => "Raise the memory limit, give smaller inputs, or take a smaller variant of the model.",
        (InferenceFault.Runtime, _, _) => "Check that the whole library of one version is installed.",
        (_, Code.NoSuchFile, _) => "Give the path of a file that is there; external data lies beside its model.",
        (_, Code.InvalidProtobuf, _) => "The file is damaged or is no ONNX model; fetch it again.",
        (_, Code.NotImplemented, _) => "This build has no kernel for an operator of the graph at that type; export the model with another operator or type.",
        (_, Code.InvalidGraph, _) => "The graph breaks the rules of ONNX; export it again.",
        (_, _, OrtStep.LoadAdapter) => "Give a whole adapter file in ONNX Runtime's format.",
        (_, _, OrtStep.Load) => "The file is damaged, or was made for another version or with other operators; fetch or export it again.",
        (InferenceFault.Input, _, _) => "Compare names, types and shapes with the session's inputs.",
        _ => "The model failed on this input; the session can go on with the next.",
    };

    static string Sentence(string text) => text.ReplaceLineEndings(" ").TrimEnd('.', ' ');
}
