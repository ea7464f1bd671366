using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Core.Tests.Rollouts;

/// <summary>Which device takes a set, and how a set stands in plans.</summary>
public sealed class SetChoiceTests
{
    static readonly DateTimeOffset Noon = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero); // a Sunday
    static readonly ModelName Rag = ModelName.Parse("plant/rag");
    static readonly ModelName Embedder = ModelName.Parse("plant/embedder");
    static readonly ModelName Llm = ModelName.Parse("plant/llm");

    readonly Dictionary<ModelName, RolloutPlan> plans = new[] { Rag, Embedder, Llm }.ToDictionary(model => model, RolloutPlan.None);
    readonly Dictionary<ModelName, DeviceView> views = new[] { Rag, Embedder, Llm }.ToDictionary(model => model, _ => new DeviceView("till-1", new FactSet([]), SemanticVersion.Parse("1.0.0"), []));

    static SetMember Member(ModelName model, string version) => new(model, SemanticVersion.Parse(version), Sha256Digest.Of([1]));

    static Rollout Alone(string id, string version) => new(id, SemanticVersion.Parse(version), Sha256Digest.Of([1]), "salt", "", [new(1)], 0, RolloutState.Running, 1);

    void Put(ModelName model, Rollout rollout) => plans[model] = plans[model] with { Rollouts = plans[model].Rollouts.Insert(0, rollout) };

    /// <summary>r-9 brings 2.0.0 of all three.</summary>
    void PutSet(Func<Rollout, Rollout>? change = null)
    {
        Put(Rag, change?.Invoke(Set) ?? Set);
        foreach (var member in Set.With!.Value)
            Put(member.Model, SetForm.Pointer("r-9", Rag, member));
    }

    static Rollout Set => Alone("r-9", "2.0.0") with { With = [Member(Embedder, "2.0.0"), Member(Llm, "2.0.0")] };

    async Task<Dictionary<ModelName, ReleaseChoice>> ChooseAsync(Func<ModelName, Rollout, ReleaseManifest?>? manifest = null) => (await SetChoice.ChooseAsync(
        views.ToDictionary(view => view.Key, view => new SetSide(plans[view.Key], view.Value)), plans, Noon, (model, rollout) => Task.FromResult(manifest?.Invoke(model, rollout)))).ToDictionary();

    static void All(ChoiceKind kind, Dictionary<ModelName, ReleaseChoice> choices) => Assert.All(choices, choice => Assert.Equal(kind, choice.Value.Kind));

    [Fact]
    public async Task A_set_is_taken_by_every_model_with_its_own_release()
    {
        PutSet();

        var choices = await ChooseAsync();

        All(ChoiceKind.Take, choices);
        Assert.All(choices.Values, choice => Assert.Equal(("r-9", "2.0.0", 2), (choice.Rollout!.Id, choice.Rollout.Release.ToString(), choice.Rollout.With!.Value.Length)));
        Assert.Equal([Rag, Llm], choices[Embedder].Rollout!.With!.Value.Select(member => member.Model)); // the others, its leading model among them
    }

    [Fact]
    public async Task It_is_passed_over_by_all_where_one_model_is_not_kept_or_its_plan_does_not_say_so_or_brings_something_newer()
    {
        PutSet();
        Put(Llm, Alone("r-10", "3.0.0"));
        var newer = await ChooseAsync();
        Assert.Equal((ChoiceKind.Keep, ChoiceKind.Keep, ChoiceKind.Take), (newer[Rag].Kind, newer[Embedder].Kind, newer[Llm].Kind));
        Assert.Contains(newer[Embedder].Reasons, why => why.StartsWith("r-9 (2.0.0): brings plant/llm 2.0.0 with it, and plant/llm is not to take that", StringComparison.Ordinal));

        plans[Llm] = RolloutPlan.None(Llm);
        var unsaid = await ChooseAsync();
        All(ChoiceKind.Keep, unsaid);
        Assert.Contains("r-9 (2.0.0): brings plant/llm 2.0.0 with it, whose own plan does not say so yet", unsaid[Rag].Reasons);

        views.Remove(Llm);
        var unkept = await ChooseAsync();
        All(ChoiceKind.Keep, unkept);
        Assert.Contains("r-9 (2.0.0): brings plant/llm 2.0.0 with it, and this device does not keep plant/llm", unkept[Embedder].Reasons);
    }

    [Fact]
    public async Task What_one_model_of_it_refused_none_takes_until_the_next_attempt()
    {
        PutSet();
        views[Llm] = views[Llm] with { Refusals = [new("r-9", SemanticVersion.Parse("2.0.0"), 1, "too slow")] };

        var refused = await ChooseAsync();
        All(ChoiceKind.Keep, refused);
        Assert.Contains("r-9 (2.0.0): not tried again after attempt 1 (plant/llm 2.0.0: too slow)", refused[Rag].Reasons);

        plans[Rag] = plans[Rag] with { Rollouts = [plans[Rag].Rollouts[0] with { Attempt = 2 }] };
        All(ChoiceKind.Take, await ChooseAsync());
    }

    [Fact]
    public async Task What_a_release_needs_of_a_model_of_its_set_is_met_by_what_the_set_brings()
    {
        PutSet();
        Assert.True(VersionRange.TryParse(">=2.0.0", out var range));
        ReleaseManifest Needing(ModelName model, Rollout rollout) => new(1, model, rollout.Release, []) { Requires = model == Rag ? [new(Embedder, range)] : null };
        All(ChoiceKind.Take, await ChooseAsync(Needing));

        ReleaseManifest Beyond(ModelName model, Rollout rollout) => new(1, model, rollout.Release, []) { Requires = model == Llm ? [new(ModelName.Parse("plant/rules"), range)] : null };
        var missing = await ChooseAsync(Beyond);
        All(ChoiceKind.Keep, missing);
        Assert.Contains(missing[Rag].Reasons, why => why.Contains("needs plant/rules >=2.0.0, which does not serve here", StringComparison.Ordinal));
    }

    [Fact]
    public async Task It_waits_for_a_window_as_one_and_its_leading_model_asks_though_another_has_nothing_to_wait_for()
    {
        PutSet(set => set with { Windows = [new([DayOfWeek.Monday], new(2, 0), new(4, 0))], FetchEarly = true });
        views[Llm] = views[Llm] with { Serving = null }; // by itself it would switch at once
        All(ChoiceKind.Prepare, await ChooseAsync());

        plans[Rag] = plans[Rag] with { Rollouts = [Set with { Consent = "May it?" }] };
        views[Rag] = views[Rag] with { Serving = null };
        var asks = await ChooseAsync();
        All(ChoiceKind.Keep, asks);
        Assert.NotNull(asks[Rag].Asks);
        Assert.Null(asks[Embedder].Asks);

        plans[Embedder] = plans[Embedder] with { Revoked = [SemanticVersion.Parse("1.0.0")] };
        All(ChoiceKind.Take, await ChooseAsync()); // one of them may not go on as it is
    }

    [Fact]
    public async Task A_model_that_serves_the_release_already_comes_along_and_keeps_it_afterwards()
    {
        PutSet();
        views[Embedder] = views[Embedder] with { Serving = SemanticVersion.Parse("2.0.0") };
        All(ChoiceKind.Take, await ChooseAsync());

        foreach (var model in views.Keys.ToList())
            views[model] = views[model] with { Serving = SemanticVersion.Parse("2.0.0"), ServingBy = "r-9" };
        All(ChoiceKind.Keep, await ChooseAsync());
    }

    [Theory]
    [InlineData(true, true, ChoiceKind.Leave), InlineData(true, false, ChoiceKind.Leave), InlineData(false, true, ChoiceKind.Leave), InlineData(false, false, ChoiceKind.Keep)]
    public async Task What_serves_by_a_set_leaves_it_together_when_it_is_reverted_or_a_model_of_it_revoked(bool revoked, bool canGoBack, ChoiceKind kind)
    {
        PutSet(set => set with { State = revoked ? RolloutState.Running : RolloutState.Reverted });
        foreach (var model in views.Keys.ToList())
            views[model] = views[model] with { Serving = SemanticVersion.Parse("2.0.0"), ServingBy = "r-9", CanGoBack = canGoBack };
        if (revoked)
            plans[Embedder] = plans[Embedder] with { Revoked = [SemanticVersion.Parse("2.0.0")] };

        All(kind, await ChooseAsync()); // a first set that is reverted is kept: there was nothing before
    }

    [Fact]
    public async Task A_decision_that_knows_nothing_of_sets_takes_no_part_of_one()
    {
        PutSet();
        var lead = ReleaseChoice.Choose(plans[Rag], views[Rag], Noon);
        Assert.Equal((ChoiceKind.Keep, true), (lead.Kind, lead.Reasons[0].Contains("comes together with plant/embedder 2.0.0 and plant/llm 2.0.0, and is not taken alone", StringComparison.Ordinal)));
        var member = await ReleaseChoice.ChooseAsync(plans[Llm], views[Llm], Noon, _ => Task.FromResult<ReleaseManifest?>(null));
        Assert.Equal((ChoiceKind.Keep, "r-9 (2.0.0): comes with plant/rag, whose plan does not bring it"), (member.Kind, member.Reasons[0]));
    }

    /// <summary>What an agent of before reads: it passes over what it does not know.</summary>
    [Theory]
    [InlineData(RolloutState.Running, "held"), InlineData(RolloutState.Held, "held"), InlineData(RolloutState.Complete, "held"), InlineData(RolloutState.Reverted, "reverted"), InlineData(RolloutState.Aborted, "aborted")]
    public void A_reader_that_knows_no_sets_finds_them_held_and_one_that_does_finds_what_is_meant(RolloutState state, string written)
    {
        PutSet(set => set with { State = state });
        foreach (var model in (ModelName[])[Rag, Embedder])
        {
            var bytes = DocumentJson.Write(plans[model] with { Serial = 1 });
            using var document = System.Text.Json.JsonDocument.Parse(bytes);
            Assert.Equal(model == Rag ? written : "held", document.RootElement.GetProperty("rollouts")[0].GetProperty("state").GetString());
            Assert.True(DocumentJson.TryRead(bytes, out RolloutPlan? read, out var problems), string.Join(" ", problems));
            plans[model] = read;
        }

        Assert.Equal(state, plans[Rag].Rollouts[0].State);
        var member = SetForm.Resolved(plans[Embedder], plans).Rollouts[0];
        Assert.Equal((state, Rag, 2), (member.State, member.Lead, member.With!.Value.Length));
    }

    [Fact]
    public void A_set_names_each_other_model_once_and_compares_no_arms()
    {
        string[] Wrong(Rollout rollout) => [.. RolloutRules.Check(new RolloutPlan(1, Rag, 1, [rollout], [])).Select(problem => problem.Where)];
        Assert.Empty(Wrong(Set));
        Assert.Equal(["rollouts[0].with[0].model"], Wrong(Set with { With = [Member(Rag, "1.0.0")] }));
        Assert.Equal(["rollouts[0].with[1].model"], Wrong(Set with { With = [Member(Llm, "1.0.0"), Member(Llm, "2.0.0")] }));
        Assert.Equal(["rollouts[0].with"], Wrong(Set with { With = [] }));
        Assert.Equal(["rollouts[0].with"], Wrong(Set with { Arms = [new("control", 1), new("b", 1, SemanticVersion.Parse("2.0.0"), Sha256Digest.Of([1]))] }));
    }
}
