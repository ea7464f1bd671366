using System.Globalization;
using Coppice.Server;
using Coppice.Server.Storage;

// coppice-server-tests DATA [DATABASE CLUSTER-KEY BLOBS MINUTES]: a server of its own, until it is told to stop; MINUTES: how far its clock is ahead.
var options = new ControlPlaneOptions { Data = args[0], Listen = "http://127.0.0.1:0" };
if (args.Length > 1)
{
    options = options with
    {
        Database = PostgresAddress.TryParse(args[1], out var address, out var problem) ? address : throw new ArgumentException(problem),
        ClusterKeyFile = args[2],
        BlobFolder = args[3],
        Time = new ShiftedClock(TimeSpan.FromMinutes(double.Parse(args[4], CultureInfo.InvariantCulture))),
        LogLevel = Microsoft.Extensions.Logging.LogLevel.Information,
    };
}

await using var server = await ControlPlane.StartAsync(options);
Console.WriteLine(server.Url);
await server.WaitForShutdownAsync(CancellationToken.None);
return 0;

/// <summary>A machine's clock that is wrong.</summary>
sealed class ShiftedClock(TimeSpan ahead) : TimeProvider
{
    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + ahead;
}
