using Coppice.Bench.Agent;
using Coppice.Bench.Inference;

if (args is ["inference", .. var rest])
    return InferenceBench.Run(rest);

if (args is ["agent", .. var what])
    return await AgentBench.RunAsync(what);

Console.Error.WriteLine("Say what to measure: inference [--json] | agent");
return 2;
