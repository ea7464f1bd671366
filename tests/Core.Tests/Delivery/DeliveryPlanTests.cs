using System.Collections.Immutable;
using Coppice.Delivery;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Core.Tests.Delivery;

public sealed class DeliveryPlanTests
{
    const long Length = 1000;

    static readonly DeliveryLimits Plenty = new(long.MaxValue / 4) { StepCost = 0, DecodeCost = 0 };

    static BlobName Blob(char name, long length = Length) => new(Sha256Digest.Of([(byte)name]), length);

    static DeliveryStep Whole(char to, long bytes) => new(DeliveryKind.Whole, Blob(to), [], bytes, bytes);

    static DeliveryStep Patch(string from, char to, long bytes) => new(DeliveryKind.Patch, Blob(to), [.. from.Select(name => Blob(name))], bytes, bytes + Length);

    static HashSet<Sha256Digest> Held(string names) => [.. names.Select(name => Blob(name).Digest)];

    static string Text(IEnumerable<DeliveryStep> plan) => string.Join(' ', plan.Select(step =>
        $"{string.Concat(step.From.Select(Name))}>{Name(step.To)}"));

    static char Name(BlobName blob) => Enumerable.Range('a', 26).Select(c => (char)c).Single(c => Blob(c).Digest == blob.Digest);

    static string Plan(string held, DeliveryLimits limits, params DeliveryStep[] steps) => Text(DeliveryPlan.Cheapest(Blob('z'), Held(held), steps, limits));

    [Fact]
    public void The_whole_blob_is_the_way_when_nothing_else_is_cheaper() =>
        Assert.Equal(">z", Plan("a", Plenty, Whole('z', 1000), Patch("a", 'z', 1001)));

    [Fact]
    public void A_patch_from_what_is_here_is_taken_and_one_from_what_is_not_is_not() =>
        Assert.Equal("a>z", Plan("a", Plenty, Whole('z', 1000), Patch("a", 'z', 200), Patch("b", 'z', 10)));

    [Fact]
    public void Patches_in_a_row_are_taken_when_their_sum_is_smaller() =>
        Assert.Equal("a>b b>c c>z", Plan("a", Plenty, Whole('z', 1000), Patch("a", 'z', 40), Patch("a", 'b', 10), Patch("b", 'c', 10), Patch("c", 'z', 10), Patch("a", 'c', 25)));

    [Fact]
    public void A_row_costs_what_its_steps_cost_besides() =>
        Assert.Equal("a>z", Plan("a", Plenty with { StepCost = 6 }, Patch("a", 'z', 40), Patch("a", 'b', 10), Patch("b", 'c', 10), Patch("c", 'z', 10)));

    [Fact]
    public void Making_bytes_costs_too() =>
        Assert.Equal("a>z", Plan("a", Plenty with { DecodeCost = 0.02 }, Patch("a", 'z', 40), Patch("a", 'b', 10), Patch("b", 'z', 11)));

    [Fact]
    public void A_patch_from_two_blobs_needs_both_and_fetches_the_one_that_is_not_here() =>
        Assert.Equal(">b ab>z", Plan("a", Plenty, Whole('z', 1000), Whole('b', 100), Patch("ab", 'z', 10), Patch("ac", 'z', 1)));

    [Fact]
    public void A_blob_that_two_steps_need_is_fetched_once() =>
        Assert.Equal(">b b>c cb>z", Plan("", Plenty, Whole('z', 1000), Whole('b', 100), Patch("b", 'c', 10), Patch("cb", 'z', 10)));

    [Theory]
    [InlineData(1200, "a>z")] // the patch and the blob
    [InlineData(1199, ">z")]
    [InlineData(999, "")]
    public void What_has_no_room_is_not_taken(long room, string plan) =>
        Assert.Equal(plan, Plan("a", Plenty with { Room = room }, Whole('z', 1000), Patch("a", 'z', 200)));

    [Theory]
    [InlineData(2010, "a>b b>z")] // what was made, beside what is being made and its patch
    [InlineData(2009, ">z")]
    public void A_row_needs_room_for_what_it_makes_on_the_way(long room, string plan) =>
        Assert.Equal(plan, Plan("a", Plenty with { Room = room }, Whole('z', 1000), Patch("a", 'b', 10), Patch("b", 'z', 10)));

    [Fact]
    public void Of_a_long_row_only_two_blobs_lie_there_at_once() =>
        Assert.Equal("a>b b>c c>d d>z", Plan("a", Plenty with { Room = 2010 }, Patch("a", 'b', 10), Patch("b", 'c', 10), Patch("c", 'd', 10), Patch("d", 'z', 10)));

    [Theory]
    [InlineData(6010, ">b >c bc>z")] // b, c, then both beside z and its patch
    [InlineData(3010, ">b >c bc>z")]
    [InlineData(3009, ">z")]
    public void Blobs_that_are_made_for_one_step_lie_beside_one_another(long room, string plan) =>
        Assert.Equal(plan, Plan("", Plenty with { Room = room }, new(DeliveryKind.Whole, Blob('z'), [], 1000, 1000), new(DeliveryKind.Whole, Blob('b'), [], 10, 1000), new(DeliveryKind.Whole, Blob('c'), [], 10, 1000), Patch("bc", 'z', 10)));

    [Fact]
    public void A_row_has_a_longest_length() =>
        Assert.Equal(">z", Plan("a", Plenty with { MaxDepth = 2 }, Whole('z', 1000), Patch("a", 'b', 1), Patch("b", 'c', 1), Patch("c", 'z', 1)));

    [Fact]
    public void A_circle_of_patches_leads_nowhere() =>
        Assert.Equal("", Plan("a", Plenty, Patch("b", 'c', 1), Patch("c", 'b', 1), Patch("c", 'z', 1)));

    [Fact]
    public void A_held_blob_is_not_made_again() =>
        Assert.Equal("b>z", Plan("ab", Plenty, Patch("a", 'b', 0), Patch("b", 'z', 9)));

    /// <summary>Every plan that there is, by trying all of them.</summary>
    static double Best(Sha256Digest target, HashSet<Sha256Digest> held, List<DeliveryStep> steps, DeliveryLimits limits, int depth)
    {
        if (held.Contains(target))
            return 0;
        if (depth == 0)
            return double.PositiveInfinity;
        return steps.Where(step => step.To.Digest == target)
            .Select(step => limits.CostOf(step) + step.From.Sum(from => Best(from.Digest, held, steps, limits, depth - 1)))
            .DefaultIfEmpty(double.PositiveInfinity).Min();
    }

    [Fact]
    public void In_any_graph_the_plan_can_be_done_in_its_order_and_none_is_cheaper()
    {
        for (var seed = 0; seed < 2000; seed++)
        {
            var random = new Random(seed);
            var names = "abcdefz";
            var held = Held(names[..random.Next(0, 3)]);
            var steps = new List<DeliveryStep>();
            for (var i = random.Next(1, 16); i > 0; i--)
            {
                var to = names[random.Next(names.Length)];
                var from = string.Concat(names.Where(name => name != to && random.Next(5) == 0).Take(2));
                steps.Add(from.Length == 0 ? Whole(to, random.Next(300, 1000)) : Patch(from, to, random.Next(1, 400)));
            }

            steps = [.. steps.DistinctBy(step => step.Key)];
            var limits = Plenty with { StepCost = random.Next(0, 20), DecodeCost = random.NextDouble() / 50, MaxDepth = random.Next(1, 5) };

            var plan = DeliveryPlan.Cheapest(Blob('z'), held, steps, limits);

            var best = Best(Blob('z').Digest, held, steps, limits, limits.MaxDepth);
            Assert.Equal(double.IsPositiveInfinity(best), plan.IsEmpty && !held.Contains(Blob('z').Digest));
            Assert.True(plan.Sum(limits.CostOf) <= best + 1e-6, $"seed {seed}: {Text(plan)} costs {plan.Sum(limits.CostOf)}, {best} is possible");
            CheckOrder(plan, held);
        }
    }

    [Fact]
    public void In_any_graph_no_plan_takes_more_room_than_there_is()
    {
        for (var seed = 0; seed < 2000; seed++)
        {
            var random = new Random(seed);
            var names = "abcdefz";
            var held = Held(names[..1]);
            var steps = Enumerable.Range(0, random.Next(4, 20)).Select(_ =>
            {
                var to = names[random.Next(1, names.Length)];
                var from = string.Concat(names.Where(name => name != to && random.Next(4) == 0).Take(3));
                var bytes = random.Next(1, 900);
                return new DeliveryStep(from.Length == 0 ? DeliveryKind.Whole : DeliveryKind.Patch, Blob(to), [.. from.Select(name => Blob(name))], bytes, Length + (from.Length == 0 ? 0 : bytes));
            }).DistinctBy(step => step.Key).ToList();
            var room = random.Next(900, 5000);

            var plan = DeliveryPlan.Cheapest(Blob('z'), held, steps, Plenty with { Room = room });

            CheckOrder(plan, held);
            var lying = new HashSet<Sha256Digest>();
            for (var i = 0; i < plan.Length; i++)
            {
                Assert.True(lying.Count * Length + plan[i].Room <= room, $"seed {seed}: {Text(plan)} in {room}");
                lying.Add(plan[i].To.Digest);
                lying.RemoveWhere(blob => !plan[(i + 1)..].Any(step => step.From.Any(from => from.Digest == blob)));
            }
        }
    }

    static void CheckOrder(ImmutableArray<DeliveryStep> plan, IEnumerable<Sha256Digest> held)
    {
        var here = held.ToHashSet();
        foreach (var step in plan)
        {
            Assert.All(step.From, from => Assert.Contains(from.Digest, here));
            Assert.True(here.Add(step.To.Digest), "a blob is made that is here");
        }

        if (!plan.IsEmpty)
            Assert.Equal(Blob('z').Digest, plan[^1].To.Digest);
    }
}
