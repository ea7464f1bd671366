using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Coppice.Server.Storage;
using Coppice.Trust;

namespace Coppice.Server.Tests;

public sealed class StartTests
{
    [Fact]
    public async Task The_first_start_makes_everything_for_its_owner_alone_and_the_second_finds_it()
    {
        var data = RunningServer.NewFolder();
        await using (var first = await RunningServer.StartAsync(data: data))
        {
            Assert.NotNull(first.Plane.First);
            Assert.True(File.Exists(Path.Combine(data, "keys", "online", "online.pem")));
            Assert.Equal(["releases-1.pem", "root-1.pem", "targets.pem"], Directory.GetFiles(Path.Combine(data, "keys", "offline")).Select(Path.GetFileName).Order());
            if (!OperatingSystem.IsWindows())
            {
                const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;
                foreach (var path in new[] { data, Path.Combine(data, "admin.token"), Path.Combine(data, "keys", "offline", "root-1.pem"), Path.Combine(data, "authorities"), Path.Combine(data, "authorities", "1.key") })
                    Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(path) & Others);
            }
        }

        Directory.Delete(Path.Combine(data, "keys", "offline"), recursive: true); // moved away, as it should be
        await using (var second = await RunningServer.StartAsync(data: data))
        {
            Assert.Null(second.Plane.First);
            Assert.Empty(await second.Client.ListModelsAsync()); // the token still opens
        }

        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task No_secret_is_in_the_database()
    {
        var data = RunningServer.NewFolder();
        string[] secrets;
        await using (var server = await RunningServer.StartAsync(data: data))
        {
            await server.EnrolAsync("till-1");
            Assert.True(Protocol.JoinToken.TryParse(server.Plane.First!.JoinToken.Token, out var join));
            secrets = [server.Token, join.Secret, File.ReadAllText(Path.Combine(data, "authorities", "1.key"))];
        }

        var bytes = Encoding.Latin1.GetString(await File.ReadAllBytesAsync(Path.Combine(data, "coppice.db")));
        Assert.All(secrets, secret => Assert.DoesNotContain(secret, bytes));
        Assert.Contains("till-1", bytes);
        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task A_first_start_that_was_cut_short_before_its_keys_were_in_place_is_finished()
    {
        var data = RunningServer.NewFolder();
        await using (await RunningServer.StartAsync(data: data))
        {
        }

        Directory.Move(Path.Combine(data, "keys"), Path.Combine(data, "keys.part"));
        await using (var again = await RunningServer.StartAsync(data: data))
            Assert.True(File.Exists(Path.Combine(data, "keys", "online", "online.pem")));
        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task A_second_server_on_the_same_data_is_refused()
    {
        await using var server = await RunningServer.StartAsync();

        var refused = await Assert.ThrowsAsync<DataFolderBusyException>(() => ControlPlane.StartAsync(new() { Data = server.Plane.Data, Listen = "http://127.0.0.1:0" }));

        Assert.Contains(server.Plane.Data, refused.Message);
        Assert.Equal(HttpStatusCode.OK, (await server.Anyone.GetAsync("healthz")).StatusCode);
    }

    [Fact]
    public async Task A_start_that_fails_gives_the_data_folder_back()
    {
        await using var server = await RunningServer.StartAsync();
        var data = RunningServer.NewFolder();

        await Assert.ThrowsAnyAsync<IOException>(() => ControlPlane.StartAsync(new() { Data = data, Listen = $"http://127.0.0.1:{server.Plane.Url.Port}" })); // taken
        await using (await RunningServer.StartAsync(data: data))
        {
        }

        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task Told_to_stop_a_server_finishes_the_request_under_way_and_exits_with_0()
    {
        if (OperatingSystem.IsWindows())
            return; // has no SIGTERM
        var data = RunningServer.NewFolder();
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet") { RedirectStandardOutput = true };
        foreach (var argument in new[] { "exec", typeof(StartTests).Assembly.Location, data })
            start.ArgumentList.Add(argument);
        using var server = Process.Start(start)!;
        try
        {
            var url = new Uri((await server.StandardOutput.ReadLineAsync())!);
            var content = Encoding.UTF8.GetBytes("half of it before, half of it after");
            using var socket = new TcpClient();
            await socket.ConnectAsync(url.Host, url.Port);
            await using var stream = socket.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes(
                $"PUT /v1/blobs/{Sha256Digest.Of(content)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {(await File.ReadAllTextAsync(Path.Combine(data, "admin.token"))).Trim()}\r\nContent-Length: {content.Length}\r\nExpect: 100-continue\r\n\r\n"));
            var answer = new byte[1000];
            var read = await stream.ReadAsync(answer);
            Assert.StartsWith("HTTP/1.1 100", Encoding.ASCII.GetString(answer, 0, read)); // its endpoint reads the body now
            await stream.WriteAsync(content.AsMemory(0, 10));

            Process.Start("kill", ["-TERM", $"{server.Id}"]).WaitForExit();
            using var other = new HttpClient();
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            while (await AnswersAsync(other, url))
                patience.Token.ThrowIfCancellationRequested();
            await stream.WriteAsync(content.AsMemory(10), patience.Token);

            read = await stream.ReadAsync(answer, patience.Token);
            Assert.StartsWith("HTTP/1.1 201", Encoding.ASCII.GetString(answer, 0, read));
            await server.WaitForExitAsync(patience.Token);
            Assert.Equal(0, server.ExitCode);
            Assert.True(File.Exists(Path.Combine(data, "repository", RepositoryLayout.BlobFile(Sha256Digest.Of(content)))));
        }
        finally
        {
            if (!server.HasExited)
                server.Kill();
            Directory.Delete(data, recursive: true);
        }
    }

    static async Task<bool> AnswersAsync(HttpClient http, Uri url)
    {
        try
        {
            using var answer = await http.GetAsync(new Uri(url, "healthz"));
            return true;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
