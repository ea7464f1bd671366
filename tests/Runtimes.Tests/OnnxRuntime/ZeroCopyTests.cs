using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Runtimes.Tests;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

public sealed class ZeroCopyTests
{
    [Fact]
    public void A_run_writes_into_the_callers_buffer_and_sees_inputs_changed_in_place()
    {
        using var session = OrtSession.Load(TinyModel.Add());
        var (a, y) = (new byte[16], new byte[16]);
        using var left = OrtValue.Over(ElementType.Float32, [1, 4], a);
        using var right = OrtValue.Allocate(ElementType.Float32, 1, 4);
        using var sum = OrtValue.Over(ElementType.Float32, [1, 4], y);
        var outputs = new OrtValue?[] { sum };

        for (var round = 1; round <= 3; round++)
        {
            MemoryMarshal.Cast<byte, float>(a.AsSpan()).Fill(round);
            MemoryMarshal.Cast<byte, float>(right.Bytes).Fill(10);
            session.Run([left, right], outputs);
            Assert.Same(sum, outputs[0]);
            Assert.Equal(Enumerable.Repeat(10f + round, 4), MemoryMarshal.Cast<byte, float>(y).ToArray());
        }
    }

    [Fact]
    public void The_port_reads_a_tensor_where_it_lies_each_time()
    {
        using var session = Load(TinyModel.Add());
        var values = new float[4];
        var tensor = Tensor.Of(values, 1, 4);

        for (var round = 1; round <= 3; round++)
        {
            values.AsSpan().Fill(round);
            using var result = session.Run([tensor, tensor]);
            Assert.Equal(Enumerable.Repeat(2f * round, 4), result.Floats(0).ToArray());
        }
    }

    [Fact]
    public void Inputs_of_other_places_and_shapes_never_mix_with_those_of_the_run_before()
    {
        using var session = Load(TinyModel.Pass(TinyModel.Float));
        var random = new Random(7);
        var buffer = new float[64];

        for (var round = 0; round < 200; round++)
        {
            var (start, length) = (random.Next(32), random.Next(32));
            for (var i = 0; i < buffer.Length; i++)
                buffer[i] = random.NextSingle();
            var bytes = MemoryMarshal.AsBytes(buffer.AsSpan(start, length)).ToArray();
            if (round % 16 == 0)
                GC.Collect(); // moves what is not pinned
            using var result = session.Run([Tensor.Of(ElementType.Float32, [length], bytes)]);
            Assert.Equal(bytes, result.BytesOf(0).ToArray());
            Assert.Equal([length], result.ShapeOf(0).ToArray());
        }
    }

    [Fact]
    public void A_binding_feeds_its_output_back_as_input()
    {
        using var session = OrtSession.Load(TinyModel.Add());
        using var one = OrtValue.Over(Tensor.Of([1f, 2, 3, 4], 1, 4));
        using var even = OrtValue.Over(Tensor.Of(new float[4], 1, 4));
        using var odd = OrtValue.Allocate(ElementType.Float32, 1, 4);
        using var forth = new OrtBinding(session);
        using var back = new OrtBinding(session);
        forth.BindInput("a", even);
        forth.BindInput("b", one);
        forth.BindOutput("y", odd);
        back.BindInput("a", odd);
        back.BindInput("b", one);
        back.BindOutput("y", even);

        for (var step = 0; step < 50; step++)
        {
            forth.Run();
            back.Run();
        }

        Assert.Equal([100, 200, 300, 400], MemoryMarshal.Cast<byte, float>(even.Bytes).ToArray());
    }

    [Fact]
    public void A_binding_makes_outputs_whose_shape_is_not_known_before()
    {
        using var session = OrtSession.Load(TinyModel.Pass(TinyModel.Float));
        using var three = OrtValue.Over(Tensor.Of([1f, 2, 3], 3));
        using var binding = new OrtBinding(session);
        binding.BindOutput("y");

        Assert.Contains("no input 'z'; it has x: Float32[-1]", Assert.Throws<InferenceException>(() => binding.BindInput("z", three)).Message, StringComparison.Ordinal);
        Assert.Throws<InferenceException>(() => binding.BindOutput("z"));
        Assert.Throws<InferenceException>(() => binding.Run());
        binding.BindInput("x", three);
        binding.Run();

        using var y = Assert.Single(binding.TakeOutputs());
        Assert.Equal([3], y.Shape.ToArray());
        Assert.Equal([1, 2, 3], MemoryMarshal.Cast<byte, float>(y.Bytes).ToArray());
    }

    [Fact]
    public void External_data_is_found_beside_the_model_in_a_folder_and_in_memory()
    {
        using var temporary = new TemporaryFolder();
        var model = TinyModel.MatMul(32, 0, file: "weights.bin");
        var weights = new float[32 * 32];
        weights.AsSpan().Fill(0.5f);
        var data = MemoryMarshal.AsBytes(weights.AsSpan()).ToArray();
        var path = temporary.Write("model.onnx", model);
        temporary.Write("weights.bin", data);
        OrtSession[] sessions =
        [
            OrtSession.Load(path),
            OrtSession.Load(path, new() { MapWeights = true }),
            OrtSession.Load(model, new() { ExternalDataFolder = temporary.Path }),
            OrtSession.Load(model, new() { ExternalFiles = new Dictionary<string, ReadOnlyMemory<byte>> { ["weights.bin"] = data } }),
        ];

        foreach (var session in sessions)
        {
            using (session)
            using (var x = OrtValue.Over(Tensor.Of(Enumerable.Repeat(1f, 32).ToArray(), 1, 32)))
            {
                var outputs = new OrtValue?[1];
                session.Run([x], outputs);
                using var y = outputs[0]!;
                Assert.Equal(Enumerable.Repeat(16f, 32), MemoryMarshal.Cast<byte, float>(y.Bytes).ToArray());
            }
        }
        File.Delete(temporary.File("weights.bin"));
        Assert.Contains("weights.bin", Assert.Throws<InferenceException>(() => OrtSession.Load(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Mapped_weights_stay_in_the_file()
    {
        if (!OperatingSystem.IsLinux())
            return; // only Linux tells what is mapped
        using var temporary = new TemporaryFolder();
        var path = temporary.Write("model.onnx", TinyModel.MatMul(256, 0, file: "weights.bin"));
        temporary.Write("weights.bin", new byte[4 * 256 * 256]);

        using var copied = OrtSession.Load(path);
        Assert.DoesNotContain(temporary.File("weights.bin"), File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        using var mapped = OrtSession.Load(path, new() { MapWeights = true });
        Assert.Contains(temporary.File("weights.bin"), File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
    }

    static IModelSession Load(byte[] model) => new OnnxRuntime().Load(ModelSource.InMemory(ModelFormat.Onnx, model), SessionLimits.None);
}
