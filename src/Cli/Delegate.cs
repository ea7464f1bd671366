using System.CommandLine;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice delegate</c>: which team signs which models.</summary>
static class DelegateCommand
{
    static readonly Option<string> TeamOption = new("--team") { Description = "The team's name: a-z, 0-9 and '-'.", Required = true };
    static readonly Option<string> RequestOption = new("--request") { Description = "The request's file, to be written.", Required = true };

    public static Command Build() => new("delegate", "Which team signs the releases of which models.") { Add(), Remove(), List() };

    static Command Add()
    {
        var patterns = new Argument<string[]>("MODELS") { Description = "One model, plant/bearing, or all that begin so: vision/*, vision/ocr-*.", Arity = ArgumentArity.OneOrMore };
        var keys = RootKeys.Keys("--key", "A team key's .pub file; repeat it.");
        var threshold = RootKeys.Threshold("--threshold", "How many of them must sign a release. Default: 1.");
        var (repo, token) = (Ceremony.Repo(), Ceremony.Token());
        var command = new Command("add", "Asks for models to be signed by a team's keys, and by nobody else's. For a team that is there: other models or keys than before.") { patterns, TeamOption, keys, threshold, RequestOption, repo, token };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            var models = parsed.GetRequiredValue(patterns).Select(text => TeamPattern.TryParse(text, out var pattern)
                ? pattern
                : throw new UsageException($"'{text}' is no model and no prefix of models; write plant/bearing, vision/* or vision/ocr-*.")).ToArray();
            var team = Team(parsed);
            if (RootKeys.Read(parsed.GetValue(keys)) is not { Length: > 0 } given)
                throw new UsageException("With which keys does the team sign? Give --key FILE.pub.");
            using var repository = Ceremony.Open(parsed.GetValue(repo), null, parsed.GetValue(token));
            var request = KeyCeremony.Delegate(
                team, models, new(parsed.GetValue(threshold) ?? 1, given), await RootKeys.PresentAsync(repository, cancel), await repository.LastOfAsync(RepositoryLayout.TeamRole(team), cancel), TimeProvider.System.GetUtcNow());
            Ceremony.WriteNew(parsed.GetRequiredValue(RequestOption), request);
        }));
        return command;
    }

    static Command Remove()
    {
        var (repo, token) = (Ceremony.Repo(), Ceremony.Token());
        var command = new Command("remove", "Asks for a team to sign no more. What it published stays, signed anew by whoever has its models then.") { TeamOption, RequestOption, repo, token };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            using var repository = Ceremony.Open(parsed.GetValue(repo), null, parsed.GetValue(token));
            Ceremony.WriteNew(parsed.GetRequiredValue(RequestOption), KeyCeremony.Undelegate(Team(parsed), await RootKeys.PresentAsync(repository, cancel), TimeProvider.System.GetUtcNow()));
        }));
        return command;
    }

    static Command List()
    {
        var (repo, token, json) = (Ceremony.Repo(), Ceremony.Token(), Output.JsonOption());
        var command = new Command("list", "Lists who signs releases of which models, in the order in which devices ask.") { repo, token, json };
        command.SetAction((parsed, cancel) => Ceremony.RunAsync(async () =>
        {
            using var repository = Ceremony.Open(parsed.GetValue(repo), null, parsed.GetValue(token));
            var status = await repository.StatusAsync(cancel);
            var signers = status with { Roles = [.. status.Roles.Where(role => RepositoryLayout.IsReleaseRole(role.Role))] };
            if (parsed.GetValue(json))
                Output.Json(signers, ControlContext.Default.RepositoryView);
            else
                RootKeys.Tell(signers);
        }));
        return command;
    }

    static string Team(ParseResult parsed)
    {
        try
        {
            _ = RepositoryLayout.TeamRole(parsed.GetRequiredValue(TeamOption));
            return parsed.GetRequiredValue(TeamOption);
        }
        catch (ArgumentException e)
        {
            throw new UsageException($"--team: {e.Message}");
        }
    }
}
