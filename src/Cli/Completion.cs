using System.CommandLine;

namespace Coppice.Cli;

/// <summary><c>coppice completion</c>: the shell asks this program itself what could come next, so that the script never lags behind.</summary>
public static class CompletionCommand
{
    // System.CommandLine answers '[suggest:POSITION] LINE' with one candidate a line.
    const string Bash = """
        _coppice() {
            local IFS=$'\n'
            COMPREPLY=($(compgen -W "$(coppice "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _coppice coppice
        """;

    const string Zsh = """
        #compdef coppice
        _coppice() {
            local -a candidates
            candidates=("${(@f)$(coppice "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}")
            compadd -a candidates
        }
        compdef _coppice coppice
        """;

    const string Fish = """
        function __coppice_complete
            set -l line (commandline -cp)
            coppice "[suggest:"(string length -- $line)"]" "$line" 2>/dev/null
        end
        complete -c coppice -f -a '(__coppice_complete)'
        """;

    public static Command Build()
    {
        var command = new Command("completion", "Writes a script that completes this program's commands in a shell.")
        {
            For("bash", Bash, "source <(coppice completion bash)"),
            For("zsh", Zsh, "source <(coppice completion zsh)"),
            For("fish", Fish, "coppice completion fish | source"),
        };
        return command;
    }

    static Command For(string shell, string script, string use)
    {
        var command = new Command(shell, $"For {shell}: {use}");
        command.SetAction(_ =>
        {
            Console.Out.WriteLine(script);
            return ExitCode.Done;
        });
        return command;
    }
}
