using System.Globalization;
using System.Net;
using System.Text;
using Coppice.Rollouts.Rehearsals;

namespace Coppice.Cli;

/// <summary>A rehearsal on one page that needs nothing else: tables and drawings.</summary>
static class RehearsalReport
{
    const int Width = 960;
    const int Height = 240;
    const int Left = 64;
    const int Top = 16;
    const int Bottom = 28;

    const string Style = """
        :root { --ink: #1c2421; --soft: #66716c; --line: #dfe5e2; --page: #fff; --good: #2f7d5b; --bad: #c0492f; --band: #f2f6f4; --second: #3f6ea3; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e4eae7; --soft: #94a19b; --line: #313a36; --page: #151a18; --good: #5fbf92; --bad: #e8775c; --band: #1b2220; --second: #86b1e0; } }
        body { margin: 40px auto; max-width: 1000px; padding: 0 20px; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); }
        h1 { font-size: 24px; font-weight: 600; margin: 0 0 4px; } h2 { font-size: 16px; font-weight: 600; margin: 36px 0 8px; } p { margin: 0; color: var(--soft); }
        .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 20px; margin: 28px 0 0; padding: 20px 0; border-block: 1px solid var(--line); }
        .figures b { display: block; font-size: 22px; font-weight: 600; } .figures span { color: var(--soft); font-size: 13px; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; } th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; }
        th, td { padding: 7px 16px 7px 0; border-bottom: 1px solid var(--line); } td.n, th.n { text-align: right; }
        svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
        .stop { color: var(--bad); } .bar { display: inline-block; height: 9px; background: var(--good); vertical-align: baseline; border-radius: 2px; margin-right: 8px; }
        """;

    public static string Html(RehearsalView view, RehearsalWorld world)
    {
        var result = view.Result;
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Rehearsal of {Text(view.Plan.Model.ToString())} {Text(view.Plan.Release.ToString())}</title><style>{Style}</style></head><body>");
        page.Append(CultureInfo.InvariantCulture, $"<h1>Rehearsal of {Text(view.Plan.Model.ToString())} {Text(view.Plan.Release.ToString())}</h1><p>{view.Devices:N0} simulated devices over {view.Days} days, from {world.Start:dddd HH:mm} UTC; seed {view.Seed}</p>");
        var last = result.Phases.LastOrDefault();
        Figures(page,
            (Output.Words(result.State), last?.EndedAt is { } ended ? $"after {RehearseCommand.After(ended)}" : $"after {view.Days} d"),
            ($"{result.Settled:N0}", "devices keep the release"),
            ($"{result.Failed:N0}", "refused it or took it back"),
            (ByteSize.Format(result.Bytes), $"fetched, at most {ByteSize.Format((long)result.PeakBytes)}/s"),
            (string.Create(CultureInfo.InvariantCulture, $"{result.PeakRequests:N0}/s"), "requests at most at the origin"));
        if (result.Stop is { } stop)
            page.Append(CultureInfo.InvariantCulture, $"<h2 class=\"stop\">Stopped after {RehearseCommand.After(stop.At)} at {Output.Share(stop.Share)}, when {stop.Devices:N0} devices had begun</h2><p>{Text(stop.Why)}</p>");

        page.Append("<h2>Devices</h2>");
        Chart(page, view, [("settled", "var(--good)", [.. result.SettledByHour.Select(count => (double)count)]), ("failed", "var(--bad)", [.. result.FailedByHour.Select(count => (double)count)])], value => value.ToString("N0", CultureInfo.InvariantCulture), whole: view.Devices);
        page.Append("<h2>Requests a second at the origin</h2>");
        Chart(page, view, [("hourly mean", "var(--second)", [.. result.RequestsByHour])], value => value.ToString("N0", CultureInfo.InvariantCulture));
        page.Append("<h2>Bytes a second from the origin</h2>");
        Chart(page, view, [("hourly mean", "var(--second)", [.. result.BytesByHour.Select(bytes => bytes / 3600)])], value => ByteSize.Format((long)value));

        page.Append("<h2>Phases</h2><table><tr><th>Phase</th><th class=\"n\">Share</th><th class=\"n\">Starts</th><th class=\"n\">Ends</th><th class=\"n\">Reaches</th><th class=\"n\">Settled</th><th class=\"n\">Failed</th></tr>");
        foreach (var phase in result.Phases)
            Row(page, $"{phase.Index + 1}", Output.Share(phase.Share), RehearseCommand.After(phase.StartedAt), phase.EndedAt is { } end ? RehearseCommand.After(end) : "–", $"{phase.Reached:N0}", $"{phase.Settled:N0}", $"{phase.Failed:N0}");
        page.Append("</table>");
        if (!view.Catches.IsEmpty)
        {
            page.Append("<h2>Would a bad release be caught?</h2><table><tr><th>A release of which</th><th>is caught</th><th class=\"n\">at share</th><th class=\"n\">after devices</th><th class=\"n\">after</th></tr>");
            foreach (var rate in view.Catches)
            {
                page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(rate.Name)}</td><td><span class=\"bar\" style=\"width:{100.0 * rate.Caught / rate.Runs:0}px\"></span>{rate.Caught} of {rate.Runs}</td>");
                Cells(page, rate.MedianShare is { } share ? Output.Share(share) : "–", rate.MedianDevices is { } devices ? $"{devices:N0}" : "–", rate.MedianAt is { } at ? RehearseCommand.After(at) : "–");
                page.Append("</tr>");
            }

            page.Append("</table>");
        }

        return page.Append("</body></html>\n").ToString();
    }

    static void Figures(StringBuilder page, params ReadOnlySpan<(string Value, string What)> figures)
    {
        page.Append("<div class=\"figures\">");
        foreach (var (value, what) in figures)
            page.Append(CultureInfo.InvariantCulture, $"<div><b>{Text(value)}</b><span>{Text(what)}</span></div>");
        page.Append("</div>");
    }

    static void Row(StringBuilder page, string first, params ReadOnlySpan<string> rest)
    {
        page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(first)}</td>");
        Cells(page, rest);
        page.Append("</tr>");
    }

    static void Cells(StringBuilder page, params ReadOnlySpan<string> cells)
    {
        foreach (var cell in cells)
            page.Append(CultureInfo.InvariantCulture, $"<td class=\"n\">{Text(cell)}</td>");
    }

    /// <summary>Lines over the days, the phases behind them.</summary>
    static void Chart(StringBuilder page, RehearsalView view, (string Name, string Colour, double[] Values)[] lines, Func<double, string> format, double? whole = null)
    {
        var most = Math.Max(1e-9, Math.Max(whole ?? 0, lines.Max(line => line.Values.Max())));
        var step = Nice(most / 4);
        var top = Math.Ceiling(most / step) * step;
        double X(double hour) => Left + (Width - Left - 8) * hour / (view.Days * 24.0);
        double Y(double value) => Top + (Height - Top - Bottom) * (1 - value / top);
        page.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\">");
        foreach (var phase in view.Result.Phases)
        {
            var (from, to) = (X(phase.StartedAt / 3600.0), X((phase.EndedAt ?? view.Days * 86400) / 3600.0));
            if (phase.Index % 2 == 0)
                page.Append(CultureInfo.InvariantCulture, $"<rect x=\"{from:0.#}\" y=\"{Top}\" width=\"{to - from:0.#}\" height=\"{Height - Top - Bottom}\" fill=\"var(--band)\"/>");
            if (to - from > 36)
                page.Append(CultureInfo.InvariantCulture, $"<text x=\"{from + 5:0.#}\" y=\"{Top + 14}\">{Text(Output.Share(phase.Share))}</text>");
        }

        for (var value = 0.0; value <= top * 1.0001; value += step)
            page.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" x2=\"{Width - 8}\" y1=\"{Y(value):0.#}\" y2=\"{Y(value):0.#}\" stroke=\"var(--line)\"/><text x=\"{Left - 8}\" y=\"{Y(value) + 4:0.#}\" text-anchor=\"end\">{Text(format(value))}</text>");
        for (var day = 0; day <= view.Days; day += Math.Max(1, view.Days / 14))
            page.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(day * 24):0.#}\" y=\"{Height - 8}\" text-anchor=\"{(day == 0 ? "start" : X(day * 24) > Width - 30 ? "end" : "middle")}\">{(day == 0 ? "start" : $"{day} d")}</text>");
        if (view.Result.Stop is { } stop)
            page.Append(CultureInfo.InvariantCulture, $"<line x1=\"{X(stop.At / 3600.0):0.#}\" x2=\"{X(stop.At / 3600.0):0.#}\" y1=\"{Top}\" y2=\"{Height - Bottom}\" stroke=\"var(--bad)\" stroke-dasharray=\"4 3\"/>");
        foreach (var (name, colour, values) in lines)
        {
            page.Append(CultureInfo.InvariantCulture, $"<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\" points=\"");
            for (var hour = 0; hour < values.Length; hour++)
                page.Append(CultureInfo.InvariantCulture, $"{X(hour + 1):0.#},{Y(values[hour]):0.#} ");
            page.Append(CultureInfo.InvariantCulture, $"\"><title>{Text(name)}</title></polyline>");
            if (lines.Length > 1)
                page.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - 12}\" y=\"{Math.Clamp(Y(values[^1]) - 7, Top + 12, Height - Bottom - 5):0.#}\" text-anchor=\"end\" style=\"fill:{colour}\">{Text(name)}</text>");
        }

        page.Append("</svg>");
    }

    /// <summary>1, 2 or 5 times a power of ten, at least the value.</summary>
    static double Nice(double value)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(value)));
        return value <= power ? power : value <= 2 * power ? 2 * power : value <= 5 * power ? 5 * power : 10 * power;
    }

    static string Text(string text) => WebUtility.HtmlEncode(text);
}
