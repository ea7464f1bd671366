using Coppice.Formats;
using Coppice.Inference;
using Coppice.Quality;

namespace Coppice.Core.Tests.Quality;

public sealed class AnswerTests
{
    sealed class Result(ElementType type, long[] shape, byte[] bytes) : InferenceResult
    {
        public override int Count => 1;

        public override ElementType TypeOf(int output) => type;

        public override ReadOnlySpan<long> ShapeOf(int output) => shape;

        public override ReadOnlySpan<byte> BytesOf(int output) => bytes;

        protected override void Dispose(bool disposing)
        {
        }
    }

    static Result Floats(long[] shape, params float[] values) => new(ElementType.Float32, shape, System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()).ToArray());

    static Result Whole(params long[] values) => new(ElementType.Int64, [values.Length], System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()).ToArray());

    [Fact]
    public void Rows_agree_when_each_has_its_largest_element_at_the_same_place()
    {
        var answered = Floats([2, 3], 0.1f, 0.7f, 0.2f, 0.5f, 0.3f, 0.2f);

        var same = Answer.Compare(answered, Floats([2, 3], 0.2f, 0.6f, 0.2f, 0.9f, 0.1f, 0f))!.Value;
        var other = Answer.Compare(answered, Floats([2, 3], 0.2f, 0.6f, 0.2f, 0.1f, 0.9f, 0f))!.Value;

        Assert.True(same.Agrees);
        Assert.Equal(0.4, same.Difference, 6);
        Assert.False(other.Agrees);
        Assert.Equal(0.6, other.Difference, 6);
    }

    [Theory]
    [InlineData(100, 100.05, true)] // within a thousandth
    [InlineData(100, 101, false)]
    [InlineData(0.5, 0.5009, true)]
    public void One_value_agrees_within_the_tolerance(float a, float b, bool agrees) => Assert.Equal(agrees, Answer.Compare(Floats([1], a), Floats([1], b))!.Value.Agrees);

    [Fact]
    public void Whole_numbers_agree_when_they_are_equal_and_not_by_their_largest()
    {
        Assert.True(Answer.Compare(Whole(3, 9), Whole(3, 9))!.Value.Agrees);
        Assert.False(Answer.Compare(Whole(3, 9), Whole(4, 9))!.Value.Agrees);
    }

    [Fact]
    public void NaN_where_a_number_was_answered_is_no_agreement_and_NaN_for_NaN_is()
    {
        Assert.Equal((false, double.PositiveInfinity), Answer.Compare(Floats([1], 1), Floats([1], float.NaN)) is { } wrong ? (wrong.Agrees, wrong.Difference) : default);
        Assert.True(Answer.Compare(Floats([1], float.NaN), Floats([1], float.NaN))!.Value.Agrees);
    }

    [Fact]
    public void Answers_of_another_form_are_not_compared()
    {
        Assert.Null(Answer.Compare(Floats([1], 1), Floats([1, 1], 1)));
        Assert.Null(Answer.Compare(Floats([1], 1), Whole(1)));
        Assert.Null(Answer.Compare(new Result(ElementType.String, [1], []), new Result(ElementType.String, [1], [])));
    }
}
