using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Coppice.Cli.Quickstart;

/// <summary>Another <c>coppice</c> process, which says what happens in JSON lines on its standard output.</summary>
/// <remarks>It is killed when this object goes: a quickstart leaves nothing running.</remarks>
sealed class ChildProcess : IAsyncDisposable
{
    readonly Process process;
    readonly ConcurrentQueue<string> errors = new();
    readonly List<JsonElement> events = [];
    readonly Lock gate = new();

    ChildProcess(Process process) => this.process = process;

    /// <summary>Starts this very program with other arguments.</summary>
    public static ChildProcess Start(IReadOnlyDictionary<string, string> environment, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath ?? throw new InvalidOperationException("This program does not know its own path."))
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

    public int Id => process.Id;

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
    public async Task<JsonElement> EventAsync(Func<JsonElement, bool> wanted, string what, TimeSpan within, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            foreach (var told in Events)
            {
                if (wanted(told))
                    return told;
            }

            if (process.HasExited)
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

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
            await KillAsync();
        process.Dispose();
    }
}

/// <summary>The quickstart did not show what it should; says what was seen instead.</summary>
sealed class QuickstartException(string message) : Exception(message);
