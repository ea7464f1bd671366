using Coppice.Fleet;

namespace Coppice.Core.Tests.Fleet;

public sealed class SelectorWithinTests
{
    static Selector Read(string text) => Selector.TryParse(text, out var selector, out _) ? selector : throw new ArgumentException(text);

    [Theory]
    [InlineData("", "site = oslo", false)]
    [InlineData("site = oslo", "site = oslo", true)]
    [InlineData("(site = oslo) and (ram > 1GB)", "site = oslo", true)]
    [InlineData("(site = oslo) and (a) or (b)", "site = oslo", false)]
    [InlineData("(site = oslo) and ((a) or (b))", "site = oslo", true)]
    [InlineData("(site = oslo) and ()", "site = oslo", false)]
    [InlineData("(site = oslo) and (a = \")\")", "site = oslo", true)]
    [InlineData("site = rome", "site = oslo", false)]
    [InlineData("anything", "", true)]
    public void A_condition_is_within_another_only_by_the_form_that_confines_it(string text, string bounds, bool within) =>
        Assert.Equal(within, Selector.IsWithin(text, Read(bounds)));

    [Fact]
    public void Both_and_either_hold_as_their_texts_say()
    {
        var (a, b) = (Read("site = oslo"), Read("line = 3 or line = 4"));
        FactSet[] sets = [new([new("site", "oslo")]), new([new("line", "4")]), new([new("site", "oslo"), new("line", "3")]), FactSet.Empty];

        foreach (var facts in sets)
        {
            Assert.Equal(a.Matches(facts) && b.Matches(facts), Selector.Both(a, b).Matches(facts));
            Assert.Equal(a.Matches(facts) || b.Matches(facts), Selector.Either(a, b).Matches(facts));
            Assert.Equal(Read(Selector.Both(a, b).ToString()).Matches(facts), Selector.Both(a, b).Matches(facts));
            Assert.Equal(Read(Selector.Either(a, b).ToString()).Matches(facts), Selector.Either(a, b).Matches(facts));
        }

        Assert.True(Selector.IsWithin(Selector.Both(a, b).ToString(), a));
        Assert.Same(a, Selector.Both(a, Selector.All));
        Assert.Same(Selector.All, Selector.Either(a, Selector.All));
    }
}
