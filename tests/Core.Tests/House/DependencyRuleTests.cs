using System.Text.RegularExpressions;
using System.Xml.Linq;
using Coppice.Tests;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Coppice.Core.Tests.House;

/// <summary>The dependency rules of ARCHITECTURE.md.</summary>
public sealed partial class DependencyRuleTests
{
    /// <summary>Core's folders: each may use those before it.</summary>
    static readonly string[] CoreOrder =
    [
        "Numerics", "Trust", "Formats", "Delta", "Graph", "Inference", "Fleet", "Registry", "Delivery", "Quality", "Rollouts", "Access", "Audit", "Adapt", "Federated", "Knowledge", "Hybrid", "Protocol",
    ];

    static readonly CSharpCompilation Core = Compile();

    static CSharpCompilation Compile()
    {
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(path => Path.GetFileName(path).StartsWith("System.", StringComparison.Ordinal) || Path.GetFileName(path) is "mscorlib.dll" or "netstandard.dll")
            .Select(path => MetadataReference.CreateFromFile(path));
        var options = new CSharpParseOptions(LanguageVersion.Preview);
        var usings = CSharpSyntaxTree.ParseText(
            "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq; global using System.Threading;", options);
        var trees = RepositoryRoot.Sources("src/Core").Select(file => CSharpSyntaxTree.ParseText(File.ReadAllText(file), options, file));
        return CSharpCompilation.Create("Core", [usings, .. trees], references, new(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true));
    }

    static string FolderOf(string file) => Path.GetRelativePath(Path.Combine(RepositoryRoot.Path, "src/Core"), file).Split('/')[0];

    [Fact]
    public void Inside_Core_a_folder_uses_only_folders_above_it()
    {
        var broken = new SortedSet<string>(StringComparer.Ordinal);
        var seen = 0;
        foreach (var tree in Core.SyntaxTrees.Where(tree => tree.FilePath.Length > 0))
        {
            var here = Array.IndexOf(CoreOrder, FolderOf(tree.FilePath)); // -1: a file of Core itself, which every folder may use and which uses none
            var model = Core.GetSemanticModel(tree);
            foreach (var name in tree.GetRoot().DescendantNodes().OfType<SimpleNameSyntax>())
            {
                var symbol = model.GetSymbolInfo(name).Symbol;
                var file = symbol?.OriginalDefinition.Locations.FirstOrDefault(location => location.IsInSource)?.SourceTree?.FilePath;
                if (symbol is INamespaceSymbol or null || string.IsNullOrEmpty(file))
                    continue;
                seen++;
                if (Array.IndexOf(CoreOrder, FolderOf(file)) > here)
                    broken.Add($"{Path.GetRelativePath(RepositoryRoot.Path, tree.FilePath)} uses {symbol.ToDisplayString()} of {FolderOf(file)}");
            }
        }

        Assert.True(seen > 500, $"only {seen} uses were resolved; the walk does not see the code");
        Assert.Empty(broken);
    }

    [Fact]
    public void Every_folder_of_Core_is_in_the_list_and_is_its_namespace()
    {
        var broken = RepositoryRoot.Sources("src/Core")
            .Select(file => (file, Folder: Path.GetDirectoryName(Path.GetRelativePath(Path.Combine(RepositoryRoot.Path, "src/Core"), file))!))
            .Where(pair => (pair.Folder.Length > 0 && !CoreOrder.Contains(pair.Folder.Split('/')[0]))
                || !File.ReadAllText(pair.file).Contains($"namespace Coppice{(pair.Folder.Length > 0 ? "." : "")}{pair.Folder.Replace('/', '.')};", StringComparison.Ordinal))
            .Select(pair => pair.file);
        Assert.Empty(broken);
    }

    [Fact]
    public void JSON_in_Core_stays_in_Protocol_Trust_and_the_safetensors_reader() =>
        Assert.Empty(RepositoryRoot.Sources("src/Core")
            .Where(file => FolderOf(file) is not ("Protocol" or "Trust") && !file.Contains("/Formats/Safetensors/", StringComparison.Ordinal))
            .Where(file => File.ReadAllText(file).Contains("System.Text.Json", StringComparison.Ordinal)));

    [Theory]
    [InlineData("Core", "")]
    [InlineData("Runtimes", "Core")]
    [InlineData("Agent", "Core Runtimes")]
    [InlineData("Server", "Core")]
    [InlineData("Client", "Core")]
    [InlineData("Mirror", "Core Agent")]
    public void A_project_references_only_what_it_may(string project, string allowed)
    {
        var document = XDocument.Load(Path.Combine(RepositoryRoot.Path, "src", project, project + ".csproj"));
        var references = document.Descendants("ProjectReference").Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value));
        Assert.Empty(references.Except(allowed.Split(' ')));
        if (project == "Core")
        {
            Assert.All(document.Descendants("PackageReference"), package => Assert.Equal("all", package.Attribute("PrivateAssets")?.Value));
            Assert.Empty(document.Descendants("FrameworkReference"));
        }
    }

    [Theory]
    [InlineData("src/Agent", @"\b(Microsoft\.AspNetCore|Microsoft\.EntityFrameworkCore|Coppice\.Server)\b", "")]
    [InlineData("src/Server", @"\b(Coppice\.Agent|Coppice\.Runtimes)\b", "")]
    [InlineData("src/Mirror", @"\b(Coppice\.Server|Coppice\.Client|Microsoft\.EntityFrameworkCore|SigningKey)\b", "")]
    [InlineData("src/Server", @"\b(UseSqlite|UseNpgsql|SqliteConnection|NpgsqlConnection|NpgsqlDataSource)\b", "/Storage/")]
    [InlineData("src/Agent", @"\bSystem\.Net\.Http\b", "/Link/")]
    [InlineData("src/Agent", @"\bSystem\.Text\.Json\b", "/Link/")]
    [InlineData("src/Core", @"\[(DllImport|LibraryImport)", "none")]
    [InlineData("src/Agent", @"\[(DllImport|LibraryImport)", "none")]
    [InlineData("src/Server", @"\[(DllImport|LibraryImport)", "none")]
    public void A_thing_is_named_only_where_it_belongs(string under, string pattern, string exceptIn) =>
        Assert.Empty(RepositoryRoot.Sources(under)
            .Where(file => exceptIn is "" or "none" || !file.Contains(exceptIn, StringComparison.Ordinal))
            .Where(file => Regex.IsMatch(File.ReadAllText(file), pattern)));

    [Fact]
    public void Nothing_is_named_after_a_pattern() =>
        Assert.Empty(RepositoryRoot.Sources("src").Where(file => PatternName().IsMatch(Path.GetRelativePath(RepositoryRoot.Path, file))));

    [GeneratedRegex(@"(^|/)(Common|Utils?|Utilities|Helpers?|Services?|Managers?)/|(Manager|Helpers?|Utils?|Utilities)\.cs$")]
    private static partial Regex PatternName();

    [Fact]
    public void No_file_is_past_600_lines() =>
        Assert.Empty(new[] { "src", "tests", "bench" }.SelectMany(RepositoryRoot.Sources).Where(file => File.ReadLines(file).Count() > 600));

    [Fact]
    public void No_server_has_left_its_data_in_the_tree() =>
        Assert.Empty(Directory.EnumerateFiles(RepositoryRoot.Path, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(RepositoryRoot.Path, file))
            .Where(file => !file.StartsWith(".git/", StringComparison.Ordinal) && !file.Split('/').Any(folder => folder is "bin" or "obj" or "node_modules"))
            .Where(file => Path.GetExtension(file) is ".token" or ".key" or ".db"));
}
