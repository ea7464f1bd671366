using Coppice.Bench.Inference;

if (args is ["inference", .. var rest])
    return InferenceBench.Run(rest);

Console.Error.WriteLine("Say what to measure: inference [--json]");
return 2;
