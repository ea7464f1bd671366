using System.Text;
using System.Text.Json;
using Coppice.Cli.Quickstart;
using Coppice.Numerics;

namespace Coppice.Cli.Tests.Quickstart;

public sealed class BearingWindowsTests
{
    static BearingWindows Record(int count, ulong seed = 1)
    {
        var random = new SeededRandom(seed);
        return BearingWindows.Record([BearingMachine.Of(random), BearingMachine.Of(random)], count, random);
    }

    [Fact]
    public void Classes_come_equally_often_in_no_order()
    {
        var labels = Record(80).Labels.ToArray();

        Assert.All(Enumerable.Range(0, 4), label => Assert.Equal(20, labels.Count(l => l == label)));
        Assert.NotEqual(labels, labels.Order());
        Assert.NotEqual(labels, Enumerable.Range(0, 80).Select(i => i % 4));
    }

    [Fact]
    public void JSON_lines_read_back_as_the_same_floats_and_labels()
    {
        var windows = Record(8);

        var lines = Encoding.UTF8.GetString(windows.ToJsonLines()).Split('\n');

        Assert.Equal("", lines[^1]);
        Assert.Equal(windows.Count, lines.Length - 1);
        for (var i = 0; i < windows.Count; i++)
        {
            using var line = JsonDocument.Parse(lines[i]);
            Assert.Equal(["inputs", "label"], line.RootElement.EnumerateObject().Select(field => field.Name));
            Assert.Equal(windows.Labels[i], line.RootElement.GetProperty("label").GetInt32());
            var numbers = line.RootElement.GetProperty("inputs").GetProperty("vibration");
            Assert.Equal(windows[i].ToArray(), numbers.EnumerateArray().Select(number => number.GetSingle()));
            Assert.All(numbers.EnumerateArray(), number => Assert.InRange(number.GetRawText().Count(char.IsAsciiDigit), 1, 7));
        }
    }

    [Fact]
    public void The_careless_label_sheet_swaps_the_races_and_nothing_else()
    {
        var windows = Record(16);

        var swapped = windows.WithRacesSwapped();

        Assert.Equal(windows.Samples, swapped.Samples);
        Assert.Equal(windows.Labels.ToArray().Select(label => label switch { 1 => 2, 2 => 1, _ => label }), swapped.Labels.ToArray());
    }

    [Fact]
    public void A_recording_is_the_same_however_many_processors_made_it()
    {
        var random = new SeededRandom(5);
        var machine = BearingMachine.Of(random);
        var recorded = BearingWindows.Record([machine], 1, new(6));
        var alone = new float[BearingSimulation.WindowLength];

        BearingSimulation.Fill(machine, (BearingState)recorded.Labels[0], new SeededRandom(6).Fork(0), alone);

        Assert.Equal(alone, recorded[0].ToArray());
        Assert.Equal(Record(64).Samples, Record(64).Samples);
    }
}
