using Coppice.Delta;
using Coppice.Formats;
using Coppice.Tests;

namespace Coppice.Core.Tests.Delta;

public sealed class RealPairTests
{
    /// <summary>Public releases, and the most hundredths of the new file that their patches may take; those that are bytes to us at the fast level, which is for the sake of this test's time.</summary>
    [Theory]
    [InlineData("face_ckpt_pth", "pth", PatchLevel.Default, 46)]
    [InlineData("face_landmarker_task", "task", PatchLevel.Default, 0.31)]
    [InlineData("face_recognition_u8", "bin", PatchLevel.Fast, 34)]
    [InlineData("hand_landmark_tflite", "tflite", PatchLevel.Default, 79.9)]
    [InlineData("magika_onnx", "onnx", PatchLevel.Default, 84)]
    [InlineData("mobilenet_v2_quant_tflite", "tflite", PatchLevel.Default, 0.46)]
    [InlineData("okay_nabu_tflite", "tflite", PatchLevel.Fast, 70)]
    [InlineData("pose_landmark_tflite", "tflite", PatchLevel.Default, 74)]
    [InlineData("rife_contextnet_ncnn", "bin", PatchLevel.Default, 78)]
    [InlineData("silero_vad_ggml", "bin", PatchLevel.Default, 77)]
    [InlineData("silero_vad_jit", "jit", PatchLevel.Default, 72)]
    [InlineData("silero_vad_onnx", "onnx", PatchLevel.Default, 70)]
    [InlineData("stockfish_small_nnue", "nnue", PatchLevel.Fast, 90)]
    [InlineData("tessdata_hin", "traineddata", PatchLevel.Default, 0.07)]
    [InlineData("vocab_falcon_gguf", "gguf", PatchLevel.Default, 0.03)]
    [InlineData("vww_int8_tflite", "tflite", PatchLevel.Fast, 80)]
    [InlineData("yunet_onnx", "onnx", PatchLevel.Default, 0.4)]
    public void A_release_is_rebuilt_byte_by_byte_from_the_one_before(string pair, string extension, PatchLevel level, double mostPercent)
    {
        if (!SharedFiles.TryRead($"models/{pair}/old.{extension}", out var old) || !SharedFiles.TryRead($"models/{pair}/new.{extension}", out var made))
            return;
        using var patch = new MemoryStream();
        var explanation = PatchEncoder.Create(new MemorySource(old), new MemorySource(made), patch, new() { Level = level });
        Assert.True(made.AsSpan().SequenceEqual(PatchTrial.Apply(patch.ToArray(), old)));
        Assert.InRange(explanation.Percent, 0, mostPercent);
    }
}
