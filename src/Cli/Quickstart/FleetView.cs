using Coppice.Protocol;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Coppice.Cli.Quickstart;

/// <summary>What the quickstart's audience sees of the fleet: one row a device.</summary>
/// <param name="Rows">In the order of the devices' names.</param>
sealed record FleetView(IReadOnlyList<FleetRow> Rows)
{
    /// <summary>From what the server knows and which processes live.</summary>
    /// <param name="devices">The devices' names.</param>
    /// <param name="known">As the server lists them.</param>
    /// <param name="rollout">The rollout under way; null before the first.</param>
    /// <param name="alive">Whether a device's process runs.</param>
    public static FleetView Of(IReadOnlyList<string> devices, IReadOnlyList<KnownDevice> known, RolloutDetail? rollout, Func<string, bool> alive) =>
        new([.. devices.Select(name => Row(name, known.FirstOrDefault(device => device.Id == name), rollout?.Devices.FirstOrDefault(device => device.Device == name), alive(name)))]);

    static FleetRow Row(string name, KnownDevice? known, RolloutDevice? inRollout, bool alive)
    {
        var model = known?.Models.FirstOrDefault();
        var state = !alive ? FleetState.Down
            : model is null ? FleetState.Waiting
            : inRollout?.Kind switch
            {
                ReportKind.Started => FleetState.Fetching,
                ReportKind.Switched => FleetState.Probation,
                ReportKind.Refused => FleetState.Refused,
                ReportKind.TakenBack => FleetState.TakenBack,
                _ => FleetState.Settled,
            };
        return new(name, model?.Serving?.ToString() ?? "–", state, inRollout?.BytesFetched, inRollout?.BytesTotal, inRollout?.Why ?? "");
    }

    /// <summary>As a table with colours and bars.</summary>
    public IRenderable Render()
    {
        var table = new Table().Border(TableBorder.Rounded).AddColumns("device", "serves", "state", "progress", "fetched", "note");
        foreach (var row in Rows)
        {
            var (colour, label, part) = row.State switch
            {
                FleetState.Down => ("red", "killed", 0),
                FleetState.Waiting => ("grey", "waiting", 0),
                FleetState.Fetching => ("yellow", "fetching, trying", 1),
                FleetState.Probation => ("yellow", "on probation", 2),
                FleetState.Refused => ("red", "refused", 0),
                FleetState.TakenBack => ("red", "taken back", 0),
                _ => ("green", "settled", 3),
            };
            table.AddRow(
                new Markup(Markup.Escape(row.Device)), new Markup($"[bold]{Markup.Escape(row.Serves)}[/]"), new Markup($"[{colour}]{label}[/]"),
                new Markup($"[{colour}]{new string('━', 4 * part)}[/][grey]{new string('─', 12 - (4 * part))}[/]"),
                new Markup(row.BytesFetched is { } fetched ? $"{ByteSize.Format(fetched)} of {ByteSize.Format(row.BytesTotal ?? fetched)}" : ""),
                new Text(row.Note.Length > 70 ? row.Note[..69] + "…" : row.Note));
        }

        return table;
    }

    /// <summary>What changed since an earlier view, a line for each device, for a log without a terminal.</summary>
    public IEnumerable<string> Changes(FleetView? before) =>
        Rows.Where(row => before?.Rows.Contains(row) != true && row.State != FleetState.Waiting)
            .Select(row => $"  {row.Device}  serves {row.Serves,-6} {row.State.ToString().ToLowerInvariant(),-10}"
                + (row.BytesFetched is { } fetched ? $" {ByteSize.Format(fetched)} of {ByteSize.Format(row.BytesTotal ?? fetched)} fetched" : "")
                + (row.Note.Length > 0 ? $"  ({row.Note})" : ""));
}

/// <summary>A device at a moment.</summary>
sealed record FleetRow(string Device, string Serves, FleetState State, long? BytesFetched, long? BytesTotal, string Note);

enum FleetState
{
    Waiting, Fetching, Probation, Settled, Refused, TakenBack, Down,
}
