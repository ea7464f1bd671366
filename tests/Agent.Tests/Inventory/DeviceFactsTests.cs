using Coppice.Agent.Inventory;
using Coppice.Agent.Tests.Storage;
using Coppice.Fleet;

namespace Coppice.Agent.Tests.Inventory;

public sealed class DeviceFactsTests
{
    static DeviceFacts Facts(params string[] withheld) => new(new LossyDisk(1), [], "3.1.0", new Dictionary<string, string> { ["line"] = "7" }) { Withheld = [.. withheld] };

    [Fact]
    public void What_is_withheld_is_told_by_name_alone_and_decided_by_all_the_same()
    {
        var facts = Facts("ram*", "line", "nothing.of.this.name");

        var told = facts.Told();
        Assert.DoesNotContain(told.Keys, name => name.StartsWith("ram", StringComparison.Ordinal) || name == "line");
        Assert.Equal("line,ram,ram.free,ram.total", told[FactSet.Withheld]);
        Assert.Equal("3.1.0", told["app"]);
        Assert.True(Selector.TryParse("line = 7 and ram > 1", out var selector, out _));
        Assert.True(selector.Matches(facts.Now()));
        Assert.False(selector.Matches(new(told)));
    }

    [Fact]
    public void Servers_index_what_was_given_and_nothing_that_is_measured() =>
        Assert.Equal([new("line", "7")], DeviceMark.Of(Facts("cpus").Told(), []));

    [Fact]
    public void Where_nothing_is_withheld_nothing_is_said_of_it() => Assert.False(Facts().Told().ContainsKey(FactSet.Withheld));

    [Fact]
    public void A_star_alone_withholds_everything() => Assert.Equal([FactSet.Withheld], Facts("*").Told().Keys);

    [Fact]
    public void A_list_of_names_that_is_too_long_ends_at_a_name()
    {
        var names = Enumerable.Range(0, 60).Select(i => $"fact-{i:00}").ToArray();
        var text = FactSet.NamesOf(names);
        Assert.InRange(text.Length, FactSet.MaxText - 10, FactSet.MaxText);
        Assert.EndsWith(",…", text, StringComparison.Ordinal);
        Assert.All(text.Split(',')[..^1], name => Assert.Contains(name, names));
        Assert.Equal("a,b", FactSet.NamesOf(["a", "b"]));
    }
}
