using System.CommandLine;

namespace Coppice.Cli.Publishing;

/// <summary>Passwords of key files: from a file, from the environment, or typed without being shown. Never from the command line, which other users of the machine see.</summary>
static class KeyPassword
{
    /// <summary>Environment variable that holds the password of key files.</summary>
    public const string Variable = "COPPICE_KEY_PASSWORD";

    /// <summary>Environment variable that holds the PIN of a token.</summary>
    public const string PinVariable = "COPPICE_KEY_PIN";

    /// <summary>A new <c>--password</c> option.</summary>
    public static Option<string?> Option(string name = "--password") =>
        new(name) { Description = $"@FILE that holds the password of the key; else {Variable}, else it is asked for." };

    /// <summary>The password of a key that is there; null when none is given and nobody can be asked.</summary>
    /// <param name="option">What <c>--password</c> says.</param>
    /// <param name="what">What it opens, for the person who is asked.</param>
    public static string? Existing(string? option, string what) => Given(option) ?? (CanAsk ? Ask($"Password of {what}: ") : null);

    /// <summary>The password for a new key.</summary>
    /// <exception cref="UsageException">None is given and nobody can be asked, or it is empty, or the two that were typed differ.</exception>
    public static string New(string? option, string what)
    {
        if (Given(option) is { } given)
            return given.Length > 0 ? given : throw new UsageException("The password is empty; give one, or --no-password for a key that a server opens by itself.");
        if (!CanAsk)
            throw new UsageException($"Nobody can be asked for the password of {what}; give --password @FILE or set {Variable}, or --no-password for a key that a server opens by itself.");
        var first = Ask($"New password of {what}: ");
        if (first.Length == 0)
            throw new UsageException("The password is empty; give one, or --no-password for a key that a server opens by itself.");
        return Ask("The same again: ") == first ? first : throw new UsageException("The two passwords differ; start again.");
    }

    /// <summary>The PIN of a token.</summary>
    /// <exception cref="PublicationException">None is given and nobody can be asked.</exception>
    public static string Pin(string? file, string token)
    {
        if (file is not null)
            return ReadFile(file);
        return Environment.GetEnvironmentVariable(PinVariable)
            ?? (CanAsk ? Ask($"PIN of the token {token}: ") : throw new PublicationException($"Nobody can be asked for the PIN of the token {token}; give pin-source=FILE in its address, or set {PinVariable}."));
    }

    static bool CanAsk => !Console.IsInputRedirected;

    static string? Given(string? option)
    {
        if (option is null)
            return Environment.GetEnvironmentVariable(Variable);
        return option.StartsWith('@')
            ? ReadFile(option[1..])
            : throw new UsageException($"--password takes @FILE, the name of a file that holds the password: others on this machine see command lines. Or set {Variable}.");
    }

    static string ReadFile(string file)
    {
        try
        {
            return File.ReadAllText(file).TrimEnd('\n', '\r');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{file}, which is to hold a password, cannot be read ({e.Message}).");
        }
    }

    static string Ask(string question)
    {
        Console.Error.Write(question);
        var text = new System.Text.StringBuilder();
        for (var key = Console.ReadKey(intercept: true); key.Key != ConsoleKey.Enter; key = Console.ReadKey(intercept: true))
        {
            if (key.Key == ConsoleKey.Backspace)
                text.Length = Math.Max(0, text.Length - 1);
            else if (key.KeyChar != '\0')
                text.Append(key.KeyChar);
        }

        Console.Error.WriteLine();
        return text.ToString();
    }
}
