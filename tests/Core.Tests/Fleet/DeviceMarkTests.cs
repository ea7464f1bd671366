using Coppice.Fleet;

namespace Coppice.Core.Tests.Fleet;

public sealed class DeviceMarkTests
{
    static readonly GroupSet Groups = new([new("nordic", Parse("site in (oslo, bergen)")), new("old", Parse("agent < 2 and label.ring = 2"))]);

    static Selector Parse(string text) => Selector.TryParse(text, out var selector, out var problems) ? selector : throw new ArgumentException($"{text}: {problems[0].What}");

    static string[] Needs(string selector) => [.. Parse(selector).Needs(Groups).Select(marks => string.Join(" | ", marks.Select(mark => $"{mark.Name}={mark.Value}")))];

    [Theory]
    [InlineData("label.site = oslo", "label.site=oslo")]
    [InlineData("site = oslo", "site=oslo | label.site=oslo")] // the fact of that name, else the label
    [InlineData("label.site in (oslo, bergen)", "label.site=oslo | label.site=bergen")]
    [InlineData("label.site = oslo and label.kind = till", "label.site=oslo", "label.kind=till")]
    [InlineData("label.site = oslo or label.kind = till", "label.site=oslo | label.kind=till")]
    [InlineData("ram >= 4GB and label.site = oslo", "label.site=oslo")]
    [InlineData("group.canary", "label.group.canary=true")]
    [InlineData("label.group.canary = true", "label.group.canary=true")]
    [InlineData("group.nordic", "site=oslo | label.site=oslo | site=bergen | label.site=bergen")] // what makes the group
    [InlineData("label.floor = \"3\"", "label.floor=3")]
    [InlineData("")]
    [InlineData("site != oslo")]
    [InlineData("not label.site = oslo")]
    [InlineData("label.site")] // any value but false, 0 and nothing
    [InlineData("os = linux")] // every device has that
    [InlineData("label.floor = 3")] // 3.0 is the same
    [InlineData("label.app = 1.30.0")] // 1.30 is the same
    [InlineData("label.site = oslo or ram >= 4GB")]
    [InlineData("group.old")] // its ring may be 2.0
    public void What_a_device_must_have_to_fit_a_selector(string selector, params string[] needs) => Assert.Equal(needs, Needs(selector));

    [Fact]
    public void A_device_that_fits_a_selector_has_a_mark_of_each_set_that_the_selector_needs()
    {
        var random = new Random(1);
        string[] names = ["site", "ring", "kind", "os", "ram", "group.canary", "group.nordic", "group.old"];
        string[] values = ["oslo", "bergen", "2", "2.0", "1.30", "1.30.0", "linux", "true", "false", "\"2\"", "\"oslo\""];
        var (fitted, needed) = (0, 0);
        for (var i = 0; i < 40_000; i++)
        {
            var facts = Some("os", "ram", "site", "kind", "agent");
            var labels = Some("site", "ring", "kind", "os", "group.canary");
            var selector = Parse(Condition(3));
            if (!selector.Matches(Groups.Over(new(facts.Concat(labels.Select(label => KeyValuePair.Create("label." + label.Key, label.Value)))))))
                continue;
            fitted++;
            var marks = DeviceMark.Of(facts, labels).ToHashSet();
            foreach (var set in selector.Needs(Groups))
            {
                needed++;
                Assert.True(set.Any(marks.Contains), $"{selector}: a device with {string.Join(", ", marks)} fits, and has none of {string.Join(", ", set)}");
            }
        }

        Assert.True(fitted > 1_000 && needed > 500, $"{fitted} fitted, {needed} sets");

        string Pick(string[] of) => of[random.Next(of.Length)];

        Dictionary<string, string> Some(params string[] of) => of.Where(_ => random.Next(2) == 0).ToDictionary(name => name, name => name.StartsWith("group.", StringComparison.Ordinal) ? "true" : Pick(values).Trim('"'));

        string Condition(int depth) => random.Next(depth == 0 ? 4 : 7) switch
        {
            0 or 1 => $"{(random.Next(2) == 0 ? "label." : "")}{Pick(names)} = {Pick(values)}",
            2 => $"{Pick(names)} in ({Pick(values)}, {Pick(values)})",
            3 => random.Next(2) == 0 ? $"{Pick(names)} != {Pick(values)}" : Pick(names),
            4 => $"({Condition(depth - 1)} and {Condition(depth - 1)})",
            5 => $"({Condition(depth - 1)} or {Condition(depth - 1)})",
            _ => $"not ({Condition(depth - 1)})",
        };
    }

    [Fact]
    public void What_agents_measure_and_text_that_no_database_keeps_is_no_mark() =>
        Assert.Equal(
            [new("site", "oslo"), new("label.os", "mine")],
            DeviceMark.Of(
                [new("os", "linux"), new("ram.free", "12"), new("runtime.onnxruntime", "1.30.0"), new("site", "oslo"), new("odd", "a\0b"), new(FactSet.Withheld, "x")],
                [new("os", "mine")]));
}
