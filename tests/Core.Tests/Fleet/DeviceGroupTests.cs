using Coppice.Fleet;

namespace Coppice.Core.Tests.Fleet;

public sealed class DeviceGroupTests
{
    static Selector Of(string text)
    {
        Assert.True(Selector.TryParse(text, out var selector, out _));
        return selector;
    }

    static readonly GroupSet Groups = new([KeyValuePair.Create("large", Of("ram >= 4GB")), KeyValuePair.Create("oslo", Of("site = oslo"))]);

    [Fact]
    public void A_device_is_in_the_groups_whose_selector_holds_and_selectors_know_them_by_name()
    {
        var facts = Groups.Over(new([KeyValuePair.Create("ram", "8000000000"), KeyValuePair.Create("label.site", "bergen")]));
        Assert.True(Of("group.large and not group.oslo").Matches(facts));
        Assert.False(Of("group.oslo").Matches(facts));
        Assert.Same(FactSet.Empty, Groups.Over(FactSet.Empty));
    }

    [Theory]
    [InlineData("canaries", "site = oslo and ram >= 2GB", null)]
    [InlineData("canaries", null, null)]
    [InlineData("Canaries", null, "name")]
    [InlineData("a.b", null, "name")]
    [InlineData("", null, "name")]
    [InlineData("a", "", "selector")]
    [InlineData("a", "site =", "selector, character 7")]
    [InlineData("a", "ram > 1 and (x in (1, 2) or not group.b)", "selector")]
    [InlineData("a", "label.group.b = true", "selector")]
    public void A_group_is_refused_at_what_is_wrong(string name, string? selector, string? where) =>
        Assert.Equal(where is null ? [] : [where], DeviceGroup.Check(name, selector, "").Select(problem => problem.Where));

    [Fact]
    public void The_names_that_a_selector_reads_are_all_of_them() =>
        Assert.Equal(["a", "b", "c", "d"], Of("a = 1 or b in (1, 2) and not (c or d < 3)").Names);
}
