using Coppice.Fleet;

namespace Coppice.Core.Tests.Fleet;

public sealed class SelectorTests
{
    static readonly FactSet Till = new(new Dictionary<string, string>
    {
        ["os"] = "linux",
        ["ram"] = "4000000000",
        ["runtime.onnxruntime"] = "1.30.0",
        ["label.site"] = "oslo",
        ["label.ring"] = "2",
        ["label.frozen"] = "false",
    });

    [Theory]
    [InlineData("", true)]
    [InlineData("site = oslo", true)]
    [InlineData("site = \"oslo\" and ram >= 2GB and not label.frozen", true)]
    [InlineData("label.site=oslo", true)]
    [InlineData("site != oslo", false)]
    [InlineData("site in (bergen, oslo)", true)]
    [InlineData("site in (bergen)", false)]
    [InlineData("not site in (bergen)", true)]
    [InlineData("ram > 4GB", false)]
    [InlineData("ram > 3.5GiB", true)]
    [InlineData("ring < 10", true)] // as numbers; as text "2" would come after "10"
    [InlineData("runtime.onnxruntime >= 1.9", true)] // as versions
    [InlineData("runtime.onnxruntime < 1.30.0", false)]
    [InlineData("site", true)]
    [InlineData("frozen", false)]
    [InlineData("missing", false)]
    [InlineData("missing = x", false)]
    [InlineData("missing != x", false)] // nothing is known of it
    [InlineData("not missing = x", true)]
    [InlineData("os = windows or os = linux and site = oslo", true)]
    [InlineData("(os = windows or os = linux) and site = bergen", false)]
    [InlineData("os = linux or site = bergen and site = bergen", true)] // and binds tighter
    public void A_condition_holds_or_not(string text, bool holds)
    {
        Assert.True(Selector.TryParse(text, out var selector, out var problems), string.Join("; ", problems));
        Assert.Equal(holds, selector.Matches(Till));
        Assert.Equal(text, selector.ToString());
    }

    [Theory]
    [InlineData("site =", 7)]
    [InlineData("site = oslo and", 16)]
    [InlineData("(site = oslo", 13)]
    [InlineData("site in oslo", 9)]
    [InlineData("site in (oslo", 14)]
    [InlineData("site = \"oslo", 8)]
    [InlineData("site = oslo bergen", 13)]
    [InlineData("= oslo", 1)]
    public void A_fault_is_named_with_its_place(string text, int character)
    {
        Assert.False(Selector.TryParse(text, out _, out var problems));
        Assert.Equal($"selector, character {character}", Assert.Single(problems).Where);
    }

    [Fact]
    public void Deep_nesting_and_long_text_are_refused_not_followed()
    {
        Assert.False(Selector.TryParse(new string('(', 1000) + "a" + new string(')', 1000), out _, out _));
        Assert.False(Selector.TryParse(string.Concat(Enumerable.Repeat("not ", 400)) + "a", out _, out _));
        Assert.False(Selector.TryParse(new string('a', 5000), out _, out _));
    }
}
