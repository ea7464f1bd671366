using Coppice.Server;

// coppice-server-tests DATA: a server of its own, until it is told to stop.
await using var server = await ControlPlane.StartAsync(new() { Data = args[0], Listen = "http://127.0.0.1:0" });
Console.WriteLine(server.Url);
await server.WaitForShutdownAsync(CancellationToken.None);
return 0;
