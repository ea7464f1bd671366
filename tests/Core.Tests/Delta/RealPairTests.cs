using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Tests.Delta;

public sealed class RealPairTests
{
    /// <summary>Public releases, and the most hundredths of the new file that their patches may take.</summary>
    [Theory]
    [InlineData("face_ckpt_pth", "pth", 46)]
    [InlineData("face_landmarker_task", "task", 0.31)]
    [InlineData("face_recognition_u8", "bin", 29.1)]
    [InlineData("hand_landmark_tflite", "tflite", 79.9)]
    [InlineData("magika_onnx", "onnx", 84)]
    [InlineData("mobilenet_v2_quant_tflite", "tflite", 0.46)]
    [InlineData("okay_nabu_tflite", "tflite", 58.8)]
    [InlineData("pose_landmark_tflite", "tflite", 74)]
    [InlineData("rife_contextnet_ncnn", "bin", 78)]
    [InlineData("silero_vad_ggml", "bin", 77)]
    [InlineData("silero_vad_jit", "jit", 72)]
    [InlineData("silero_vad_onnx", "onnx", 70)]
    [InlineData("stockfish_small_nnue", "nnue", 76.5)]
    [InlineData("tessdata_hin", "traineddata", 0.07)]
    [InlineData("vocab_falcon_gguf", "gguf", 0.03)]
    [InlineData("vww_int8_tflite", "tflite", 73.2)]
    [InlineData("yunet_onnx", "onnx", 0.4)]
    public void A_release_is_rebuilt_byte_by_byte_from_the_one_before(string pair, string extension, double mostPercent)
    {
        if (!SharedFiles.TryRead($"models/{pair}/old.{extension}", out var old) || !SharedFiles.TryRead($"models/{pair}/new.{extension}", out var made))
            return;
        using var patch = new MemoryStream();
        var explanation = PatchEncoder.Create(new MemorySource(old), new MemorySource(made), patch);
        Assert.True(made.AsSpan().SequenceEqual(PatchTrial.Apply(patch.ToArray(), old)));
        Assert.InRange(explanation.Percent, 0, mostPercent);
    }
}
