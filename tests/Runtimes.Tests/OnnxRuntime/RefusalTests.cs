using Coppice.Formats;
using Coppice.Inference;
using Coppice.Runtimes.Tests;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

/// <summary>What does not fit is refused with a reason, and nothing is broken by it.</summary>
public sealed class RefusalTests
{
    [Fact]
    public void Inputs_that_do_not_fit_are_named_and_the_session_goes_on()
    {
        using var session = Load(TinyModel.Add());
        var four = Tensor.Of([1f, 2, 3, 4], 1, 4);
        (Tensor[] Inputs, string Says)[] wrong =
        [
            ([four], "1 inputs were given; the model takes 2: a: Float32[1, 4]; b: Float32[1, 4]"),
            ([four, four, four], "3 inputs were given"),
            ([four, Tensor.Of([1f, 2, 3, 4], 4)], "input 'b' has the shape [4]"),
            ([four, Tensor.Of([1f, 2, 3, 4], 2, 2)], "input 'b' has the shape [2, 2]"),
            ([Tensor.Of([1L, 2, 3, 4], 1, 4), four], "input 'a' is Int64; the model takes a: Float32[1, 4]"),
            ([default, four], "input 'a' is Unknown"),
        ];

        foreach (var (inputs, says) in wrong)
        {
            var refusal = Assert.Throws<InferenceException>(() => session.Run(inputs));
            Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
            Assert.Equal(InferenceFault.Input, refusal.Fault);
        }
        using var result = session.Run([four, four]);
        Assert.Equal([2, 4, 6, 8], result.Floats(0).ToArray());
    }

    [Fact]
    public void Values_that_do_not_fit_are_refused_by_the_session_itself_too()
    {
        using var session = OrtSession.Load(TinyModel.Add());
        using var four = OrtValue.Over(Tensor.Of([1f, 2, 3, 4], 1, 4));
        using var five = OrtValue.Over(Tensor.Of([1f, 2, 3, 4, 5], 1, 5));
        using var longs = OrtValue.Over(Tensor.Of([1L, 2, 3, 4], 1, 4));
        var outputs = new OrtValue?[1];

        Assert.Throws<ArgumentException>(() => session.Run([four], outputs));
        Assert.Contains("index: 1 Got: 5 Expected: 4", Assert.Throws<InferenceException>(() => session.Run([four, five], outputs)).Message, StringComparison.Ordinal);
        Assert.Contains("Unexpected input data type", Assert.Throws<InferenceException>(() => session.Run([four, longs], outputs)).Message, StringComparison.Ordinal);
        Assert.Throws<InferenceException>(() => session.Run([four, four], new OrtValue?[] { five }));
        Assert.Null(outputs[0]);

        session.Run([four, four], outputs);
        outputs[0]!.Dispose();
    }

    [Fact]
    public void A_run_that_fails_inside_the_model_says_where_and_the_next_runs()
    {
        using var session = Load(TinyModel.Gather());
        var x = Tensor.Of([1f, 2, 3], 3);

        var refusal = Assert.Throws<InferenceException>(() => session.Run([x, Tensor.Of([9L])]));

        Assert.Contains("Gather", refusal.Message, StringComparison.Ordinal);
        using var result = session.Run([x, Tensor.Of([2L])]);
        Assert.Equal([3], result.Floats(0).ToArray());
        Assert.Equal(0, result.ShapeOf(0).Length);
    }

    [Fact]
    public void A_model_cut_short_at_any_byte_is_refused_or_runs_and_never_ends_the_process()
    {
        var model = TinyModel.MatMul(4, 1);

        for (var length = 0; length < model.Length; length++)
            Try(model[..length]);
        Assert.Throws<InferenceException>(() => Load(model[..(model.Length / 2)]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_model_with_damaged_bytes_is_refused_or_runs_and_never_ends_the_process(int seed)
    {
        var random = new Random(seed);
        var model = TinyModel.MatMul(4, 1);

        for (var round = 0; round < 300; round++)
        {
            var damaged = model.ToArray();
            for (var hits = random.Next(1, 4); hits > 0; hits--)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            Try(damaged);
        }
    }

    [Fact]
    public void What_is_no_model_is_refused_with_a_reason()
    {
        using var temporary = new TemporaryFolder();
        var text = temporary.Write("model.onnx", "<html>404 Not Found</html>"u8);

        var refusal = Assert.Throws<InferenceException>(() => new OnnxRuntime().Load(ModelSource.AtPath(ModelFormat.Onnx, text), SessionLimits.None));
        Assert.Contains(text, refusal.Message, StringComparison.Ordinal);
        Assert.Contains("code 7, InvalidProtobuf", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("fetch it again", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(InferenceFault.Model, refusal.Fault);

        Assert.Contains("no model file", Assert.Throws<InferenceException>(() => OrtSession.Load(temporary.File("none.onnx"))).Message, StringComparison.Ordinal);
        Assert.Contains("no model file", Assert.Throws<InferenceException>(() => OrtSession.Load(temporary.Path)).Message, StringComparison.Ordinal);
        Assert.Contains("no bytes", Assert.Throws<InferenceException>(() => Load([])).Message, StringComparison.Ordinal);
        Assert.Contains("not Gguf", Assert.Throws<InferenceException>(() => new OnnxRuntime().Load(ModelSource.AtPath(ModelFormat.Gguf, text), SessionLimits.None)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_sequence_is_refused_with_the_way_out()
    {
        var refusal = Assert.Throws<InferenceException>(() => Load(TinyModel.Sequence()));

        Assert.Contains("the output 'y' is a sequence", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("zipmap", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_that_contradict_each_other_are_refused()
    {
        Assert.Throws<ArgumentException>(() => OrtSession.Load(TinyModel.Add(), new() { Arena = false, ArenaLimitBytes = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => OrtSession.Load(TinyModel.Add(), new() { IntraOpThreads = -1 }));
        Assert.Throws<ArgumentException>(() => OrtSession.Load(TinyModel.Add(), new() { Config = new Dictionary<string, string> { ["a\0b"] = "1" } }));
    }

    [Fact]
    public void Block_types_and_wrong_lengths_make_no_tensor()
    {
        Assert.Throws<ArgumentException>(() => OrtValue.Allocate(ElementType.Q8_0, 32));
        Assert.Throws<ArgumentException>(() => OrtValue.Over(ElementType.Float32, [2, 2], new byte[15]));
        Assert.Throws<ArgumentException>(() => Tensor.Of(["a", null!], 2));
        Assert.Throws<ArgumentException>(() => Tensor.Of([1f, 2], 3));
    }

    static void Try(byte[] model)
    {
        try
        {
            using var session = Load(model);
            if (session.Inputs is [{ Type: ElementType.Float32, Shape: [_, 4] }])
            {
                using var result = session.Run([Tensor.Of([1f, 2, 3, 4], 1, 4)]);
                _ = result.BytesOf(0).Length;
            }
        }
        catch (InferenceException refusal)
        {
            Assert.NotEmpty(refusal.Message);
        }
    }

    static IModelSession Load(byte[] model) => new OnnxRuntime().Load(ModelSource.InMemory(ModelFormat.Onnx, model), SessionLimits.None);
}
