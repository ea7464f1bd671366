using System.CommandLine;
using Coppice.Cli;

var root = new RootCommand("Coppice keeps the AI models on devices current.")
{
    ServeCommand.Build(), DeviceCommand.Build(), ModelCommand.Build(), ReleaseCommand.Build(), RolloutCommand.Build(), JoinTokenCommand.Build(), Tuf.Build(),
};
var parsed = root.Parse(args);
// The server ends itself on SIGTERM, in its own time; System.CommandLine would cut it off.
var code = await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
return parsed.Errors.Count > 0 ? Output.Misused : code;
