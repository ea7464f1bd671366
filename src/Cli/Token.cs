using System.Collections.Immutable;
using System.CommandLine;
using Coppice.Access;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice token</c>: what programs and people show the server.</summary>
public static class TokenCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("token", "API tokens of operators.") { Json, Create(server), List(server), Revoke(server) };
        server.AddTo(command);
        return command;
    }

    static Command Create(ServerOptions server)
    {
        var name = new Argument<string>("name") { Description = "What it is for: 'publish from CI'." };
        var owner = new Option<string?>("--operator") { Description = "Whose it is; left out, one's own." };
        var grants = GrantOption.Of("Narrows the operator's rights: 'publisher on vision/*'. Left out, the token opens all that its operator may.");
        var expires = new Option<string>("--expires") { Description = "How long it is good for, up to a year.", DefaultValueFactory = _ => "90d" };
        var command = new Command("create", "Makes a token and tells it, once.") { name, owner, grants, expires };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            if (!Duration.TryParse(parsed.GetValue(expires), out var life))
                throw new UsageException($"--expires: '{parsed.GetValue(expires)}' is not a duration; write it as 12h or 90d.");
            using var client = server.Connect(parsed);
            var token = await client.CreateTokenAsync(new(parsed.GetRequiredValue(name), life) { Operator = parsed.GetValue(owner), Grants = GrantOption.Read(parsed.GetValue(grants)) }, cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(token, ControlContext.Default.CreatedApiToken);
                return;
            }

            Console.Out.WriteLine(token.Token);
            await Console.Error.WriteLineAsync($"Token {token.View.Id} of {token.View.Operator}, good until {Output.Time(token.View.ExpiresAt)}. It is told only now; keep it as a secret.");
        }));
        return command;
    }

    static Command List(ServerOptions server)
    {
        var command = new Command("list", "Lists tokens: one's own, or everybody's for who manages operators.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var tokens = ImmutableArray.CreateBuilder<ApiTokenView>();
            for (string? next = null; ;)
            {
                var page = await client.ListTokensAsync(next, 1000, cancel);
                tokens.AddRange(page.Tokens);
                if ((next = page.Next) is null)
                    break;
            }

            if (parsed.GetValue(Json))
                Output.Json(new(tokens.ToImmutable()), ControlContext.Default.ApiTokenPage);
            else
                Output.Table(["TOKEN", "OPERATOR", "FOR", "MAY", "EXPIRES", "LAST USED", "STATE"], [.. tokens.OrderByDescending(token => token.CreatedAt).Select(token => new[]
                {
                    token.Id, token.Operator, token.Name, token.Grants.IsEmpty ? "all its operator may" : GrantOption.Text(token.Grants), Output.Time(token.ExpiresAt), Output.Time(token.LastUsedAt),
                    token.RevokedAt is { } at ? $"revoked {Output.Time(at)} by {token.RevokedBy}" : "good",
                })], "No token.");
        }));
        return command;
    }

    static Command Revoke(ServerOptions server)
    {
        var id = new Argument<string>("token") { Description = "The token's id, as 'coppice token list' shows it; not its text." };
        var command = new Command("revoke", "Revokes a token at once.") { id };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            // Whoever has the whole text at hand means that token.
            var wanted = ApiToken.TryParse(parsed.GetRequiredValue(id), out var whole) ? whole.Id : parsed.GetRequiredValue(id);
            var token = await client.RevokeTokenAsync(wanted, cancel);
            if (!parsed.GetValue(Json))
                Console.Out.WriteLine($"{token.Id} of {token.Operator} opens nothing any more.");
        }));
        return command;
    }
}

/// <summary>Grants on a command line: <c>--grant 'operator on vision/* where site = oslo'</c>.</summary>
static class GrantOption
{
    public static Option<string[]> Of(string description) => new("--grant") { Description = description + " May be repeated." };

    public static ImmutableArray<RoleGrant> Read(string[]? texts) => [.. (texts ?? []).Select(text => Grant.TrySplit(text, out var role, out var models, out var devices)
        ? new RoleGrant(role) { Models = models, Devices = devices }
        : throw new UsageException($"--grant: '{text}' is not a grant; write 'ROLE on MODELS where SELECTOR', as 'operator on vision/* where site = oslo'. Roles: {string.Join(", ", Enum.GetNames<Role>().Select(name => name.ToLowerInvariant()))}."))];

    public static string Text(ImmutableArray<RoleGrant> grants) => string.Join(", ", grants.Select(grant =>
        $"{Output.Words(grant.Role)} on {grant.Models}{(grant.Devices.Length == 0 ? "" : $" where {grant.Devices}")}"));
}
