using System.CommandLine;
using Coppice.Cli;

var root = new RootCommand("Coppice keeps the AI models on devices current: ship, try, switch, watch, take back.")
{
    Publish.Build(),
    Repository.Build(),
    Tuf.Build(),
};
return await root.Parse(args).InvokeAsync();
