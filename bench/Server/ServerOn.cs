using Coppice.Server;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Coppice.Bench.Server;

/// <summary>A server of this process in a folder of its own, on either database, for as long as something of it is measured.</summary>
static class ServerOn
{
    /// <param name="database">Address of a PostgreSQL database; null for SQLite in the folder.</param>
    /// <param name="measure">Told the server, its tables, and whether they are PostgreSQL's.</param>
    public static async Task<int> RunAsync(string? database, Func<ControlPlane, Database, bool, Task> measure)
    {
        var data = Directory.CreateTempSubdirectory("coppice-bench-").FullName;
        PostgresAddress? address = null;
        if (database is not null && !PostgresAddress.TryParse(database, out address, out var problem))
            throw new ArgumentException(problem);
        await using (var plane = await ControlPlane.StartAsync(new() { Data = data, Listen = "http://127.0.0.1:0", Database = address, Patches = false }))
        {
            var tables = plane.Services.GetRequiredService<Database>();
            await tables.WriteAsync(async db => // a PostgreSQL database may have been measured with before
                await db.Reports.ExecuteDeleteAsync() + await db.DeviceModels.ExecuteDeleteAsync() + await db.DeviceMarks.ExecuteDeleteAsync() + await db.Devices.ExecuteDeleteAsync(), CancellationToken.None);
            await measure(plane, tables, address is not null);
        }

        Directory.Delete(data, recursive: true);
        return 0;
    }
}
