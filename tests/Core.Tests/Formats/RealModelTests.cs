using System.Security.Cryptography;
using Coppice.Formats;
using Coppice.Tests;
using static Coppice.Formats.ModelFormat;

namespace Coppice.Core.Tests.Formats;

/// <summary>Published models. Counts and digests were taken with onnx 1.12 and torch 1.13, which share no code with the readers.</summary>
public sealed class RealModelTests
{
    /// <summary>File, format, tensors, elements in them, bytes that they take.</summary>
    public static TheoryData<string, ModelFormat, int, long, long> Models => new()
    {
        { "magika_onnx/old.onnx", Onnx, 28, 784238, 3137004 },
        { "magika_onnx/new.onnx", Onnx, 28, 784751, 3139056 },
        { "mlperf-tiny-ad/model.onnx", Onnx, 20, 265864, 1063456 },
        { "mlperf-tiny-kws/model.onnx", Onnx, 21, 22606, 90432 },
        { "mlperf-tiny-resnet8/model.onnx", Onnx, 21, 77708, 310840 },
        { "mlperf-tiny-vww/model.onnx", Onnx, 57, 210852, 843416 },
        { "mnist-cnn/model.onnx", Onnx, 8, 5998, 23982 }, // two shapes are varint lists, three bytes each
        { "ort-lora-example/example_lora.onnx", Onnx, 3, 16, 64 },
        { "silero_vad_onnx/old.onnx", Onnx, 345, 545601, 2183650 },
        { "silero_vad_onnx/new.onnx", Onnx, 345, 545601, 2183650 },
        { "squeezenet-fp16/model.onnx", Onnx, 52, 1235496, 2470992 },
        { "ultraface-rfb-320/model.onnx", Onnx, 275, 307683, 1230968 },
        { "yunet_onnx/old.onnx", Onnx, 133, 73884, 295712 },
        { "yunet_onnx/new.onnx", Onnx, 124, 73857, 295464 },
        { "stories260k-gguf/model.gguf", Gguf, 47, 260032, 1040128 },
        { "stories260k-gguf/random-lora.gguf", Gguf, 10, 2560, 10240 },
        { "vocab-only-gguf/ggml-vocab-bert-bge.gguf", Gguf, 0, 0, 0 },
        { "vocab-only-gguf/ggml-vocab-gpt-2.gguf", Gguf, 0, 0, 0 },
        { "vocab-only-gguf/ggml-vocab-llama-spm.gguf", Gguf, 0, 0, 0 },
        { "vocab_falcon_gguf/old.gguf", Gguf, 0, 0, 0 },
        { "vocab_falcon_gguf/new.gguf", Gguf, 0, 0, 0 },
        { "hand_landmark_tflite/old.tflite", Tflite, 103, 1011714, 2023432 },
        { "hand_landmark_tflite/new.tflite", Tflite, 103, 1011714, 2023432 },
        { "mlperf-tiny-ad/float.tflite", Tflite, 20, 265864, 1063456 },
        { "mlperf-tiny-ad/int8.tflite", Tflite, 20, 265864, 270880 },
        { "mlperf-tiny-kws/float.tflite", Tflite, 21, 22606, 33592 },
        { "mlperf-tiny-kws/int8.tflite", Tflite, 21, 22606, 24376 },
        { "mlperf-tiny-resnet8/float.tflite", Tflite, 21, 77708, 310832 },
        { "mlperf-tiny-resnet8/int8.tflite", Tflite, 21, 77708, 78752 },
        { "mlperf-tiny-vww/float.tflite", Tflite, 57, 210852, 843408 },
        { "mlperf-tiny-vww/int8.tflite", Tflite, 57, 210852, 219072 },
        { "mobilenet_v2_quant_tflite/old.tflite", Tflite, 107, 3489099, 3543276 },
        { "mobilenet_v2_quant_tflite/new.tflite", Tflite, 107, 3489099, 3543276 },
        { "okay_nabu_tflite/old.tflite", Tflite, 66, 36243, 37806 },
        { "okay_nabu_tflite/new.tflite", Tflite, 70, 67163, 69260 },
        { "pose_landmark_tflite/old.tflite", Tflite, 173, 1362663, 2725386 },
        { "pose_landmark_tflite/new.tflite", Tflite, 186, 1363121, 2726306 },
        { "vww_int8_tflite/old.tflite", Tflite, 63, 210721, 218980 },
        { "vww_int8_tflite/new.tflite", Tflite, 63, 210721, 218980 },
        { "face_ckpt_pth/old.pth", TorchLegacy, 244, 281135, 1124680 },
        { "face_ckpt_pth/new.pth", TorchLegacy, 244, 281135, 1124680 },
        { "silero_vad_jit/old.jit", Torch, 33, 545282, 2181128 },
        { "silero_vad_jit/new.jit", Torch, 33, 545282, 2181128 },
        { "face_landmarker_task/old.task", Zip, 530, 1741449, 3483316 },
        { "face_landmarker_task/new.task", Zip, 530, 1741449, 3483316 },
        { "face_recognition_u8/old.bin", Opaque, 0, 0, 0 },
        { "rife_contextnet_ncnn/old.bin", Opaque, 0, 0, 0 },
        { "silero_vad_ggml/old.bin", Opaque, 0, 0, 0 },
        { "stockfish_small_nnue/old.nnue", Opaque, 0, 0, 0 },
        { "tessdata_hin/old.traineddata", Opaque, 0, 0, 0 },
        { "ort-lora-example/example_lora.onnx_adapter", Opaque, 0, 0, 0 },
        { "mnist-cnn/check.json", Opaque, 0, 0, 0 },
    };

    [Theory, MemberData(nameof(Models))]
    public void Every_tensor_is_found_in_bytes_of_its_own(string file, ModelFormat format, int tensors, long elements, long tensorBytes)
    {
        if (!SharedFiles.TryRead($"models/{file}", out var bytes))
            return;
        var source = new MemorySource(bytes);

        var model = ModelReader.Read(source);

        Assert.Equal(format, ModelReader.Detect(source));
        Assert.Equal(format, model.Format);
        Assert.Equal(bytes.Length, model.Map.Length);
        Assert.Equal(tensors, model.Tensors.Length);
        Assert.Equal(elements, model.Parameters);
        Assert.Equal(tensorBytes, model.TensorBytes);
        Assert.Empty(model.Notes);
        MapChecks.Holds(model);
    }

    [Theory, MemberData(nameof(Models))]
    public void A_stream_gives_the_same_as_memory(string file, ModelFormat format, int tensors, long elements, long tensorBytes)
    {
        if (!SharedFiles.TryFind($"models/{file}", out var path))
            return;
        using var stream = File.OpenRead(path);
        var model = ModelReader.Read(new StreamSource(stream));
        var inMemory = ModelReader.Read(new MemorySource(File.ReadAllBytes(path)));

        Assert.Equal((format, tensors, elements, tensorBytes), (model.Format, model.Tensors.Length, model.Parameters, model.TensorBytes));
        Assert.Equal(inMemory.Tensors.Select(MapChecks.Line), model.Tensors.Select(MapChecks.Line));
        Assert.Equal(inMemory.Map.Metadata.ToArray(), model.Map.Metadata.ToArray());
    }

    /// <summary>SHA-256 (16 hex digits) over the sorted digests of all tensors, as torch and onnx load them.</summary>
    [Theory]
    [InlineData("magika_onnx/new.onnx", "7c0a6ed0c14fc91b")]
    [InlineData("yunet_onnx/old.onnx", "4e230fdad9b4f8fe")]
    [InlineData("squeezenet-fp16/model.onnx", "775b54207dd878ef")]
    [InlineData("ultraface-rfb-320/model.onnx", "2af4000fa3b661b4")]
    [InlineData("face_ckpt_pth/old.pth", "64224eb97bacfd63")]
    [InlineData("face_ckpt_pth/new.pth", "94592a5b91db207b")]
    public void Tensors_hold_the_bytes_that_the_frameworks_load(string file, string digest)
    {
        if (!SharedFiles.TryRead($"models/{file}", out var bytes))
            return;
        var model = ModelReader.Read(new MemorySource(bytes));

        var digests = model.Tensors.Select(tensor => Convert.ToHexStringLower(SHA256.HashData(bytes.AsSpan((int)tensor.Offset, (int)tensor.Length))));

        var all = string.Join('\n', digests.Order(StringComparer.Ordinal));
        Assert.Equal(digest, Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(all)))[..16]);
    }

    [Fact]
    public void An_onnx_file_tells_its_signature_and_operator_sets()
    {
        if (!SharedFiles.TryRead("models/silero_vad_onnx/new.onnx", out var bytes))
            return;
        var model = ModelReader.Read(new MemorySource(bytes));

        Assert.Equal(["input: Float32[?, ?]", "state: Float32[2, ?, 128]", "sr: Int64[]"], model.Inputs.Select(input => $"{input}"));
        Assert.Equal(["output: Float32[?, 1]", "stateN: Float32[?, ?, ?]"], model.Outputs.Select(output => $"{output}"));
        Assert.Equal((16L, 8L, "onnxruntime", "spox"), (model.Needs.Opset() ?? 0, model.Needs.FormatVersion ?? 0, model.Needs.Runtime, model.Producer));
        Assert.Contains(model.Needs.Operators, use => use is { Name: "If", Domain: "" });
    }

    [Fact]
    public void Initialisers_listed_as_inputs_are_not_asked_of_a_caller()
    {
        if (!SharedFiles.TryRead("models/squeezenet-fp16/model.onnx", out var bytes))
            return;
        var model = ModelReader.Read(new MemorySource(bytes));

        Assert.Equal(["data_0: Float16[1, 3, 224, 224]"], model.Inputs.Select(input => $"{input}"));
    }

    [Fact]
    public void A_tflite_file_tells_signature_quantisation_and_runtime()
    {
        if (!SharedFiles.TryRead("models/mlperf-tiny-kws/int8.tflite", out var bytes))
            return;
        var model = ModelReader.Read(new MemorySource(bytes));

        Assert.Equal(["input_1: Int8[?, 49, 10, 1]"], model.Inputs.Select(input => $"{input}"));
        Assert.Equal(new Quantisation(0.00390625f, -128), model.Outputs[0].Quantisation);
        Assert.Equal(("tflite", "1.5.0", 3L), (model.Needs.Runtime, model.Needs.MinimumRuntime, model.Needs.FormatVersion ?? 0));
        Assert.Equal(
            ["AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "RESHAPE", "SOFTMAX"],
            model.Needs.Operators.Select(use => use.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_gguf_file_tells_its_architecture_and_turns_dimensions_round()
    {
        if (!SharedFiles.TryRead("models/stories260k-gguf/model.gguf", out var bytes))
            return;
        var model = ModelReader.Read(new MemorySource(bytes));

        Assert.Equal(("llama.cpp", "llama", 3L), (model.Needs.Runtime, model.Needs.Architecture, model.Needs.FormatVersion ?? 0));
        Assert.Equal([512, 64], model.Tensors.Single(tensor => tensor.Name == "token_embd.weight").Shape.ToArray());
        Assert.Contains(model.Map.Metadata, pair => pair.Key == "tokenizer.ggml.tokens" && pair.Value.EndsWith("… 512 items]", StringComparison.Ordinal));
    }

    [Fact]
    public void A_legacy_checkpoint_names_its_tensors_as_the_state_dict_does()
    {
        if (!SharedFiles.TryRead("models/face_ckpt_pth/old.pth", out var bytes))
            return;
        var model = ModelReader.Read(new MemorySource(bytes));

        var first = model.Tensors.Single(tensor => tensor.Name == "base_net.0.0.weight");
        Assert.Equal((ElementType.Float32, 16 * 3 * 3 * 3 * 4L), (first.Type, first.Length));
        Assert.Equal([16, 3, 3, 3], first.Shape.ToArray());
    }

    [Fact]
    public void Models_in_a_task_file_keep_their_own_signature_and_absolute_places()
    {
        if (!SharedFiles.TryRead("models/face_landmarker_task/new.task", out var bytes))
            return;
        var model = ModelReader.Read(new MemorySource(bytes));

        Assert.Equal(["face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite"], model.Parts.Select(part => part.Entry));
        foreach (var part in model.Parts)
        {
            var alone = ModelReader.Read(new MemorySource(bytes.AsMemory((int)part.Offset, (int)part.Length)));
            Assert.Equal(
                alone.Tensors.Select(tensor => MapChecks.Line(tensor with { Offset = tensor.Offset + part.Offset })),
                part.File.Tensors.Select(MapChecks.Line));
            Assert.NotEmpty(part.File.Inputs);
        }
    }
}
