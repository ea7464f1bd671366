using System.CommandLine;
using Coppice.Client;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice login</c> and <c>coppice logout</c>: a person signs in at the identity provider that the server trusts.</summary>
public static class LoginCommand
{
    public static Command Build()
    {
        var server = new ServerOptions();
        var issuer = new Option<string?>("--issuer") { Description = "The identity provider; left out, the one that the server names." };
        var client = new Option<string?>("--client-id") { Description = "This program's id there; left out, as the server says." };
        var scopes = new Option<string?>("--scopes") { Description = "What to ask for; left out, as the server says." };
        var browser = new Option<bool>("--browser") { Description = "Sign in with a browser on this machine, in place of a code typed in anywhere." };
        var command = new Command("login", "Signs in as a person, and keeps the sign-in for this user.") { issuer, client, scopes, browser };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var address = server.Server(parsed);
            SignIn where;
            if (parsed.GetValue(issuer) is { } given)
                where = new(given, parsed.GetValue(client) ?? throw new UsageException("--client-id is missing; with --issuer, give this program's id there too."), "openid email profile groups offline_access");
            else
            {
                using var open = new CoppiceClient(address, (string?)null, server.Connections(parsed));
                where = await open.GetSignInAsync(cancel);
            }

            where = where with { ClientId = parsed.GetValue(client) ?? where.ClientId, Scopes = parsed.GetValue(scopes) ?? where.Scopes };
            using var provider = await IdentityProvider.DiscoverAsync(where, cancel);
            var signedIn = parsed.GetValue(browser) || provider.DeviceEndpoint is null
                ? await provider.SignInByBrowserAsync(Say, cancel)
                : await provider.SignInByCodeAsync(Say, TimeProvider.System, cancel);
            KeptSignIn.Keep(address, signedIn);
            using var known = new CoppiceClient(address, signedIn.IdToken, server.Connections(parsed));
            var me = await known.GetMeAsync(cancel);
            Console.Out.WriteLine($"Signed in to {address} as {me.Name}: {string.Join(", ", me.Rights.Select(GrantOption.Text))}");
        }));
        server.AddTo(command);
        return command;
    }

    public static Command BuildLogout()
    {
        var server = new ServerOptions();
        var command = new Command("logout", "Forgets the sign-in of this user.");
        command.SetAction((parsed, _) => Output.RunAsync(() =>
        {
            Console.Out.WriteLine(KeptSignIn.Forget(server.Server(parsed)) ? "The sign-in is forgotten here. To end it everywhere, end the session at the identity provider." : "Nobody was signed in.");
            return Task.CompletedTask;
        }));
        server.AddTo(command);
        return command;
    }

    // To standard error, lest a script that reads the answer reads this.
    static void Say(string text) => Console.Error.WriteLine(text);
}
