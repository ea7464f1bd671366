using System.Text.Json;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Tests;

namespace Coppice.Core.Tests.Protocol;

public sealed class RolloutFileTests
{
    static readonly JsonElement Schema = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs/formats/rollout.schema.json"))).RootElement;

    static string[] Known(string json, string where)
    {
        Assert.False(RolloutFile.TryRead(JsonDocument.Parse(json).RootElement, out _, out var problems));
        var said = problems.Single(problem => problem.Where == where).What;
        return [.. said[(said.IndexOf("known are ", StringComparison.Ordinal) + 10)..].TrimEnd('.').Split(", ").Order(StringComparer.Ordinal)];
    }

    static string[] Fields(JsonElement schema) => [.. schema.GetProperty("properties").EnumerateObject().Select(property => property.Name).Order(StringComparer.Ordinal)];

    [Fact]
    public void The_published_schema_has_the_fields_that_are_read()
    {
        var top = Schema.GetProperty("properties");
        Assert.Equal(Fields(Schema), Known("""{"zzz":1}""", "zzz"));
        Assert.Equal(Fields(top.GetProperty("phases").GetProperty("items")), Known("""{"phases":[{"zzz":1}]}""", "phases[0].zzz"));
        Assert.Equal(Fields(Schema.GetProperty("$defs").GetProperty("gates").GetProperty("items")), Known("""{"gates":[{"zzz":1}]}""", "gates[0].zzz"));
        Assert.Equal(Fields(top.GetProperty("arms").GetProperty("items")), Known("""{"arms":[{"zzz":1}]}""", "arms[0].zzz"));
        Assert.Equal(Fields(top.GetProperty("policy")), Known("""{"policy":{"zzz":1}}""", "policy.zzz"));
        Assert.Equal(Fields(top.GetProperty("experiment")), Known("""{"experiment":{"zzz":1}}""", "experiment.zzz"));
        Assert.Equal(Fields(top.GetProperty("requires").GetProperty("items")), Known("""{"requires":[{"zzz":1}]}""", "requires[0].zzz"));
        Assert.Equal(Fields(top.GetProperty("with").GetProperty("items")), Known("""{"with":[{"zzz":1}]}""", "with[0].zzz"));
    }

    [Fact]
    public void A_whole_plan_is_read()
    {
        const string Text = """
            {
              "model": "plant/bearing", "release": "1.4.0", "selector": "site = oslo", "why": "better", "salt": "s",
              "phases": [{ "selector": "label.lab", "soak": "4h" }, { "share": "5 %", "soak": "24h", "gates": [] }, { "share": 1 }],
              "gates": [{ "gate": "failures", "max": "2%" }, { "gate": "metric", "metric": "latencyP95Ms", "against": "before", "maxRise": 0.2 }],
              "policy": { "maxFailures": 10, "onFailure": "revert", "onUndecided": "hold", "decideWithin": "6h" }, "confidence": 0.99, "deadline": "12h", "spread": "2h", "fetchEarly": true,
              "startsAt": "2026-12-01T08:00:00+01:00", "forcedFrom": "2026-12-08T08:00:00Z", "consent": "May it?",
              "windows": ["sat,sun:06:00-18:00", { "days": ["monday"], "from": "22:00", "to": "04:00" }],
              "requires": [{ "model": "plant/embedder", "versions": ">=1.2.0 <2.0.0" }],
              "with": [{ "model": "plant/embedder", "release": "2.0.0" }]
            }
            """;
        Assert.True(RolloutFile.TryRead(JsonDocument.Parse(Text).RootElement, out var plan, out var problems), string.Join(" ", problems));

        Assert.Equal(("label.lab", 1, TimeSpan.FromHours(4)), (plan.Phases[0].Selector, plan.Phases[0].Share, plan.Phases[0].Soak));
        Assert.Equal((0.05, 0, null), (plan.Phases[1].Share, plan.Phases[1].Gates!.Value.Length, plan.Phases[2].Gates));
        Assert.Equal((0.02, Reference.Before, 0.2), (plan.Gates[0].Max, plan.Gates[1].Against, plan.Gates[1].MaxRise));
        Assert.Equal((10, PhaseAction.Revert, 0.99), (plan.Policy.MaxFailures, plan.Policy.OnFailure, plan.Confidence));
        Assert.Equal((PhaseAction.Hold, TimeSpan.FromHours(6)), (plan.Policy.OnUndecided, plan.Policy.DecideWithin));
        Assert.Equal(new MemberDraft(Coppice.Registry.ModelName.Parse("plant/embedder"), Coppice.Registry.SemanticVersion.Parse("2.0.0")), Assert.Single(plan.With));
        Assert.Equal(new DateTimeOffset(2026, 12, 1, 7, 0, 0, TimeSpan.Zero), plan.StartsAt);
        Assert.Equal([DayOfWeek.Saturday, DayOfWeek.Sunday], plan.Windows[0].Days.AsEnumerable());
        Assert.Equal(new TimeOnly(22, 0), plan.Windows[1].From);
        var sent = JsonSerializer.Deserialize(JsonSerializer.Serialize(plan, ControlContext.Default.StartRollout), ControlContext.Default.StartRollout)!; // as the server gets it
        Assert.Equal((plan.Spread, plan.Consent, plan.Gates.Length, plan.ForcedFrom, plan.Requires[0].Versions.ToString()), (sent.Spread, sent.Consent, sent.Gates.Length, sent.ForcedFrom, sent.Requires[0].Versions.ToString()));
    }

    [Fact]
    public void A_shadow_arm_is_read_and_sent()
    {
        const string Text = """
            {"model":"plant/bearing","release":"1.5.0","phases":[{"share":1}],"policy":{"maxFailures":0},"experiment":{"metric":"agreement"},
             "arms":[{"name":"control"},{"name":"b","release":"1.5.0","shadow":true,"shadowShare":"25 %"}]}
            """;
        Assert.True(RolloutFile.TryRead(JsonDocument.Parse(Text).RootElement, out var plan, out var problems), string.Join(" ", problems));

        var sent = JsonSerializer.Deserialize(JsonSerializer.Serialize(plan, ControlContext.Default.StartRollout), ControlContext.Default.StartRollout)!;
        Assert.Equal((true, 0.25), (sent.Arms[1].Shadow, sent.Arms[1].ShadowShare));
        Assert.Equal((null, null), (sent.Arms[0].Shadow, sent.Arms[0].ShadowShare));
    }

    [Theory]
    [InlineData("""{"arms":[{"name":"a","release":"1.0.0"}],"experiment":{"metric":"accuracy"}}""", "arms")]
    [InlineData("""{"arms":[{"name":"control"},{"name":"b"}],"experiment":{"metric":"accuracy"}}""", "arms")]
    [InlineData("""{"arms":[{"name":"control"},{"name":"b","release":"1.0.0"}]}""", "experiment")]
    [InlineData("""{"arms":[{"name":"a"},{"name":"b","release":"1.0.0"}],"experiment":{"metric":"accuracy"}}""", "experiment.control")]
    [InlineData("""{"arms":[{"name":"control"},{"name":"b","release":"2.0.0"}],"experiment":{"metric":"accuracy"}}""", "release")]
    [InlineData("""{"experiment":{"metric":"accuracy"}}""", "experiment")]
    [InlineData("""{"arms":[{"name":"control"},{"name":"b","shadow":true}],"experiment":{"metric":"accuracy"}}""", "arms[1].shadow")]
    [InlineData("""{"arms":[{"name":"control"},{"name":"b","release":"1.0.0","shadowShare":0.5}],"experiment":{"metric":"accuracy"}}""", "arms[1].shadowShare")]
    [InlineData("""{"arms":[{"name":"control"},{"name":"b","release":"1.0.0","shadow":true,"shadowShare":"0 %"}],"experiment":{"metric":"accuracy"}}""", "arms[1].shadowShare")]
    [InlineData("""{"arms":[{"name":"control","release":"1.0.0","shadow":true},{"name":"b","release":"1.0.0"}],"experiment":{"metric":"accuracy"}}""", "experiment.control")]
    [InlineData("""{"arms":[{"name":"control","release":"1.0.0","shadow":true},{"name":"b","release":"1.1.0","shadow":true}],"experiment":{"metric":"accuracy"}}""", "arms")]
    [InlineData("""{"arms":[{"name":"b","release":"1.0.0","shadow":true}],"experiment":{"metric":"accuracy"}}""", "arms")]
    [InlineData("""{"with":[{"model":"plant/embedder","release":"1.0.0"}],"arms":[{"name":"control"},{"name":"b","release":"1.0.0","shadow":true}],"experiment":{"metric":"accuracy"}}""", "with")]
    [InlineData("""{"policy":{"maxFailures":null}}""", "policy.maxFailures")]
    [InlineData("""{"confidence":1}""", "confidence")]
    [InlineData("""{"spread":"400d"}""", "spread")]
    [InlineData("""{"confidence":0}""", "confidence")]
    [InlineData("""{"deadline":"0s"}""", "deadline")]
    [InlineData("""{"policy":{"maxFailures":0,"onUndecided":"advance"}}""", "policy.onUndecided")]
    [InlineData("""{"policy":{"maxFailures":0,"decideWithin":"6h"}}""", "policy.decideWithin")]
    [InlineData("""{"policy":{"maxFailures":0,"onUndecided":"hold","decideWithin":"0s"}}""", "policy.decideWithin")]
    [InlineData("""{"experiment":{"metric":"accuracy","sharpAt":0},"arms":[{"name":"control"},{"name":"b","release":"1.0.0"}]}""", "experiment.sharpAt")]
    [InlineData("""{"requires":[{"model":"plant/bearing","versions":"1.0.0"}]}""", "requires[0].model")]
    [InlineData("""{"with":[{"model":"plant/bearing","release":"1.0.0"}]}""", "with[0].model")]
    [InlineData("""{"with":[{"model":"plant/embedder"}]}""", "with[0].release")]
    [InlineData("""{"gates":[{"gate":"metric","metric":"agreement","min":0.98}]}""", "gates[0].metric")]
    [InlineData("""{"gates":[{"gate":"metric","model":"plant/embedder","metric":"accuracy","min":0.9}]}""", "gates[0].model")]
    [InlineData("""{"gates":[{"gate":"metric","model":"plant","metric":"accuracy","min":0.9}]}""", "gates[0].model")]
    [InlineData("""{"gates":[{"gate":"failures","max":0.02,"model":"plant/bearing"}]}""", "gates[0]")]
    [InlineData("""{"startsAt":"2026-12-01"}""", "startsAt")]
    public void What_does_not_fit_together_is_said_by_field(string members, string where)
    {
        var text = $$"""{"model":"plant/bearing","release":"1.0.0","phases":[{"share":1}],{{members[1..]}}""";
        Assert.False(RolloutFile.TryRead(JsonDocument.Parse(text).RootElement, out _, out var problems));
        Assert.Contains(where, problems.Select(problem => problem.Where));
    }

    [Fact]
    public void Of_a_set_that_could_not_be_read_nothing_is_said_about_who_is_in_it()
    {
        var text = """{"model":"Plant","release":"1.0.0","phases":[{"share":1}],"gates":[{"gate":"metric","model":"plant/embedder","metric":"accuracy","min":0.9}]}""";
        Assert.False(RolloutFile.TryRead(JsonDocument.Parse(text).RootElement, out _, out var problems));
        Assert.Equal(["model"], problems.Select(problem => problem.Where));
    }
}
