using System.Text.Json.Nodes;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class TargetSearchTests : IDisposable
{
    readonly SigningKey _key = SigningKey.Create();

    public void Dispose() => _key.Dispose();

    Targets Role(Action<TargetsDraft> make)
    {
        var draft = new TargetsDraft(null);
        make(draft);
        return MetadataFile.ReadTargets(draft.Sign(TestRepository.Later, _key)).Signed;
    }

    // Edges "A>B" in order of appearance; "A>B!" terminates; "A>B:*.md" covers only that pattern.
    Dictionary<string, Targets> Graph(string edges)
    {
        var roles = edges.Split(' ').SelectMany(edge => edge.Split(':')[0].TrimEnd('!').Split('>')).Distinct();
        return roles.ToDictionary(role => role, role => Role(draft =>
        {
            foreach (var edge in edges.Split(' ').Where(edge => edge.StartsWith(role + ">", StringComparison.Ordinal)))
            {
                var parts = edge.Split(':');
                var name = parts[0].Split('>')[1];
                draft.Delegate(name.TrimEnd('!'), [parts.Length > 1 ? parts[1] : "*"], name.EndsWith('!'), 1, _key.Public);
            }
        }));
    }

    static string Walk(Dictionary<string, Targets> graph, string path, int most = TargetSearch.DefaultMostRoles)
    {
        var search = new TargetSearch(path, most);
        var visited = new List<string>();
        while (search.Next(out var role, out _))
        {
            visited.Add(role);
            search.Visit(graph[role]);
        }
        return string.Join(' ', visited);
    }

    [Theory]
    [InlineData("targets>A targets>B A>C A>D", "targets A C D B")]
    [InlineData("targets>A targets>B A>C! A>D", "targets A C")]
    [InlineData("targets>A targets>B A>C! A>D C>E", "targets A C E")]
    [InlineData("targets>A! targets>B A>C", "targets A C")]
    [InlineData("targets>A:*.md targets>B A>C", "targets B")]
    [InlineData("targets>A targets>B B>C C>D D>B", "targets A B C D")]
    [InlineData("targets>A targets>B A>C B>C", "targets A C B")]
    [InlineData("targets>A A>A A>targets2", "targets A targets2")]
    public void Roles_are_visited_in_pre_order_each_once_and_none_after_one_that_terminates(string edges, string visited) =>
        Assert.Equal(visited, Walk(Graph(edges), "missing"));

    [Fact]
    public void The_first_role_in_order_that_has_the_target_is_believed()
    {
        var graph = Graph("targets>A targets>B");
        graph["A"] = Role(draft => draft.Put(new TargetInfo("x", "from A"u8)));
        graph["B"] = Role(draft => draft.Put(new TargetInfo("x", "from B"u8)));
        var search = new TargetSearch("x");
        while (search.Next(out var role, out _))
            search.Visit(graph[role]);
        search.Found!.Verify("from A"u8);
    }

    [Fact]
    public void The_delegator_of_each_role_is_the_one_it_was_reached_through()
    {
        var graph = Graph("targets>A A>C targets>B B>D");
        var search = new TargetSearch("missing");
        var pairs = new List<string>();
        while (search.Next(out var role, out var delegator))
        {
            pairs.Add($"{delegator}>{role}");
            search.Visit(graph[role]);
        }
        Assert.Equal(["root>targets", "targets>A", "A>C", "targets>B", "B>D"], pairs);
    }

    [Fact]
    public void A_chain_without_end_is_given_up()
    {
        var graph = Graph(string.Join(' ', Enumerable.Range(0, 50).Select(i => $"{(i == 0 ? "targets" : $"r{i}")}>r{i + 1}")));
        Assert.Equal(33, Walk(graph, "missing").Split(' ').Length);
        Assert.Equal("targets r1 r2", Walk(graph, "missing", most: 3));
    }

    [Theory]
    [InlineData("*", "a", true)]
    [InlineData("*", "a/b", false)]
    [InlineData("*/*", "a/b", true)]
    [InlineData("*.tgz", "foo.tgz", true)]
    [InlineData("*.tgz", "targets/foo.tgz", false)]
    [InlineData("foo-?.tgz", "foo-2.tgz", true)]
    [InlineData("foo-?.tgz", "foo-alpha.tgz", false)]
    [InlineData("foo.tgz", "foo.tgz", true)]
    [InlineData("foo.tgz", "FOO.tgz", false)]
    [InlineData("releases/*/*/*", "releases/plant/bearing/1.0.0.json", true)]
    [InlineData("releases/*/*/*", "releases/plant/1.0.0.json", false)]
    [InlineData("releases/*/*/*", "releases/a/b/c/d", false)]
    [InlineData("a*b*c", "aXbXbXc", true)]
    [InlineData("a*b*c", "aXcXb", false)]
    [InlineData("a?", "a/", false)]
    [InlineData("", "", true)]
    [InlineData("**", "ab", true)]
    [InlineData("[ab]", "a", false)]
    [InlineData("[ab]", "[ab]", true)]
    public void Stars_and_question_marks_match_within_one_part_of_a_path(string pattern, string path, bool covers) =>
        Assert.Equal(covers, Role(draft => draft.Delegate("r", [pattern], false, 1, _key.Public)).Delegations!.Roles[0].Covers(path));

    [Fact]
    public void A_pattern_made_to_be_slow_is_not()
    {
        var pattern = string.Concat(Enumerable.Repeat("*a", 2000)) + "b";
        var role = Role(draft => draft.Delegate("r", [pattern], false, 1, _key.Public)).Delegations!.Roles[0];
        Assert.False(role.Covers(new string('a', 4000))); // exponential matching would never end
    }

    // SHA-256 of "path/to/file" is c10e24a8…; its first bits are 1, 1100, 11000001, 1100000100.
    [Theory]
    [InlineData(1, "bin-1")]
    [InlineData(4, "bin-c")]
    [InlineData(8, "bin-c1")]
    [InlineData(10, "bin-304")]
    [InlineData(32, "bin-c10e24a8")]
    public void A_hash_bin_is_named_by_the_first_bits_of_the_paths_digest(int bits, string name)
    {
        var bins = Succinct(bits);
        Assert.Equal(name, bins.BinOf("path/to/file"));
        Assert.True(bins.Contains(name));
        Assert.Equal(1L << bits, bins.BinCount);
    }

    [Theory]
    [InlineData("bin-00", true)]
    [InlineData("bin-ff", true)]
    [InlineData("bin-FF", false)]
    [InlineData("bin-100", false)]
    [InlineData("bin-0", false)]
    [InlineData("bin_00", false)]
    [InlineData("other-00", false)]
    public void Only_names_that_a_bin_can_have_are_bins(string role, bool isBin) => Assert.Equal(isBin, Succinct(8).Contains(role));

    [Fact]
    public void Path_hash_prefixes_cover_what_their_digest_begins_with()
    {
        var digest = Sha256Digest.Of("x/y"u8).ToString();
        var role = Delegated(item => item["path_hash_prefixes"] = new JsonArray("zz", digest[..5]));
        Assert.True(role.Covers("x/y"));
        Assert.False(role.Covers("x/z"));
    }

    DelegatedRole Delegated(Action<JsonObject> change)
    {
        var file = new TargetsDraft(null).Delegate("r", ["*"], false, 1, _key.Public).Sign(TestRepository.Later, _key);
        var edited = TestRepository.Edit(file, signed =>
        {
            var item = signed["delegations"]!["roles"]![0]!.AsObject();
            item.Remove("paths");
            change(item);
        });
        return MetadataFile.ReadTargets(edited).Signed.Delegations!.Roles[0];
    }

    SuccinctRoles Succinct(int bits)
    {
        var file = new TargetsDraft(null).Delegate("r", ["*"], false, 1, _key.Public).Sign(TestRepository.Later, _key);
        var edited = TestRepository.Edit(file, signed =>
        {
            var delegations = signed["delegations"]!.AsObject();
            delegations.Remove("roles");
            delegations["succinct_roles"] = new JsonObject
            {
                ["keyids"] = new JsonArray(_key.KeyId),
                ["threshold"] = 1,
                ["bit_length"] = bits,
                ["name_prefix"] = "bin",
            };
        });
        return MetadataFile.ReadTargets(edited).Signed.Delegations!.Succinct!;
    }

    [Fact]
    public void A_delegation_has_either_paths_or_prefixes_a_name_of_its_own_and_keys_each_once()
    {
        foreach (var change in (Action<JsonObject>[])
        [
            _ => { },
            item => (item["paths"], item["path_hash_prefixes"]) = (new JsonArray(), new JsonArray()),
            item => (item["paths"], item["name"]) = (new JsonArray("*"), "snapshot"),
            item => (item["paths"], item["threshold"]) = (new JsonArray("*"), 0),
            item => (item["paths"], item["keyids"]) = (new JsonArray("*"), new JsonArray("k", "k")),
            item => (item["paths"], item["terminating"]) = (new JsonArray("*"), "no"),
            item => item["paths"] = new JsonArray(1),
        ])
            TestRepository.Refused(Distrust.Malformed, "targets", () => Delegated(change));
    }
}
