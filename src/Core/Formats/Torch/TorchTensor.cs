using System.Collections.Immutable;

namespace Coppice.Formats.Torch;

/// <summary>A view of a storage, as <c>torch._utils._rebuild_tensor_v2</c> would make it.</summary>
/// <param name="Storage">What it is a view of.</param>
/// <param name="Type">Elements.</param>
/// <param name="First">The first element, counted from the start of the storage.</param>
/// <param name="Shape">Sizes in the order in which the elements lie in memory, outermost first.</param>
/// <param name="Span">Elements from the first to the last; more than the shape has when the view leaves some out.</param>
sealed record TorchTensor(TorchStorage Storage, ElementType Type, long First, ImmutableArray<long> Shape, long Span)
{
    /// <summary>Reads the arguments (storage, offset, sizes, strides, …); null when they are not that.</summary>
    public static TorchTensor? Of(string function, PickleList arguments)
    {
        if (arguments.Items is not [var stored, PickleNumber first, PickleList sizes, PickleList strides, .. var rest] || first.Value < 0)
            return null;
        if (TorchStorage.Of(stored) is not { } storage || Numbers(sizes) is not { } shape || Numbers(strides) is not { } steps || shape.Length != steps.Length)
            return null;
        var type = function == "_rebuild_tensor_v3" && rest is [_, _, PickleGlobal dtype, ..] ? TorchStorage.TypeOfDtype(dtype.Name) : storage.Type;
        return ElementLayout.TryCount(shape, out var count) ? InMemoryOrder(storage, type, first.Value, shape, steps, count) : null;
    }

    static TorchTensor? InMemoryOrder(TorchStorage storage, ElementType type, long first, long[] shape, long[] steps, long count)
    {
        if (count == 0)
            return new(storage, type, first, [.. shape], 0);

        // Sizes of 1 have strides that mean nothing; the others, from the largest stride, must each step over what is inside them.
        var order = Enumerable.Range(0, shape.Length).Where(i => shape[i] != 1).OrderByDescending(i => steps[i]).ToArray();
        var last = (Int128)0;
        var dense = true;
        var inner = 1L;
        for (var i = order.Length - 1; i >= 0; i--)
        {
            dense &= steps[order[i]] == inner;
            inner *= shape[order[i]];
        }
        for (var i = 0; i < shape.Length; i++)
            last += (Int128)(shape[i] - 1) * steps[i];
        if (steps.Any(step => step < 0) || last >= storage.Elements - first)
            return null;

        var inOrder = order.SequenceEqual(order.Order());
        return dense
            ? new(storage, type, first, inOrder ? [.. shape] : [.. order.Select(i => shape[i])], count)
            : new(storage, type, first, [(long)last + 1], (long)last + 1);
    }

    static long[]? Numbers(PickleList list)
    {
        if (list.Items.Count > ReadLimits.Dimensions)
            return null;
        var numbers = new long[list.Items.Count];
        for (var i = 0; i < numbers.Length; i++)
        {
            if (list.Items[i] is not PickleNumber number)
                return null;
            numbers[i] = number.Value;
        }
        return numbers;
    }
}
