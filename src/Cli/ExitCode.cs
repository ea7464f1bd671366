namespace Coppice.Cli;

/// <summary>What the program's exit says; the same for every verb (<c>coppice tuf</c>, which has its suite's, excepted).</summary>
static class ExitCode
{
    /// <summary>Done as asked.</summary>
    public const int Done = 0;

    /// <summary>Understood, and refused or failed; standard error says why.</summary>
    public const int Failed = 1;

    /// <summary>Taken, and waits for another person to approve it; nothing is done yet.</summary>
    public const int Awaits = 3;

    /// <summary>Not understood: the command line is wrong.</summary>
    public const int Usage = 2;
}
