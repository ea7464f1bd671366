using System.Collections.Immutable;
using System.Globalization;

namespace Coppice.Fleet;

/// <summary>The tree behind a <see cref="Selector"/>.</summary>
abstract record Condition
{
    public abstract bool Holds(FactSet facts);

    /// <summary>The facts and labels that it reads, as they were written.</summary>
    public abstract IEnumerable<string> Names { get; }

    public sealed record Always : Condition
    {
        public override IEnumerable<string> Names => [];

        public override bool Holds(FactSet facts) => true;
    }

    public sealed record Or(Condition Left, Condition Right) : Condition
    {
        public override IEnumerable<string> Names => Left.Names.Concat(Right.Names);

        public override bool Holds(FactSet facts) => Left.Holds(facts) || Right.Holds(facts);
    }

    public sealed record And(Condition Left, Condition Right) : Condition
    {
        public override IEnumerable<string> Names => Left.Names.Concat(Right.Names);

        public override bool Holds(FactSet facts) => Left.Holds(facts) && Right.Holds(facts);
    }

    public sealed record Not(Condition Inner) : Condition
    {
        public override IEnumerable<string> Names => Inner.Names;

        public override bool Holds(FactSet facts) => !Inner.Holds(facts);
    }

    public sealed record Present(string Name) : Condition
    {
        public override IEnumerable<string> Names => [Name];

        public override bool Holds(FactSet facts) => facts.Find(Name) is not (null or "" or "false" or "0");
    }

    public sealed record Compare(string Name, string Operator, Operand Value) : Condition
    {
        public override IEnumerable<string> Names => [Name];

        public override bool Holds(FactSet facts)
        {
            if (facts.Find(Name) is not { } found)
                return false;
            var order = Value.Order(found);
            return Operator switch
            {
                "=" => order == 0,
                "!=" => order != 0,
                "<" => order < 0,
                "<=" => order <= 0,
                ">" => order > 0,
                _ => order >= 0,
            };
        }
    }

    public sealed record In(string Name, ImmutableArray<Operand> Values) : Condition
    {
        public override IEnumerable<string> Names => [Name];

        public override bool Holds(FactSet facts) => facts.Find(Name) is { } found && Values.Any(value => value.Order(found) == 0);
    }
}

/// <summary>A value in a condition: text, and a number where the text is one.</summary>
readonly record struct Operand(string Text, double? Number)
{
    /// <summary>How a device's value stands to this one: below 0, 0 or above 0, in IComparable's sense.</summary>
    public int Order(string found)
    {
        if (Number is { } wanted && double.TryParse(found, NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
            return number.CompareTo(wanted);
        if (DottedNumbers(found) is { } a && DottedNumbers(Text) is { } b)
            return Compare(a, b);
        return string.CompareOrdinal(found, Text);
    }

    /// <summary>1.30 and 1.30.0 are versions here; a runtime's need not be semantic ones.</summary>
    static long[]? DottedNumbers(string text)
    {
        var parts = text.Split('.');
        if (parts.Length is < 2 or > 4)
            return null;
        var numbers = new long[parts.Length];
        for (var i = 0; i < parts.Length; i++)
        {
            if (!long.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out numbers[i]))
                return null;
        }

        return numbers;
    }

    static int Compare(long[] a, long[] b)
    {
        for (var i = 0; i < Math.Max(a.Length, b.Length); i++)
        {
            var order = (i < a.Length ? a[i] : 0).CompareTo(i < b.Length ? b[i] : 0);
            if (order != 0)
                return order;
        }

        return 0;
    }
}
