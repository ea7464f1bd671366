namespace Coppice.Delta.Bytes;

/// <summary>What a byte is predicted from. A frame names the ones it uses; fewer are faster.</summary>
[Flags]
enum LiteralContexts
{
    /// <summary>The place in an element of eight bytes.</summary>
    Phase = 1 << 0,
    Order1 = 1 << 1,
    Order2 = 1 << 2,
    Order3 = 1 << 3,
    Order4 = 1 << 4,
    Order6 = 1 << 5,
    /// <summary>The letters and digits since the last other byte.</summary>
    Word = 1 << 6,
    /// <summary>The same byte of the element before.</summary>
    Element = 1 << 7,
    /// <summary>The bytes two and three back.</summary>
    Skip = 1 << 8,
    /// <summary>The byte one row above.</summary>
    Row = 1 << 9,
    /// <summary>Two bytes above and the byte before.</summary>
    RowPair = 1 << 10,
    /// <summary>The old byte at this place, and whether old bytes have been right.</summary>
    Old = 1 << 11,
    /// <summary>The old byte plus the last difference.</summary>
    OldMoved = 1 << 12,
    /// <summary>The old byte, its neighbours and the byte before.</summary>
    OldPair = 1 << 13,
    /// <summary>The old byte and the last two differences.</summary>
    OldChange = 1 << 14,
    /// <summary>What followed the last time the same six bytes came in this frame.</summary>
    Repeat = 1 << 15,
}

/// <summary>How a frame's literals are modelled; stored in the frame.</summary>
/// <param name="Contexts">What bytes are predicted from.</param>
/// <param name="Element">Bytes of an element, 1, 2, 4 or 8.</param>
/// <param name="Row">Bytes of a row, 1 to 65,535.</param>
readonly record struct LiteralShape(LiteralContexts Contexts, int Element, int Row)
{
    public const LiteralContexts Dense = LiteralContexts.Phase | LiteralContexts.Order1 | LiteralContexts.Element | LiteralContexts.Old | LiteralContexts.OldMoved;

    public const LiteralContexts Text = LiteralContexts.Phase | LiteralContexts.Order1 | LiteralContexts.Order2 | LiteralContexts.Order3
        | LiteralContexts.Order4 | LiteralContexts.Order6 | LiteralContexts.Word | LiteralContexts.Repeat | LiteralContexts.Old | LiteralContexts.OldPair;

    public const LiteralContexts Mixed = Text | LiteralContexts.Element | LiteralContexts.Skip;

    public const LiteralContexts Weights = LiteralContexts.Phase | LiteralContexts.Order1 | LiteralContexts.Order2 | LiteralContexts.Order3 | LiteralContexts.Element
        | LiteralContexts.Skip | LiteralContexts.Row | LiteralContexts.RowPair | LiteralContexts.Repeat;

    public const LiteralContexts Changes = LiteralContexts.Phase | LiteralContexts.Order1 | LiteralContexts.Order2 | LiteralContexts.Element
        | LiteralContexts.Old | LiteralContexts.OldMoved | LiteralContexts.OldPair | LiteralContexts.OldChange;

    /// <summary>Whether <see cref="Row"/> means anything.</summary>
    public bool NeedsRow => (Contexts & (LiteralContexts.Row | LiteralContexts.RowPair)) != 0;
}
