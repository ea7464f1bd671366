namespace Coppice.Delta.Tensors;

/// <summary>The contexts of numbers that accompany elements: scales, ratios, factors, corrections. Part of the format.</summary>
static class SideModels
{
    /// <summary>The model of everything but factors.</summary>
    public const byte Slot = 0;
    /// <summary>The model of low-rank factors; its contexts are their expected sizes.</summary>
    public const byte FactorSlot = 1;
    /// <summary>The first model that tensors use for their elements.</summary>
    public const byte FirstElementSlot = 2;
    public const int Slots = 32;

    public const byte RowScale = 0;
    public const byte ColumnScale = 1;
    public const byte Ratio = 2;
    public const byte FactorRowScale = 3;
    public const byte FactorColumnScale = 4;
    public const byte Gap = 5;
    public const byte Correction = 6;
    /// <summary>The step of a block; 32 contexts by the exponent of the old one.</summary>
    public const byte BlockStep = 32;
    /// <summary>The minimum of a block, likewise.</summary>
    public const byte BlockMinimum = 64;
    /// <summary>The scale of a group of codes; 32 contexts for unsigned scales, then 32 for signed ones, by the old one's size and the prediction's place.</summary>
    public const byte GroupScale = 96;
    /// <summary>The minimum of a group of codes; 28 contexts by the change of its scale and the prediction's place.</summary>
    public const byte GroupMinimum = 160;
    /// <summary>The scale of a group where there is no old one.</summary>
    public const byte FirstGroupScale = 188;
    /// <summary>The minimum of a group where there is no old one.</summary>
    public const byte FirstGroupMinimum = 189;
    /// <summary>The exponent of a block whose step is a power of two.</summary>
    public const byte BlockExponent = 190;
    /// <summary>Likewise where there is no old one.</summary>
    public const byte FirstBlockExponent = 191;

    /// <summary>Scales are half octaves; beyond ±4,096 none has a meaning.</summary>
    public static short Clamp(int scale) => (short)Math.Clamp(scale, -4096, 4096);

    /// <summary>Context of a factor whose component and row or column have these sizes.</summary>
    public static byte FactorContext(int component, int line) => (byte)Math.Clamp(component + line, 0, 63);
}
