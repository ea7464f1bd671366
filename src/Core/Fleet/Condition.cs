using System.Collections.Immutable;
using System.Globalization;

namespace Coppice.Fleet;

/// <summary>The tree behind a <see cref="Selector"/>.</summary>
abstract record Condition
{
    public abstract bool Holds(FactSet facts);

    /// <summary>The facts and labels that it reads, as they were written.</summary>
    public abstract IEnumerable<string> Names { get; }

    /// <summary>Sets of marks: of each, a device that the condition holds for has at least one.</summary>
    /// <param name="groups">The groups that a selector makes: their labels are on no device.</param>
    public virtual IEnumerable<ImmutableArray<DeviceMark>> Needs(GroupSet groups) => [];

    public sealed record Always : Condition
    {
        public override IEnumerable<string> Names => [];

        public override bool Holds(FactSet facts) => true;
    }

    public sealed record Or(Condition Left, Condition Right) : Condition
    {
        public override IEnumerable<string> Names => Left.Names.Concat(Right.Names);

        public override bool Holds(FactSet facts) => Left.Holds(facts) || Right.Holds(facts);

        public override IEnumerable<ImmutableArray<DeviceMark>> Needs(GroupSet groups) =>
            from left in Left.Needs(groups).Take(1)
            from right in Right.Needs(groups).Take(1)
            select left.Union(right).ToImmutableArray();
    }

    public sealed record And(Condition Left, Condition Right) : Condition
    {
        public override IEnumerable<string> Names => Left.Names.Concat(Right.Names);

        public override bool Holds(FactSet facts) => Left.Holds(facts) && Right.Holds(facts);

        public override IEnumerable<ImmutableArray<DeviceMark>> Needs(GroupSet groups) => Left.Needs(groups).Concat(Right.Needs(groups));
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

        // Of groups alone it is known what a label's value may be.
        public override IEnumerable<ImmutableArray<DeviceMark>> Needs(GroupSet groups) => DeviceGroup.NameIn(Name) is null ? [] : Having(groups, Name, ["true"]);
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

        public override IEnumerable<ImmutableArray<DeviceMark>> Needs(GroupSet groups) => Operator == "=" && Value.IsExact ? Having(groups, Name, [Value.Text]) : [];
    }

    public sealed record In(string Name, ImmutableArray<Operand> Values) : Condition
    {
        public override IEnumerable<string> Names => [Name];

        public override bool Holds(FactSet facts) => facts.Find(Name) is { } found && Values.Any(value => value.Order(found) == 0);

        public override IEnumerable<ImmutableArray<DeviceMark>> Needs(GroupSet groups) => Values.All(value => value.IsExact) ? Having(groups, Name, Values.Select(value => value.Text)) : [];
    }

    /// <summary>What a device needs to have one of the texts under a name.</summary>
    static IEnumerable<ImmutableArray<DeviceMark>> Having(GroupSet groups, string name, IEnumerable<string> texts)
    {
        if (DeviceGroup.NameIn(name) is { } group && groups.RuleOf(group) is { } rule)
            return texts.All(text => text == "true") ? rule.Needs(GroupSet.None) : [];
        var marks = texts.Distinct(StringComparer.Ordinal).Select(text => DeviceMark.Finding(name, text)).ToList();
        return marks.Any(some => some.IsEmpty) ? [] : [[.. marks.SelectMany(some => some)]];
    }
}

/// <summary>A value in a condition: text, and a number where the text is one.</summary>
readonly record struct Operand(string Text, double? Number)
{
    /// <summary>Whether it is equal to its own text only.</summary>
    public bool IsExact => Number is null && DottedNumbers(Text) is null;

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
