using Coppice.Delivery;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Core.Tests.Delivery;

public sealed class PatchChoiceTests
{
    const long Length = 1_000_000;

    readonly Dictionary<Sha256Digest, List<PatchEntry>> there = [];

    static BlobName Blob(char name, long length = Length) => new(Sha256Digest.Of([(byte)name]), length);

    void Patch(string from, char to, long length)
    {
        if (!there.TryGetValue(Blob(to).Digest, out var entries))
            there[Blob(to).Digest] = entries = [];
        entries.Add(new([.. from.Select(name => Blob(name))], length));
    }

    PatchIndex? Known(Sha256Digest to) => there.TryGetValue(to, out var entries) ? new(1, new(to, Length), [.. entries]) : null;

    static PatchDemand Demand(string held, char to, long devices, params string[] candidates) =>
        new(Blob(to), [.. held.Select(name => Blob(name))], devices) { Candidates = [.. candidates.Select(from => from.Select(name => Blob(name)).ToArray()).Select(from => System.Collections.Immutable.ImmutableArray.Create(from))] };

    string Wishes(params PatchDemand[] demands) => Text(PatchChoice.Wishes(demands, Known, new HashSet<string>()));

    static string Text(IEnumerable<PatchWish> wishes) => string.Join(' ', wishes.Select(wish => $"{string.Concat(wish.From.Select(Name))}>{Name(wish.To)}"));

    static char Name(BlobName blob) => Enumerable.Range('a', 26).Select(c => (char)c).Single(c => Blob(c).Digest == blob.Digest);

    [Fact]
    public void What_most_devices_need_comes_first() =>
        Assert.Equal("b>z a>z", Wishes(Demand("a", 'z', 10, "a"), Demand("b", 'z', 500, "b")));

    [Fact]
    public void The_longer_file_comes_first_where_as_many_devices_wait() => Assert.Equal("a>z b>y", Text(PatchChoice.Wishes(
        [new(Blob('y', 20_000), [Blob('b')], 5) { Candidates = [[Blob('b')]] }, Demand("a", 'z', 5, "a")], Known, new HashSet<string>())));

    [Fact]
    public void What_is_there_is_not_wished_for()
    {
        Patch("a", 'z', 50_000);
        Assert.Equal("", Wishes(Demand("a", 'z', 500, "a")));
    }

    [Fact]
    public void What_was_tried_is_left_out() => Assert.Equal("", Text(PatchChoice.Wishes(
        [Demand("a", 'z', 5, "a")], Known, new HashSet<string> { RepositoryLayout.PatchFile([Blob('a').Digest], Blob('z').Digest) })));

    [Fact]
    public void Few_devices_get_along_with_a_row_and_many_get_a_patch_of_their_own()
    {
        Patch("a", 'b', 1_000);
        Patch("b", 'z', 1_000);
        Assert.Equal("", Wishes(Demand("a", 'z', 4, "a"))); // 2,000 bytes now, perhaps 1,200 then
        Assert.Equal("a>z", Wishes(Demand("a", 'z', 400, "a")));
    }

    [Fact]
    public void A_patch_that_gives_many_a_row_is_worth_more_than_one_that_serves_few()
    {
        Patch("a", 'b', 1_000);
        // 100 devices at a and 50 at b: with b>z both come along.
        Assert.Equal("a>z b>z", Wishes(Demand("a", 'z', 100, "a"), Demand("b", 'z', 50, "b")));
        Patch("a", 'z', 30_000);
        Patch("b", 'z', 1_000);
        Assert.Equal("", Wishes(Demand("a", 'z', 1, "a"), Demand("b", 'z', 50, "b")));
        Assert.Equal(2_000, PatchChoice.CostNow(Demand("a", 'z', 1), Known));
    }

    [Fact]
    public void Several_sources_are_tried_after_one_where_they_promise_more()
    {
        Assert.Equal("ab>z a>z", Wishes(Demand("ab", 'z', 10, "a", "ab")));
        Patch("a", 'z', 900_000);
        Assert.Equal("ab>z", Wishes(Demand("ab", 'z', 10, "a", "ab")));
    }

    [Fact]
    public void The_same_wish_of_two_demands_counts_together() =>
        Assert.Equal("a>z b>z", Wishes(Demand("a", 'z', 3, "a"), Demand("b", 'z', 5, "b"), Demand("ac", 'z', 3, "a")));

    [Fact]
    public void A_file_that_nobody_has_a_base_for_is_compressed_last() =>
        Assert.Equal("a>z >z", Wishes(Demand("", 'z', 1, ""), Demand("a", 'z', 1, "a")));

    [Fact]
    public void What_saves_next_to_nothing_is_not_made() => Assert.Empty(PatchChoice.Wishes(
        [new(Blob('z', 5_000), [Blob('a')], 1) { Candidates = [[Blob('a')]] }], Known, new HashSet<string>()));

    [Fact]
    public void Needed_is_what_a_cheapest_way_uses()
    {
        Patch("a", 'b', 1_000);
        Patch("b", 'z', 1_000);
        Patch("c", 'z', 500);
        Patch("", 'z', 700_000);
        Patch("d", 'z', 800_000);
        string File(string from, char to) => RepositoryLayout.PatchFile([.. from.Select(name => Blob(name).Digest)], Blob(to).Digest);

        Assert.Equal([.. ((string[])[File("a", 'b'), File("b", 'z')]).Order()], PatchChoice.Needed([Demand("a", 'z', 1)], Known).Order());
        Assert.Equal([File("", 'z')], PatchChoice.Needed([Demand("d", 'z', 1)], Known)); // compressed is cheaper than from d
        Assert.Empty(PatchChoice.Needed([], Known));
    }
}
