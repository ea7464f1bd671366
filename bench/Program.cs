using Coppice.Bench.Agent;
using Coppice.Bench.Delivery;
using Coppice.Bench.Delta;
using Coppice.Bench.Identity;
using Coppice.Bench.Inference;
using Coppice.Bench.Mirror;
using Coppice.Bench.Rollouts;
using Coppice.Bench.Sealing;
using Coppice.Bench.Server;
using Coppice.Bench.Trust;

if (args is ["inference", .. var rest])
    return InferenceBench.Run(rest);
if (args is ["delta", .. var pairs])
    return DeltaBench.Run(pairs);
if (args is ["rollouts", .. var which])
    return RolloutBench.Run(which);
if (args is ["agent", .. var what])
    return await AgentBench.RunAsync(what);
if (args is ["ways", .. var ways])
    return await WaysBench.RunAsync(ways);
if (args is [("mirror" or "server") and var ours, var program])
    return await MirrorBench.RunAsync(program, ours);
if (args is ["bundle", var bundled, .. var length])
    return BundleBench.Run(bundled, length is [var megabytes] ? int.Parse(megabytes, System.Globalization.CultureInfo.InvariantCulture) : 1_000);
if (args is ["trust"])
    return await TrustBench.RunAsync();
if (args is ["identity"])
    return await IdentityBench.RunAsync();
if (args is ["retention", .. var reported])
    return await RetentionBench.RunAsync(reported is [var kept] ? kept : null);
if (args is ["reports", .. var where])
    return await ReportBench.RunAsync(where is [var database] ? database : null);
if (args is ["devices", .. var place])
    return await DeviceBench.RunAsync(place is [var there] ? there : null);
if (args is ["fleet", .. [_, ..] and var fleet])
    return await FleetBench.RunAsync(fleet);
if (args is ["sealing", .. var sealing])
    return SealingBench.Run(sealing);

Console.Error.WriteLine("Say what to measure: sealing | identity | trust | ways pairs FOLDER | ways memory [MEGABYTES] | inference [--json] | delta FOLDER… | delta make FILE FOLDER | agent lease | agent switch MODEL | agent shadow MODEL | agent fetch | agent memory COPPICE | mirror COPPICE | server COPPICE | bundle COPPICE [MEGABYTES] | rollouts power | rollouts rehearse [DEVICES] | reports [DATABASE] | retention [DATABASE] | devices [DATABASE] | fleet COPPICE [DEVICES [MINUTES [POLL SECONDS]]]");
return 2;
