using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Coppice.Cli.Quickstart;

/// <summary>Another <c>coppice</c> process, which says what happens in JSON lines on its standard output.</summary>
/// <remarks>It is killed when this object goes: a quickstart leaves nothing running.</remarks>
public sealed class ChildProcess : IAsyncDisposable
{
    readonly Process process;
    readonly ConcurrentQueue<string> errors = new();
    readonly List<JsonElement> events = [];
    readonly Lock gate = new();

    ChildProcess(Process process) => this.process = process;

    /// <summary>This very program, to be started with other arguments.</summary>
    public static string ThisProgram => Environment.ProcessPath ?? throw new InvalidOperationException("This program does not know its own path.");

    /// <summary>Starts a process.</summary>
    /// <param name="program">Path of <c>coppice</c>.</param>
    /// <param name="environment">Variables put over this process's own.</param>
    /// <param name="arguments">The command line.</param>
    public static ChildProcess Start(string program, IReadOnlyDictionary<string, string> environment, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            StandardOutputEncoding = Encoding.UTF8,
        };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        var child = new ChildProcess(new() { StartInfo = start });
        child.process.OutputDataReceived += (_, line) => child.Take(line.Data);
        child.process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is { Length: > 0 } text)
                child.errors.Enqueue(text);
        };
        child.process.Start();
        child.process.BeginOutputReadLine();
        child.process.BeginErrorReadLine();
        return child;
    }

    /// <summary>The process's number.</summary>
    public int Id => process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => process.HasExited;

    /// <summary>What the process wrote to standard error, joined.</summary>
    public string Errors => string.Join(Environment.NewLine, errors);

    /// <summary>The events it has told so far.</summary>
    public IReadOnlyList<JsonElement> Events
    {
        get
        {
            lock (gate)
                return [.. events];
        }
    }

    /// <summary>Waits for an event.</summary>
    /// <exception cref="QuickstartException">The process ended first, or the time is up; says what it wrote.</exception>
    /// <param name="wanted">Tells the event.</param>
    /// <param name="what">What the process should do, for the error when it does not.</param>
    /// <param name="within">How long to wait.</param>
    /// <param name="cancel">Stops waiting.</param>
    public async Task<JsonElement> EventAsync(Func<JsonElement, bool> wanted, string what, TimeSpan within, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            var ended = process.HasExited;
            if (ended)
                await process.WaitForExitAsync(cancel); // its last lines may still be in the pipe; this waits for them too
            foreach (var told in Events)
            {
                if (wanted(told))
                    return told;
            }

            if (ended)
                throw new QuickstartException($"The process that should {what} ended with {process.ExitCode}. {Errors}");
            if (Stopwatch.GetElapsedTime(start) > within)
                throw new QuickstartException($"The process that should {what} did not within {within.TotalSeconds:0} s. {Errors}");
            await Task.Delay(20, cancel);
        }
    }

    /// <summary>SIGKILL: no handler runs, nothing is flushed.</summary>
    public async Task KillAsync()
    {
        process.Kill();
        await process.WaitForExitAsync();
    }

    /// <summary>SIGTERM, and waits for the orderly end.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> TerminateAsync(CancellationToken cancel)
    {
        // .NET sends no other signal than SIGKILL by itself; a closed standard input is no request that a daemon would heed.
        using var kill = Process.Start("kill", ["-TERM", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync(cancel);
        return await ExitAsync(cancel);
    }

    /// <summary>Waits until the process ends by itself.</summary>
    public async Task<int> ExitAsync(CancellationToken cancel)
    {
        await process.WaitForExitAsync(cancel);
        return process.ExitCode;
    }

    void Take(string? line)
    {
        if (line is not ['{', ..])
            return;
        using var document = JsonDocument.Parse(line);
        lock (gate)
            events.Add(document.RootElement.Clone());
    }

    /// <summary>Kills it if it still runs.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
            await KillAsync();
        process.Dispose();
    }
}

/// <summary>The quickstart did not show what it should; says what was seen instead.</summary>
public sealed class QuickstartException(string message) : Exception(message);
