using Coppice.Bench.Delta;
using Coppice.Bench.Inference;

if (args is ["inference", .. var rest])
    return InferenceBench.Run(rest);
if (args is ["delta", .. var pairs])
    return DeltaBench.Run(pairs);

Console.Error.WriteLine("Say what to measure: inference [--json], delta FOLDER…");
return 2;
