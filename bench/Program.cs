using Coppice.Bench.Agent;
using Coppice.Bench.Delta;
using Coppice.Bench.Inference;

if (args is ["inference", .. var rest])
    return InferenceBench.Run(rest);
if (args is ["agent", .. var what])
    return await AgentBench.RunAsync(what);
if (args is ["delta", .. var pairs])
    return DeltaBench.Run(pairs);

Console.Error.WriteLine("Say what to measure: inference [--json] | agent | delta FOLDER…");
return 2;
