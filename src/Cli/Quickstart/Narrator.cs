using Spectre.Console;

namespace Coppice.Cli.Quickstart;

/// <summary>Tells the quickstart's story: a live table on a terminal, plain lines elsewhere.</summary>
sealed class Narrator(IAnsiConsole console)
{
    readonly bool live = console.Profile.Capabilities.Interactive && console.Profile.Out.IsTerminal;
    FleetView? told;

    /// <summary>Begins a chapter.</summary>
    public void Chapter(string title)
    {
        Say("");
        if (live)
            console.Write(new Rule($"[bold]{Markup.Escape(title)}[/]").LeftJustified());
        else
            Say($"== {title}");
    }

    /// <summary>Says a sentence; without a terminal on one line, however long, so that scripts can look for it.</summary>
    public void Say(string text)
    {
        if (live)
            console.WriteLine(text);
        else
            console.Profile.Out.Writer.WriteLine(text);
    }

    /// <summary>Does something that takes seconds and has no parts to show.</summary>
    public async Task<T> WorkAsync<T>(string what, Func<Task<T>> work)
    {
        if (live)
            return await console.Status().Spinner(Spinner.Known.Dots).StartAsync(Markup.Escape(what), _ => work());
        Say(what);
        return await work();
    }

    /// <summary>Shows the fleet, again and again, until something holds.</summary>
    /// <param name="look">Looks at the fleet.</param>
    /// <param name="holds">Whether what was waited for is there.</param>
    /// <param name="what">What is waited for, for the error when it does not come.</param>
    /// <param name="within">How long to wait.</param>
    /// <param name="cancel">Stops.</param>
    /// <exception cref="QuickstartException">The time is up.</exception>
    public async Task WatchAsync(Func<Task<FleetView>> look, Func<FleetView, Task<bool>> holds, string what, TimeSpan within, CancellationToken cancel)
    {
        if (live)
        {
            await console.Live(new Text("")).StartAsync(context => LoopAsync(view =>
            {
                context.UpdateTarget(view.Render());
                context.Refresh();
            }));
            return;
        }

        await LoopAsync(view =>
        {
            foreach (var line in view.Changes(told))
                Say(line);
            told = view;
        });

        async Task LoopAsync(Action<FleetView> show)
        {
            var start = TimeProvider.System.GetTimestamp();
            while (true)
            {
                var view = await look();
                show(view);
                if (await holds(view))
                    return;
                if (TimeProvider.System.GetElapsedTime(start) > within)
                    throw new QuickstartException($"Not seen within {within.TotalSeconds:0} s: {what}.");
                await Task.Delay(150, cancel);
            }
        }
    }
}
