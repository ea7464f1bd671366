using Coppice.Formats;

namespace Coppice.Core.Tests.Formats;

/// <summary>What <see cref="TensorMap"/> promises, whatever the format.</summary>
static class MapChecks
{
    public static void Holds(ModelFile model)
    {
        var names = new HashSet<string>();
        TensorEntry? before = null;
        foreach (var tensor in model.Tensors)
        {
            Assert.False(string.IsNullOrEmpty(tensor.Name));
            Assert.True(names.Add(tensor.Name), $"'{tensor.Name}' stands twice");
            Assert.True(tensor.Elements >= 0);
            Assert.True(tensor is { Offset: >= 0, Length: >= 0 });
            if (tensor.ExternalFile is null)
                Assert.True(tensor.Offset <= model.Map.Length - tensor.Length, $"'{tensor.Name}' leaves the file");
            if (tensor.Type is not (ElementType.Unknown or ElementType.String))
                Assert.True(tensor.Type.TryLength(tensor.Shape.AsSpan(), out var length) && length == tensor.Length, $"'{tensor.Name}' has {tensor.Length} bytes");
            if (tensor.Length == 0)
                continue;
            if (before is not null && before.ExternalFile == tensor.ExternalFile)
                Assert.True((before.Offset, before.Length) == (tensor.Offset, tensor.Length) || tensor.Offset >= before.Offset + before.Length, $"'{tensor.Name}' overlaps '{before.Name}'");
            before = tensor;
        }
    }

    public static string Line(TensorEntry tensor) =>
        $"{tensor.Name} {tensor.Type} [{string.Join(", ", tensor.Shape)}] {tensor.Offset}+{tensor.Length} {tensor.ExternalFile}";
}
