using System.CommandLine;
using System.Text.RegularExpressions;
using Coppice.Rollouts;
using Coppice.Tests;
using YamlDotNet.RepresentationModel;

namespace Coppice.Cli.Tests;

/// <summary>What the guides tell people to type and to write.</summary>
public sealed partial class GuideTests
{
    static readonly string[] Guides = ["first-rollout.md", "canary.md", "ab-test.md", "sets.md"];

    static string Guide(string name) => File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "guides", name));

    public static TheoryData<string, string> Commands
    {
        get
        {
            var commands = new TheoryData<string, string>();
            foreach (var guide in Guides)
            {
                foreach (Match match in CommandLine().Matches(Guide(guide)))
                    commands.Add(guide, match.Groups[1].Value.Trim());
            }

            return commands;
        }
    }

    [Theory, MemberData(nameof(Commands))]
    public void Every_command_is_one_that_coppice_takes(string guide, string line)
    {
        Assert.NotEmpty(guide);
        var root = new RootCommand { RolloutCommand.Build(), ExperimentCommand.Build(), RehearseCommand.Build(), AgentCommand.Build(), ReleaseCommand.Build(), Publish.Build() };
        var parsed = root.Parse([.. Words().Matches(line).Select(word => word.Value.Trim('"', '\'')).Skip(1)]);
        Assert.Empty(parsed.Errors.Select(error => $"{line}: {error.Message}"));
        Assert.NotNull(parsed.CommandResult.Command.Action);
    }

    /// <summary>The command lines of servers in the files of the guide to scaling out, by file and service.</summary>
    public static TheoryData<string, string[]> Servers
    {
        get
        {
            var servers = new TheoryData<string, string[]>();
            string Text(string name) => File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "guides", "scaling-out", name));
            foreach (var document in Documents(Text("kubernetes.yaml")).Where(document => document["kind"].ToString() == "Deployment"))
                servers.Add("kubernetes.yaml", [.. ((YamlSequenceNode)document["spec"]["template"]["spec"]["containers"][0]["args"]).Select(word => word.ToString())]);
            foreach (var (name, service) in (YamlMappingNode)Documents(Text("compose.yaml"))[0]["services"])
            {
                if (((YamlMappingNode)service).Children.TryGetValue("command", out var command))
                    servers.Add($"compose.yaml {name}", [.. ((YamlSequenceNode)command).Select(word => word.ToString())]);
            }

            servers.Add("coppice.service", [.. Text("coppice.service").Split('\n').Single(line => line.StartsWith("ExecStart=", StringComparison.Ordinal)).Split(' ').Skip(1)]);
            servers.Add("scaling-out.md", [.. Guide("scaling-out.md").Split('\n').Single(line => line.StartsWith("coppice serve", StringComparison.Ordinal)).Replace("'", "", StringComparison.Ordinal).Split(' ').Skip(1)]);
            return servers;
        }
    }

    [Theory, MemberData(nameof(Servers))]
    public void Every_server_of_the_guide_to_scaling_out_is_one_that_coppice_takes_and_shares_all_that_is_shared(string where, string[] words)
    {
        var parsed = new RootCommand { ServeCommand.Build() }.Parse(words, new ParserConfiguration { ResponseFileTokenReplacer = null }); // as the program reads them

        Assert.Empty(parsed.Errors.Select(error => $"{where}: {error.Message}"));
        Assert.Equal("serve", parsed.CommandResult.Command.Name);
        Assert.All(new[] { "--data", "--database", "--cluster-key", "--blobs", "--trust-proxy" }, option => Assert.Contains(option, words));
        var blobs = parsed.GetRequiredValue<string>("--blobs");
        Assert.True(!blobs.StartsWith("s3:", StringComparison.Ordinal) || Server.Storage.BucketAddress.TryParse(blobs, out _, out _), blobs);
    }

    static List<YamlNode> Documents(string yaml)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(yaml));
        return [.. stream.Documents.Select(document => document.RootNode)];
    }

    public static TheoryData<string, string> Plans
    {
        get
        {
            var plans = new TheoryData<string, string>();
            foreach (var (folder, name) in Guides.Select(guide => ("guides", guide)).Append(("formats", "rollout.md")))
            {
                foreach (Match match in YamlBlock().Matches(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", folder, name))))
                    plans.Add(name, match.Groups[1].Value);
            }

            return plans;
        }
    }

    [Theory, MemberData(nameof(Plans))]
    public void Every_plan_is_one(string guide, string yaml)
    {
        var plan = PlanFile.Read(yaml, guide);

        Assert.Equal(guide == "sets.md" ? "plant/rag" : "plant/bearing", plan.Model.ToString());
    }

    [Theory]
    [InlineData(10)]
    [InlineData(1_000_000)]
    public void The_plan_that_coppice_makes_is_one_and_suits_the_fleet(int devices)
    {
        var plan = PlanFile.Read(PlanFile.Draft("plant/bearing", "1.4.0", devices), "draft");

        Assert.Equal(devices < 2_000 ? 0 : null, plan.Policy.MaxFailures);
        Assert.Equal(devices >= 2_000, plan.Gates.Any(gate => gate.Kind == GateKind.Failures));
        Assert.Equal(1, plan.Phases[^1].Share);
    }

    [Fact]
    public void Everything_wrong_with_a_plan_is_said_at_once_with_its_line()
    {
        var said = Assert.Throws<UsageException>(() => PlanFile.Read(
            """
            model: Plant/bearing
            phases:
              - { share: 10 %, sok: 4h }
              - { share: 5 %, soak: soon }
            gates:
              - { gate: failurs, max: 2 % }
              - { gate: metric, metric: x, against: before }
            windows: ["25:00-26:00"]
            deadline: 24
            policy: hold
            """, "plan.yaml")).Message.Split(Environment.NewLine);

        Assert.Equal(
            [
                "plan.yaml:1: model", "plan.yaml:1: release", "plan.yaml:3: phases[0].sok", "plan.yaml:4: phases[1].soak", "plan.yaml:10: policy", "plan.yaml:8: windows[0]",
                "plan.yaml:6: gates[0].gate", "plan.yaml:9: deadline", "plan.yaml:4: phases[1].share", "plan.yaml:7: gates[1]",
            ],
            said.Select(line => line[..line.IndexOf(':', line.IndexOf(": ", StringComparison.Ordinal) + 1)]).Distinct());
    }

    [Theory]
    [InlineData("model: a/b\nmodel: a/c")]
    [InlineData("- 1")]
    [InlineData("a: [")]
    [InlineData("a: *b")]
    [InlineData("")]
    [InlineData("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]")]
    public void What_is_no_plan_is_refused_in_words(string text) => Assert.Contains("x.yaml", Assert.Throws<UsageException>(() => PlanFile.Read(text, "x.yaml")).Message, StringComparison.Ordinal);

    [GeneratedRegex(@"(?:^|`)(coppice (?:rollout|experiment|rehearse|agent|release|publish)[^`\n]*)", RegexOptions.Multiline)]
    private static partial Regex CommandLine();

    [GeneratedRegex("""\"[^"]*\"|'[^']*'|\S+""")]
    private static partial Regex Words();

    [GeneratedRegex(@"```yaml\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex YamlBlock();
}
