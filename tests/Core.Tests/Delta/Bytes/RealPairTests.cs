using Coppice.Delta.Bytes;

namespace Coppice.Core.Tests.Delta.Bytes;

/// <summary>Public model releases by the byte path alone. Bounds are 1 % above what was measured, and below the best peer's size.</summary>
public sealed class RealPairTests
{
    [Theory] // best peer in comments: HDiffPatch with LZMA2, zstd --patch-from, bsdiff, xdelta3 or brotli
    [InlineData("yunet_onnx", 560)] // 1,080
    [InlineData("tessdata_hin", 445)] // 507
    [InlineData("vocab_falcon_gguf", 80)] // 98
    [InlineData("face_landmarker_task", 9_140)] // 9,851
    [InlineData("mobilenet_v2_quant_tflite", 14_330)] // 16,008
    [InlineData("okay_nabu_tflite", 66_100)] // 67,279
    public void A_real_release_comes_back_and_stays_below_the_best_peer(string pair, int most)
    {
        if (!VersionPairs.TryRead(pair, out var old, out var made))
            return;
        Assert.InRange(Frames.RoundTrip([old], made, ByteDecoder.LongestFrame, new() { Effort = ByteEffort.Small }), 1, most);
    }

    [Theory]
    [InlineData("yunet_onnx", 1_190)]
    [InlineData("face_landmarker_task", 11_100)]
    [InlineData("mobilenet_v2_quant_tflite", 18_140)]
    [InlineData("okay_nabu_tflite", 68_800)]
    [InlineData("vww_int8_tflite", 242_400)]
    [InlineData("silero_vad_ggml", 679_000)]
    public void A_real_release_comes_back_by_the_fast_coding(string pair, int most)
    {
        if (!VersionPairs.TryRead(pair, out var old, out var made))
            return;
        Assert.InRange(Frames.RoundTrip([old], made, ByteDecoder.LongestFrame, new() { Effort = ByteEffort.Fast }), 1, most);
    }
}
