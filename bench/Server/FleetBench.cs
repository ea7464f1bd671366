using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Protocol.Signatures;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.Extensions.DependencyInjection;

namespace Coppice.Bench.Server;

/// <summary>A fleet against one server over HTTP: every device polls, reports, and takes a release that is rolled out in the middle.</summary>
/// <remarks>
/// Devices act when their time has come whether or not the server keeps up, each time over a connection of its own, as devices do that poll once a minute; an
/// answer's time runs from the moment at which the device should have begun. They check nothing that they fetch: what is measured is the server.
/// </remarks>
sealed class FleetBench(string coppice, int agents, TimeSpan length, TimeSpan poll)
{
    const int Addresses = 32; // of this machine: each has ports of its own
    const int EnrolledAtOnce = 32;
    const int EnrolledOverHttp = 1_000; // the others are put into the database: enrolling is measured by these
    static readonly ModelName Model = ModelName.Parse("fleet/model");
    static readonly TimeSpan Probation = TimeSpan.FromSeconds(10);

    readonly string folder = Directory.CreateTempSubdirectory("coppice-bench-fleet-").FullName;
    readonly ConcurrentDictionary<string, Task<RepositoryWalk>> walks = new(StringComparer.Ordinal);
    readonly Figures figures = new();
    readonly PriorityQueue<(Device Device, bool Settles), long> due = new();
    Process server = null!;
    Uri url = null!;
    int connected;
    int underWay;
    int mostUnderWay;
    int settled;

    sealed class Device(string id)
    {
        public string Id { get; } = id;
        public DeviceKey Key { get; } = DeviceKey.Create();
        public string? Tag { get; set; }
        public SemanticVersion? Serving { get; set; }
        public long Sequence { get; set; }
        public int Polls { get; set; }
    }

    public static async Task<int> RunAsync(string[] args)
    {
        string Of(int i, string otherwise) => args.Length > i ? args[i] : otherwise;
        var bench = new FleetBench(Path.GetFullPath(args[0]), int.Parse(Of(1, "100000"), CultureInfo.InvariantCulture),
            TimeSpan.FromMinutes(double.Parse(Of(2, "10"), CultureInfo.InvariantCulture)), TimeSpan.FromSeconds(double.Parse(Of(3, "60"), CultureInfo.InvariantCulture)));
        try
        {
            await bench.RunAsync();
            return 0;
        }
        finally
        {
            bench.server?.Kill();
            Directory.Delete(bench.folder, recursive: true);
        }
    }

    async Task RunAsync()
    {
        var devices = Enumerable.Range(0, agents).AsParallel().AsOrdered().Select(i => new Device(string.Create(CultureInfo.InvariantCulture, $"till-{i:000000}"))).ToArray();
        await KeepAsync(devices.Skip(EnrolledOverHttp));
        string[] serve = ["serve", "--data", Path.Combine(folder, "server"), "--listen", "http://127.0.0.1:0", "--log", "Warning", "--no-patches", "--enrolments-per-minute", "10000000", "--json"];
        server = Process.Start(new ProcessStartInfo(coppice, serve) { RedirectStandardOutput = true })!;
        url = new(JsonElement.Parse(await server.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("The server did not start.")).GetProperty("url").GetString()!);
        var file = Path.Combine(folder, "model.bin");
        await File.WriteAllBytesAsync(file, Enumerable.Range(0, 64 << 10).Select(i => (byte)(i * 31 + i / 256)).ToArray());
        await ToolAsync("publish", Model.ToString(), "1.0.0", file);

        await EnrolAsync([.. devices.Take(EnrolledOverHttp)]);
        var (cpu, began) = (server.TotalProcessorTime, Stopwatch.GetTimestamp());
        var random = new Random(1);
        foreach (var device in devices)
            due.Enqueue((device, false), began + Ticks(poll * random.NextDouble()));
        var memory = new List<long>();
        Task? rollout = null;
        for (var second = 0; Stopwatch.GetElapsedTime(began) < length;)
        {
            while (due.TryPeek(out var next, out var at) && at <= Stopwatch.GetTimestamp())
            {
                due.Dequeue();
                _ = ActAsync(next.Device, next.Settles, at); // whatever the others do
                if (!next.Settles)
                    due.Enqueue((next.Device, false), at + Ticks(poll));
            }

            TakeSettling();
            if (Stopwatch.GetElapsedTime(began) > length * 0.2)
                rollout ??= RollOutAsync();

            if (Stopwatch.GetElapsedTime(began).TotalSeconds >= second)
            {
                memory.Add(Resident());
                second++;
                if (second % 30 == 1)
                    Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{second - 1,4} s: {underWay} under way, {settled} settled, {figures.Errors} failed, {memory[^1] >> 20} MiB"));
            }

            await Task.Delay(2);
        }

        await rollout!;
        for (var i = 0; i < 600 && Volatile.Read(ref underWay) > 0; i++)
            await Task.Delay(100);
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{agents:N0} devices, {seconds:0} s, a poll every {poll.TotalSeconds:0} s, a connection for each: {figures.Errors} errors, {settled:N0} settled on the release, at most {mostUnderWay:N0} requests at once"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"server: {(server.TotalProcessorTime - cpu).TotalSeconds / seconds:0.00} cores; resident {memory[0] >> 20} MiB with the fleet enrolled, {memory.Max() >> 20} at most, {memory[^1] >> 20} at the end"));
        figures.Say(seconds);
        using var http = new HttpClient { BaseAddress = url, DefaultRequestHeaders = { Authorization = new("Bearer", await TokenAsync()) } };
        var view = JsonElement.Parse(await http.GetStringAsync("v1/rollouts/r-1?limit=1")).GetProperty("rollout");
        Console.WriteLine($"the server says: {view.GetProperty("counts").GetRawText().ReplaceLineEndings(" ")}");
    }

    async Task<string> TokenAsync() => (await File.ReadAllTextAsync(Path.Combine(folder, "server", "admin.token"))).Trim();

    /// <summary>Runs a verb of the program as an operator does.</summary>
    async Task ToolAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo(coppice, arguments)
        {
            Environment = { ["COPPICE_SERVER"] = url.ToString(), ["COPPICE_TOKEN"] = await TokenAsync(), ["COPPICE_KEYS"] = Path.Combine(folder, "server", "keys", "offline"), ["XDG_CONFIG_HOME"] = folder },
            RedirectStandardOutput = true,
        };
        using var process = Process.Start(start)!;
        _ = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"coppice {string.Join(' ', arguments)} ended with {process.ExitCode}.");
    }

    async Task RollOutAsync()
    {
        var file = Path.Combine(folder, "plan.yaml");
        await File.WriteAllTextAsync(file, string.Create(CultureInfo.InvariantCulture, $"model: {Model}\nrelease: 1.0.0\nphases: [{{ share: 100 % }}]\nspread: {(int)(length * 0.5).TotalSeconds}s\n"));
        await ToolAsync("rollout", "start", "-f", file);
    }

    long Resident() => 1024 * long.Parse(
        File.ReadLines($"/proc/{server.Id}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    static long Ticks(TimeSpan span) => (long)(span.TotalSeconds * Stopwatch.Frequency);

    /// <summary>Puts devices into the database of a server that is not yet running.</summary>
    async Task KeepAsync(IEnumerable<Device> devices)
    {
        await using var plane = await ControlPlane.StartAsync(new() { Data = Path.Combine(folder, "server"), Listen = "http://127.0.0.1:0", LogLevel = Microsoft.Extensions.Logging.LogLevel.Warning, Patches = false });
        var (database, now) = (plane.Services.GetRequiredService<Database>(), DateTimeOffset.UtcNow);
        foreach (var some in devices.Chunk(5_000))
        {
            await database.WriteAsync(db =>
            {
                db.Devices.AddRange(some.Select(device => new Coppice.Server.Fleet.DeviceRow
                {
                    Id = device.Id,
                    SigningKey = device.Key.Public.ToString(),
                    EnrolledAt = now,
                    LastSeen = now,
                    Facts = """{"os":"linux","ram":"4000000000"}""",
                    Labels = "{}",
                }));
                return Task.FromResult(true);
            }, CancellationToken.None);
        }
    }

    async Task EnrolAsync(Device[] devices)
    {
        using var control = new HttpClient { BaseAddress = url, DefaultRequestHeaders = { Authorization = new("Bearer", await TokenAsync()) } };
        using var made = await control.PostAsync("v1/join-tokens", new StringContent($$"""{"expiresIn":"1d","maxUses":{{devices.Length}}}""", new MediaTypeHeaderValue("application/json")));
        var text = JsonElement.Parse(await made.Content.ReadAsStringAsync()).GetProperty("token").GetString();
        if (!JoinToken.TryParse(text, out var token))
            throw new InvalidOperationException("The join token is none.");
        using var sealing = SealingKey.Create();
        var sealingKey = sealing.Public.ToString();
        var (cpu, began) = (server.TotalProcessorTime, Stopwatch.GetTimestamp());
        using var http = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = url };
        await Parallel.ForEachAsync(devices, new ParallelOptions { MaxDegreeOfParallelism = EnrolledAtOnce }, async (device, cancel) =>
        {
            var request = new EnrolRequest(device.Id, Convert.ToBase64String(device.Key.RequestCertificate(device.Id)), sealingKey, ImmutableDictionary<string, string>.Empty.Add("os", "linux").Add("ram", "4000000000")) { Token = token.Secret };
            await SendAsync(http, "enrol", device, "v1/enrol", JsonSerializer.SerializeToUtf8Bytes(request, DeviceMessagesContext.Default.EnrolRequest), Stopwatch.GetTimestamp());
        });
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{devices.Length:N0} enrolled over HTTP in {seconds:0.0} s: {devices.Length / seconds:0} a second, {(server.TotalProcessorTime - cpu).TotalMilliseconds / devices.Length:0.00} ms of the server's processors each, {EnrolledAtOnce} at once"));
    }

    readonly ConcurrentQueue<(Device Device, long At)> settling = new();

    void TakeSettling()
    {
        while (settling.TryDequeue(out var next))
            due.Enqueue((next.Device, true), next.At);
    }

    async Task ActAsync(Device device, bool settles, long at)
    {
        mostUnderWay = Math.Max(mostUnderWay, Interlocked.Increment(ref underWay));
        try
        {
            using var http = Connect();
            if (settles)
            {
                await ReportAsync(http, device, at, ReportKind.Settled);
                Interlocked.Increment(ref settled);
                return;
            }

            if (!await PollAsync(http, device, at))
                return;
            var walk = await walks[device.Tag!];
            var now = Stopwatch.GetTimestamp();
            if (walk.Plan?.Rollouts[0] is { State: RolloutState.Running or RolloutState.Complete } rollout && device.Serving is null && DateTimeOffset.UtcNow >= rollout.Since + rollout.TurnOf(device.Id))
            {
                foreach (var path in walk.Release)
                    await GetAsync(http, path.StartsWith("repository/blobs/", StringComparison.Ordinal) ? "file of 64 KiB" : "release's metadata", path, Stopwatch.GetTimestamp());
                device.Serving = rollout.Release;
                await ReportAsync(http, device, Stopwatch.GetTimestamp(), ReportKind.Started, ReportKind.Switched);
                settling.Enqueue((device, Stopwatch.GetTimestamp() + Ticks(Probation)));
            }
            else if (++device.Polls % 10 == 0)
            {
                await ReportAsync(http, device, now); // it is there
            }
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException or SocketException)
        {
            figures.Failed(e.GetType().Name, e.Message);
        }
        finally
        {
            Interlocked.Decrement(ref underWay);
        }
    }

    /// <summary>Asks for the timestamp, and for what it names when it has changed.</summary>
    async Task<bool> PollAsync(HttpClient http, Device device, long at)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "repository/metadata/timestamp.json");
        if (device.Tag is { } tag)
            request.Headers.TryAddWithoutValidation("If-None-Match", tag);
        using var answer = await http.SendAsync(request);
        figures.Took(device.Tag is null ? "first poll" : answer.StatusCode == HttpStatusCode.NotModified ? "poll, nothing new" : "poll, something new", Stopwatch.GetElapsedTime(at));
        if (answer.StatusCode == HttpStatusCode.NotModified)
            return true;
        if (answer.StatusCode != HttpStatusCode.OK)
        {
            figures.Failed($"poll: {(int)answer.StatusCode}", await answer.Content.ReadAsStringAsync());
            return false;
        }

        _ = await answer.Content.ReadAsByteArrayAsync();
        device.Tag = answer.Headers.ETag!.ToString();
        var walk = await walks.GetOrAdd(device.Tag, _ => RepositoryWalk.OfAsync(new() { BaseAddress = url }, Model));
        foreach (var path in walk.Refresh)
            await GetAsync(http, "metadata and plan", path, Stopwatch.GetTimestamp());
        return true;
    }

    async Task GetAsync(HttpClient http, string what, string path, long at)
    {
        using var answer = await http.GetAsync(path);
        _ = await answer.Content.ReadAsByteArrayAsync();
        figures.Took(what, Stopwatch.GetElapsedTime(at));
        if (!answer.IsSuccessStatusCode)
            figures.Failed($"{what}: {(int)answer.StatusCode}", path);
    }

    Task ReportAsync(HttpClient http, Device device, long at, params ReportKind[] kinds)
    {
        var reports = kinds.Select(kind => new Report(++device.Sequence, DateTimeOffset.UtcNow, kind, Model, device.Serving!) { Rollout = "r-1", Attempt = 1, Variant = "default", BytesFetched = 64 << 10, BytesTotal = 64 << 10 });
        return SendAsync(http, kinds.Length == 0 ? "report, only there" : "report of news", device, "v1/reports", JsonSerializer.SerializeToUtf8Bytes(new([.. reports]), DeviceMessagesContext.Default.ReportBatch), at);
    }

    async Task SendAsync(HttpClient http, string what, Device device, string path, byte[] body, long at)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new ByteArrayContent(body) { Headers = { ContentType = new("application/json") } } };
        foreach (var (name, value) in DeviceSignature.Sign(device.Key, device.Id, "POST", "/" + path, "application/json", body, DateTimeOffset.UtcNow))
            (name == ContentDigest.Header ? (HttpHeaders)request.Content.Headers : request.Headers).TryAddWithoutValidation(name, value);
        using var answer = await http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        figures.Took(what, Stopwatch.GetElapsedTime(at));
        if (!answer.IsSuccessStatusCode)
            figures.Failed($"{what}: {(int)answer.StatusCode}", text);
    }

    /// <summary>A device's connection, from one of this machine's addresses.</summary>
    HttpClient Connect()
    {
        var from = new IPAddress([127, 0, 1, (byte)(1 + (Interlocked.Increment(ref connected) & int.MaxValue) % Addresses)]);
        return new(new SocketsHttpHandler
        {
            UseCookies = false,
            UseProxy = false,
            ActivityHeadersPropagator = null,
            ConnectCallback = async (context, cancel) =>
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                try
                {
                    socket.Bind(new IPEndPoint(from, 0));
                    await socket.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, cancel);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        })
        { BaseAddress = url, Timeout = TimeSpan.FromSeconds(60) };
    }
}
