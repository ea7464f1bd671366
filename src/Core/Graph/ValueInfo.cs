using System.Collections.Immutable;
using Coppice.Formats;

namespace Coppice.Graph;

/// <summary>The name, element type and shape of a value.</summary>
/// <param name="Name">As nodes refer to it.</param>
/// <param name="Type">Element type; only tensors are described.</param>
/// <param name="Shape">Outermost first; empty for a scalar.</param>
public sealed record ValueInfo(string Name, ElementType Type, ImmutableArray<Dimension> Shape)
{
    /// <summary>For people.</summary>
    public string DocString { get; init; } = "";

    /// <summary>As <c>x: Float32[batch, 32]</c>.</summary>
    public override string ToString() => $"{Name}: {Type}[{string.Join(", ", Shape)}]";
}

/// <summary>One dimension of a shape: a size, a name that stands for the same size wherever it occurs, or neither when it is not known.</summary>
public readonly record struct Dimension
{
    readonly long sizePlusOne; // so that default is the unknown dimension, not the size 0

    Dimension(long sizePlusOne, string? symbol) => (this.sizePlusOne, Symbol) = (sizePlusOne, symbol);

    /// <summary>The size, from 0; null when it is only known at a run.</summary>
    public long? Size => sizePlusOne == 0 ? null : sizePlusOne - 1;

    /// <summary>ONNX's dim_param: <c>batch</c>; null for a size and for the unknown dimension.</summary>
    public string? Symbol { get; }

    /// <summary>A dimension of which nothing is known before a run.</summary>
    public static Dimension Unknown => default;

    /// <summary>A dimension of a known size.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is negative or 2⁶³ - 1.</exception>
    public static Dimension Of(long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        ArgumentOutOfRangeException.ThrowIfEqual(size, long.MaxValue);
        return new(size + 1, null);
    }

    /// <summary>A named dimension, whose size every run decides.</summary>
    /// <exception cref="ArgumentException">The name is empty.</exception>
    public static Dimension Of(string symbol)
    {
        ArgumentException.ThrowIfNullOrEmpty(symbol);
        return new(0, symbol);
    }

    /// <summary>A size where a dimension is wanted.</summary>
    public static implicit operator Dimension(long size) => Of(size);

    /// <summary>A name where a dimension is wanted.</summary>
    public static implicit operator Dimension(string symbol) => Of(symbol);

    /// <summary>The size, the name, or <c>?</c>.</summary>
    public override string ToString() => Size?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? Symbol ?? "?";
}
