using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

public sealed class ElementTypeTests
{
    /// <summary>The type, its number in onnx.proto's TensorProto.DataType, and an operator with a kernel for it.</summary>
    public static TheoryData<ElementType, int, string> Types => new()
    {
        { ElementType.Float32, 1, "Identity" }, { ElementType.UInt8, 2, "Identity" }, { ElementType.Int8, 3, "Identity" },
        { ElementType.UInt16, 4, "Identity" }, { ElementType.Int16, 5, "Identity" }, { ElementType.Int32, 6, "Identity" },
        { ElementType.Int64, 7, "Identity" }, { ElementType.Bool, 9, "Identity" }, { ElementType.Float16, 10, "Identity" },
        { ElementType.Float64, 11, "Identity" }, { ElementType.UInt32, 12, "Identity" }, { ElementType.UInt64, 13, "Identity" },
        { ElementType.BFloat16, 16, "Identity" }, { ElementType.Float8E4M3FN, 17, "Identity" }, { ElementType.Float8E4M3FNUZ, 18, "Identity" },
        { ElementType.Float8E5M2, 19, "Identity" }, { ElementType.Float8E5M2FNUZ, 20, "Identity" },
        { ElementType.UInt4, 21, "Transpose" }, { ElementType.Int4, 22, "Transpose" }, { ElementType.UInt2, 25, "Transpose" }, { ElementType.Int2, 26, "Transpose" },
    };

    [Theory, MemberData(nameof(Types))]
    public void Every_type_goes_through_a_model_bit_for_bit(ElementType type, int number, string op)
    {
        const int elements = 8; // whole bytes for the types below eight bits too
        var bytes = new byte[elements * type.BitsPerElement() / 8];
        for (var i = 0; i < bytes.Length; i++)
            bytes[i] = type == ElementType.Bool ? (byte)(i % 2) : (byte)(i * 37 + 5);
        using var session = Session(TinyModel.Pass(number, op, opset: op == "Identity" ? 23 : 25, irVersion: 13));

        using var result = session.Run([Tensor.Of(type, [elements], bytes)]);

        Assert.Equal(type, session.Inputs[0].Type);
        Assert.Equal(type, result.TypeOf(0));
        Assert.Equal([elements], result.ShapeOf(0).ToArray());
        Assert.Equal(bytes, result.BytesOf(0).ToArray());
    }

    [Fact]
    public void Exponents_of_eight_bits_go_in_and_come_out_as_powers_of_two()
    {
        using var session = Session(TinyModel.ToFloat(24));

        using var result = session.Run([Tensor.Of(ElementType.Float8E8M0, [3], new byte[] { 127, 128, 120 })]);

        Assert.Equal([1, 2, 1 / 128f], result.Floats(0).ToArray());
    }

    [Theory]
    [InlineData(23)] // float4e2m1: known, but without kernels on the CPU
    [InlineData(14)] // complex64: not a tensor type of ONNX Runtime
    [InlineData(15)] // complex128
    public void A_type_that_the_library_cannot_compute_is_refused_when_the_model_is_loaded(int number)
    {
        var refusal = Assert.Throws<InferenceException>(() => Session(TinyModel.Pass(number, opset: 25, irVersion: 13)));

        Assert.Equal(InferenceFault.Model, refusal.Fault);
    }

    [Fact]
    public void Strings_of_any_text_go_through_a_model()
    {
        string[] texts = ["", "one", "größer 木 🌳", "a\0b", new('x', 100_000)];
        using var session = Session(TinyModel.Pass(TinyModel.String));

        using var result = session.Run([Tensor.Of(texts, 5)]);

        Assert.Equal(texts, result.StringsOf(0));
        Assert.Throws<InvalidOperationException>(() => result.BytesOf(0).Length);
        Assert.Throws<InvalidOperationException>(() => result.Floats(0).Length);
    }

    [Theory]
    [InlineData(ElementType.Float32, TinyModel.Float)]
    [InlineData(ElementType.String, TinyModel.String)]
    public void A_tensor_without_elements_goes_through_a_model(ElementType type, int number)
    {
        using var session = Session(TinyModel.Pass(number));

        using var result = session.Run([type == ElementType.String ? Tensor.Of(Array.Empty<string>(), 0) : Tensor.Of(Array.Empty<float>(), 0)]);

        Assert.Equal([0], result.ShapeOf(0).ToArray());
        if (type == ElementType.String)
            Assert.Empty(result.StringsOf(0));
        else
            Assert.Equal(0, result.Floats(0).Length);
    }

    [Fact]
    public void An_odd_number_of_four_bit_elements_keeps_its_last_byte()
    {
        using var session = Session(TinyModel.Pass(22, "Transpose"));

        using var result = session.Run([Tensor.Of(ElementType.Int4, [3], new byte[] { 0x21, 0x07 })]);

        Assert.Equal([0x21, 0x07], result.BytesOf(0).ToArray());
    }

    [Fact]
    public void A_view_of_another_type_is_refused()
    {
        using var session = Session(TinyModel.Pass(TinyModel.Int64));

        using var result = session.Run([Tensor.Of([1L, 2], 2)]);

        Assert.Equal([1L, 2], result.Values<long>(0).ToArray());
        Assert.Contains("Int64", Assert.Throws<InvalidOperationException>(() => result.Floats(0).Length).Message, StringComparison.Ordinal);
    }

    static IModelSession Session(byte[] model) => new OnnxRuntime().Load(ModelSource.InMemory(ModelFormat.Onnx, model), SessionLimits.None);
}
