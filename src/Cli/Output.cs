using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Coppice.Client;
using Spectre.Console;

namespace Coppice.Cli;

/// <summary>What commands say: tables for people, plain text when nobody looks, one JSON document with <c>--json</c>; and how they end.</summary>
public static class Output
{
    /// <summary>A new <c>--json</c> option.</summary>
    public static Option<bool> JsonOption() => new("--json") { Description = "Write one JSON document for programs.", Recursive = true };

    /// <summary>A new <c>--if-revision</c> option.</summary>
    public static Option<string?> RevisionOption() => new("--if-revision") { Description = "Only while it is at this revision, as 'show --json' told; else nothing is changed." };

    /// <summary>Runs a command and turns what goes wrong into a line on standard error and an exit code.</summary>
    public static async Task<int> RunAsync(Func<Task> command)
    {
        try
        {
            await command();
            return ExitCode.Done;
        }
        catch (UsageException e)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return ExitCode.Usage;
        }
        catch (ControlException e)
        {
            await Console.Error.WriteLineAsync(e.Title);
            if (e.Problem.Errors is { Count: > 0 } errors)
            {
                foreach (var (field, what) in errors.OrderBy(error => error.Key, StringComparer.Ordinal))
                    await Console.Error.WriteLineAsync($"  {new Problem(field, string.Join(" ", what))}");
            }
            else if (e.Detail.Length > 0)
                await Console.Error.WriteLineAsync("  " + e.Detail);
            return ExitCode.Failed;
        }
        catch (AwaitsApprovalException e)
        {
            Approval.Say(e.Approval, Console.Error);
            return ExitCode.Awaits;
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Failed;
        }
    }

    /// <summary>Writes a value as one line of JSON.</summary>
    public static void Json<T>(T value, JsonTypeInfo<T> type) => Console.Out.WriteLine(JsonSerializer.Serialize(value, type));

    /// <summary>Writes rows under headings: a framed table on a terminal, columns parted by two spaces elsewhere.</summary>
    public static void Table(IReadOnlyList<string> headings, IReadOnlyCollection<IReadOnlyList<string>> rows, string whenEmpty)
    {
        if (rows.Count == 0)
        {
            Console.Out.WriteLine(whenEmpty);
            return;
        }

        if (Console.IsOutputRedirected)
        {
            var widths = headings.Select((heading, i) => Math.Max(heading.Length, rows.Max(row => row[i].Length))).ToArray();
            foreach (var row in rows.Prepend(headings))
                Console.Out.WriteLine(string.Join("  ", row.Select((cell, i) => cell.PadRight(widths[i]))).TrimEnd());
            return;
        }

        var table = new Table().Border(TableBorder.Rounded);
        foreach (var heading in headings)
            table.AddColumn(new TableColumn(Markup.Escape(heading)));
        foreach (var row in rows)
            table.AddRow([.. row.Select(cell => new Text(cell))]);
        AnsiConsole.Write(table);
    }

    /// <summary>Writes names and values, one a line.</summary>
    public static void Fields(params ReadOnlySpan<(string Name, string? Value)> fields)
    {
        var width = 0;
        foreach (var (name, value) in fields)
            width = value is null ? width : Math.Max(width, name.Length);
        foreach (var (name, value) in fields)
        {
            if (value is not null)
                Console.Out.WriteLine($"{name.PadRight(width)}  {value}");
        }
    }

    /// <summary>A point in time for people, in UTC.</summary>
    public static string Time(DateTimeOffset? time) => time?.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture) ?? "-";

    /// <summary>A share as people write it.</summary>
    public static string Share(double share) => share.ToString("0.##%", CultureInfo.InvariantCulture);

    /// <summary>An enumeration's value as JSON writes it, in words: <c>taken back</c>.</summary>
    public static string Words<T>(T value) where T : struct, Enum
    {
        var words = new StringBuilder();
        foreach (var c in value.ToString())
            words.Append(char.IsUpper(c) && words.Length > 0 ? " " : "").Append(char.ToLowerInvariant(c));
        return words.ToString();
    }
}
