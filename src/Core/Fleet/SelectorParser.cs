using System.Collections.Immutable;

namespace Coppice.Fleet;

/// <summary>Recursive descent over the grammar in <see cref="Selector"/>'s remarks.</summary>
ref struct SelectorParser
{
    /// <summary>Deepest nesting of parentheses and nots: a condition comes from outside, and each level is a stack frame.</summary>
    const int MaxDepth = 32;

    readonly ReadOnlySpan<char> text;
    int position;
    int depth;
    string? fault;
    int faultAt;

    SelectorParser(ReadOnlySpan<char> text) => this.text = text;

    /// <summary>The condition, or null with the first problem.</summary>
    public static Condition? Parse(string text, out Problem problem)
    {
        var parser = new SelectorParser(text);
        var condition = parser.Or();
        parser.SkipSpace();
        if (parser.fault is null && parser.position < text.Length)
            parser.Fail("expected 'and', 'or' or the end");
        problem = parser.fault is null ? default : new($"selector, character {parser.faultAt + 1}", $"{parser.fault} in: {text}");
        return parser.fault is null ? condition : null;
    }

    Condition Or()
    {
        var left = And();
        while (fault is null && Word("or"))
            left = new Condition.Or(left, And());
        return left;
    }

    Condition And()
    {
        var left = Term();
        while (fault is null && Word("and"))
            left = new Condition.And(left, Term());
        return left;
    }

    Condition Term()
    {
        if (++depth > MaxDepth)
            return Fail($"nested deeper than {MaxDepth}; simplify the condition");
        var term = Word("not") ? new Condition.Not(Term()) : Symbol("(") ? Closed(Or()) : Comparison();
        depth--;
        return term;
    }

    Condition Closed(Condition inner) => fault is not null || Symbol(")") ? inner : Fail("expected ')'");

    Condition Comparison()
    {
        var name = Name();
        if (name.Length == 0)
            return Fail("expected the name of a fact or label, such as site or label.site");
        if (Word("in"))
            return Members(name);
        foreach (var comparison in (ReadOnlySpan<string>)["!=", "<=", ">=", "=", "<", ">"])
        {
            if (Symbol(comparison))
                return Value() is { } value ? new Condition.Compare(name, comparison, value) : Fail($"expected a value after '{comparison}'");
        }

        return new Condition.Present(name);
    }

    Condition Members(string name)
    {
        if (!Symbol("("))
            return Fail("expected '(' after 'in'");
        var values = ImmutableArray.CreateBuilder<Operand>();
        do
        {
            if (Value() is not { } value)
                return Fail("expected a value in the list");
            values.Add(value);
        }
        while (Symbol(","));
        return Symbol(")") ? new Condition.In(name, values.ToImmutable()) : Fail("expected ',' or ')'");
    }

    Operand? Value()
    {
        SkipSpace();
        if (position < text.Length && text[position] == '"')
        {
            var end = text[(position + 1)..].IndexOf('"');
            if (end < 0)
                return null;
            var quoted = text.Slice(position + 1, end).ToString();
            position += end + 2;
            return new(quoted, null);
        }

        var word = Name();
        return word.Length == 0 ? null : new(word, ByteSize.TryParse(word, out var number) ? number : null);
    }

    string Name()
    {
        SkipSpace();
        var start = position;
        while (position < text.Length && (char.IsLetterOrDigit(text[position]) || text[position] is '.' or '_' or '-' or '/' or ':' or '+'))
            position++;
        return text[start..position].ToString();
    }

    bool Word(string word)
    {
        SkipSpace();
        var rest = text[position..];
        if (!rest.StartsWith(word, StringComparison.Ordinal) || (rest.Length > word.Length && !char.IsWhiteSpace(rest[word.Length]) && rest[word.Length] is not ('(' or ')')))
            return false;
        position += word.Length;
        return true;
    }

    bool Symbol(string symbol)
    {
        SkipSpace();
        if (!text[position..].StartsWith(symbol, StringComparison.Ordinal))
            return false;
        position += symbol.Length;
        return true;
    }

    void SkipSpace()
    {
        while (position < text.Length && char.IsWhiteSpace(text[position]))
            position++;
    }

    Condition.Always Fail(string what)
    {
        if (fault is null)
            (fault, faultAt) = (what, position);
        return new();
    }
}
