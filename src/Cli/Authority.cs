using System.CommandLine;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice ca</c>: the authorities that certify devices and the server's TLS.</summary>
public static class AuthorityCommand
{
    public static Command Build()
    {
        var server = new ServerOptions();
        var json = Output.JsonOption();
        var command = new Command("ca", "The authorities that certify devices and the server's TLS.") { json, List(server, json), Rotate(server, json), Request(server), Import(server, json) };
        server.AddTo(command);
        return command;
    }

    static Command List(ServerOptions server, Option<bool> json)
    {
        var command = new Command("list", "Lists the authorities, oldest first; the last one issues.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            Show(await client.ListAuthoritiesAsync(cancel), parsed.GetValue(json));
        }));
        return command;
    }

    static Command Rotate(ServerOptions server, Option<bool> json)
    {
        var command = new Command("rotate", "Makes a new authority that issues from now on. What the ones before have issued stays good, and devices learn of it by themselves.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            Show(await client.RotateAuthorityAsync(cancel), parsed.GetValue(json));
        }));
        return command;
    }

    static Command Request(ServerOptions server)
    {
        var output = new Option<FileInfo?>("-o", "--output") { Description = "File to write; else standard output." };
        var command = new Command("request", "Writes a request, PKCS#10, for a certificate by which the server issues below an authority elsewhere.") { output };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var pem = (await client.RequestAuthorityAsync(cancel)).Pem;
            if (parsed.GetValue(output) is not { } file)
                Console.Out.Write(pem);
            else
                await File.WriteAllTextAsync(file.FullName, pem, cancel);
        }));
        return command;
    }

    static Command Import(ServerOptions server, Option<bool> json)
    {
        var file = new Argument<FileInfo>("certificates") { Description = "PEM: the certificate that was made of the request, and those above it up to the root." };
        var command = new Command("import", "Takes the certificate of the request: the server issues below that authority from now on.") { file };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            string pem;
            try
            {
                pem = await File.ReadAllTextAsync(parsed.GetRequiredValue(file).FullName, cancel);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new UsageException($"{parsed.GetRequiredValue(file).FullName} cannot be read: {e.Message}");
            }

            using var client = server.Connect(parsed);
            Show(await client.ImportAuthorityAsync(pem, cancel), parsed.GetValue(json));
        }));
        return command;
    }

    static void Show(AuthorityList list, bool json)
    {
        if (json)
            Output.Json(list, ControlContext.Default.AuthorityList);
        else
        {
            Output.Table(["#", "AUTHORITY", "BELOW", "EXPIRES", "PIN"], [.. list.Authorities.Select(authority => new[]
            {
                $"{authority.Number}", authority.Subject, authority.Root == authority.Subject ? "-" : authority.Root, Output.Time(authority.Expires), authority.Pin.ToString(),
            })], "No authority.");
        }
    }
}
