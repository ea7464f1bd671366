using System.CommandLine;
using System.Text;
using System.Text.Json;

namespace Coppice.Cli.Tests;

public sealed class InspectTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-inspect").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    string Model(string name, params float[] weights)
    {
        var header = Encoding.UTF8.GetBytes($$$"""{"w":{"dtype":"F32","shape":[{{{weights.Length}}}],"data_offsets":[0,{{{weights.Length * 4}}}]}}""");
        var path = Path.Combine(folder, name);
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)header.Length), .. header, .. weights.SelectMany(BitConverter.GetBytes)]);
        return path;
    }

    static (int Exit, string Output, string Error) Run(params string[] arguments)
    {
        var root = new RootCommand { Inspect.Build(), Compare.Build() };
        using StringWriter output = new(), error = new();
        var exit = root.Parse(arguments).Invoke(new() { Output = output, Error = error });
        return (exit, output.ToString(), error.ToString());
    }

    [Fact]
    public void A_script_gets_one_document_with_camel_case_names()
    {
        var (exit, output, error) = Run("inspect", Model("any.name", 1, 2, 3), "--json");

        var document = JsonDocument.Parse(output).RootElement;
        Assert.Equal((0, ""), (exit, error));
        Assert.Equal(("safetensors", 3, 12), (document.GetProperty("format").GetString(), document.GetProperty("parameters").GetInt32(), document.GetProperty("tensorBytes").GetInt32()));
        Assert.Equal("Float32", document.GetProperty("tensors")[0].GetProperty("type").GetString());
    }

    [Fact]
    public void A_person_gets_plain_narrow_tables_in_a_pipe()
    {
        var (exit, output, _) = Run("inspect", Model("m", 1, 2, 3));

        Assert.Equal(0, exit);
        Assert.Contains("Safetensors", output, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001B', output);
        Assert.DoesNotContain('│', output);
        Assert.All(output.Split('\n'), line => Assert.True(line.Length <= 80, line));
    }

    [Fact]
    public void Names_cannot_send_escape_sequences_to_a_terminal()
    {
        var path = Path.Combine(folder, "m");
        var header = """{"__metadata__":{"\u001b]0;title\u0007":"\u001b[31mred"},"\u001b[2Jw":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"""u8;
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)header.Length), .. header, 7]);

        Assert.DoesNotContain(Run("inspect", path).Output, character => char.IsControl(character) && character is not ('\n' or '\r'));
    }

    [Fact]
    public void A_bad_file_is_one_line_on_standard_error_and_exit_1()
    {
        var path = Model("m", 1, 2, 3);
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^1]);

        foreach (var arguments in (string[][])[["inspect", path], ["inspect", path, "--json"], ["compare", path, path], ["inspect", Path.Combine(folder, "absent")]])
        {
            var (exit, output, error) = Run(arguments);
            Assert.Equal((1, ""), (exit, output));
            Assert.Single(error.TrimEnd().Split('\n'));
            Assert.Contains(folder, error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Models_that_differ_are_compared_with_exit_0()
    {
        var (old, entry) = (Model("old", 3, 4, 0, 0), Model("new", 3, 4, 0.5f, 0));
        var (exit, output, _) = Run("compare", old, entry, "--json");

        var document = JsonDocument.Parse(output).RootElement;
        Assert.Equal((0, false, 1), (exit, document.GetProperty("sameFile").GetBoolean(), document.GetProperty("counts").GetProperty("changed").GetInt32()));
        var change = document.GetProperty("tensors")[0].GetProperty("change");
        Assert.Equal(("values", 0.25, 0.1), (change.GetProperty("unit").GetString(), change.GetProperty("changedShare").GetDouble(), change.GetProperty("relativeL2").GetDouble()));

        Assert.Contains("1 changed", Run("compare", old, entry).Output, StringComparison.Ordinal);
        Assert.Contains("same, byte for byte", Run("compare", old, old).Output, StringComparison.Ordinal);
    }
}
