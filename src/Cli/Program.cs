using System.CommandLine;
using Coppice.Cli;

// These run on the smallest devices: there, the other verbs would take memory and time for nothing.
var root = args is ["patch", ..] ? new RootCommand { Patch.Build() } : args is ["agent", ..] ? new RootCommand { AgentCommand.Build() } : new RootCommand("Coppice keeps the AI models on devices current: ship, try, switch, watch, take back.")
{
    QuickstartCommand.Build(),
    Publish.Build(),
    Verify.Build(),
    BundleCommand.Build(),
    MirrorCommand.Build(),
    Repository.Build(),
    KeyCommand.Build(),
    RootKeys.Build(),
    DelegateCommand.Build(),
    SignCommand.Build(),
    ServeCommand.Build(),
    AdminCommand.Build(),
    AgentCommand.Build(),
    DeviceCommand.Build(),
    GroupCommand.Build(),
    ModelCommand.Build(),
    ReleaseCommand.Build(),
    RolloutCommand.Build(),
    ExperimentCommand.Build(),
    RehearseCommand.Build(),
    JoinTokenCommand.Build(),
    DdiTokenCommand.Build(),
    AuthorityCommand.Build(),
    SealCommand.Build(),
    OperatorCommand.Build(),
    TokenCommand.Build(),
    PolicyCommand.Build(),
    LoginCommand.Build(),
    LoginCommand.BuildLogout(),
    AuditCommand.Build(),
    EventCommand.Build(),
    WebhookCommand.Build(),
    CompletionCommand.Build(),
    Inspect.Build(),
    Compare.Build(),
    Patch.Build(),
    Tuf.Build(),
};

// '@' begins a token's file and may begin a reason or a note; it never means a file of more arguments.
var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });

// Server and agent end themselves on SIGTERM, in their own time; System.CommandLine would cut them off.
var code = await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
return parsed.Errors.Count > 0 && !args.Contains("tuf") ? ExitCode.Usage : code;
