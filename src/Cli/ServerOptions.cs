using System.CommandLine;
using Coppice.Client;

namespace Coppice.Cli;

/// <summary>Which server, and as whom: <c>--server</c> and <c>--token</c>, or the environment.</summary>
public sealed class ServerOptions
{
    /// <summary>Environment variable in place of <c>--server</c>.</summary>
    public const string ServerVariable = "COPPICE_SERVER";

    /// <summary>Environment variable in place of <c>--token</c>.</summary>
    public const string TokenVariable = "COPPICE_TOKEN";

    const string DefaultServer = "http://127.0.0.1:8420";

    readonly Option<string?> server = new("--server") { Description = $"Address of the server; else {ServerVariable}, else {DefaultServer}.", Recursive = true };
    readonly Option<string?> token = new("--token") { Description = $"An operator's token, or @FILE that holds it; else {TokenVariable}, else the sign-in of 'coppice login'.", Recursive = true };

    readonly Option<string?> roots = new("--roots") { Description = $"PEM file of the roots that alone vouch for the server, such as its v1/authority/roots.pem; else {ServerRoots.Variable}, else public ones.", Recursive = true };

    /// <summary>Gives a command, and the ones below it, these options.</summary>
    public void AddTo(Command command)
    {
        command.Options.Add(server);
        command.Options.Add(token);
        command.Options.Add(roots);
    }

    /// <summary>A client as the options say.</summary>
    /// <exception cref="UsageException">An option cannot be read, or the token is missing.</exception>
    public CoppiceClient Connect(ParseResult parsed)
    {
        var address = Server(parsed);
        return parsed.GetValue(token) is null && string.IsNullOrWhiteSpace(Environment.GetEnvironmentVariable(TokenVariable)) && KeptSignIn.Exists(address)
            ? new(address, cancel => KeptSignIn.TokenAsync(address, DateTimeOffset.UtcNow, cancel), Connections(parsed))
            : new(address, Token(parsed), Connections(parsed));
    }

    /// <summary>How connections to the server are made.</summary>
    /// <exception cref="UsageException">The file of roots cannot be read.</exception>
    public SocketsHttpHandler Connections(ParseResult parsed) => ServerRoots.Handler(parsed.GetValue(roots));

    /// <summary>The server's address.</summary>
    /// <exception cref="UsageException">It is no address.</exception>
    public Uri Server(ParseResult parsed)
    {
        var text = parsed.GetValue(server) ?? Environment.GetEnvironmentVariable(ServerVariable) ?? DefaultServer;
        return Uri.TryCreate(text.EndsWith('/') ? text : text + "/", UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
            ? address
            : throw new UsageException($"--server: '{text}' is not an address; write it as https://coppice.example.org.");
    }

    string Token(ParseResult parsed) => Token(parsed.GetValue(token));

    /// <summary>The operator's token: as given, else from <see cref="TokenVariable"/>; read from its file where it begins with '@'.</summary>
    /// <exception cref="UsageException">There is none, or its file cannot be read.</exception>
    public static string Token(string? given)
    {
        var text = given ?? Environment.GetEnvironmentVariable(TokenVariable);
        if (string.IsNullOrWhiteSpace(text))
            throw new UsageException($"--token is missing; give it, set {TokenVariable}, or sign in with 'coppice login'. The first token is in the file admin.token of the server's data folder: --token @DATA/admin.token");
        if (!text.StartsWith('@'))
            return text.Trim();
        try
        {
            return File.ReadAllText(text[1..]).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--token: {text[1..]} cannot be read ({e.Message}).");
        }
    }
}

/// <summary>The command line is at fault.</summary>
public sealed class UsageException(string message) : Exception(message);
