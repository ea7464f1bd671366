using System.Collections.Immutable;
using Coppice.Formats.Torch;

namespace Coppice.Formats.Zip;

/// <summary>An archive: PyTorch's own, or one whose stored entries are models (MediaPipe <c>.task</c>).</summary>
static class ZipReader
{
    /// <summary>Archives in one another; MediaPipe nests two.</summary>
    public const int Depth = 4;

    const int SmallestModel = 16;

    /// <summary>Whether the archive is one of PyTorch's: then with the folder that everything lies in.</summary>
    public static string? TorchFolder(ImmutableArray<ZipEntry> entries)
    {
        const string pickle = "/data.pkl";
        foreach (var entry in entries)
        {
            if (entry.Name.EndsWith(pickle, StringComparison.Ordinal) && entry.Name.AsSpan().Count('/') == 1)
                return entry.Name[..^pickle.Length];
        }
        return null;
    }

    public static ModelFile Read(ByteWindow bytes, int depth)
    {
        if (depth == 0)
            throw bytes.Malformed(0, $"archives lie more than {Depth} deep in one another; unpack them.");
        var entries = ZipDirectory.Read(bytes);
        if (TorchFolder(entries) is { } folder)
            return TorchArchive.Read(new(bytes.Source, "PyTorch", bytes.Origin), entries, folder);

        var draft = new ModelDraft(ModelFormat.Zip, bytes);
        foreach (var entry in entries)
        {
            if (!entry.IsStored)
                draft.AddNote($"entry '{entry.Name}' is compressed or encrypted, so nothing in it is mapped.");
            else if (entry.Length >= SmallestModel)
            {
                var origin = bytes.Origin + entry.Offset;
                var model = ModelReader.Read(SliceSource.Of(bytes.Source, entry.Offset, entry.Length), origin, depth - 1);
                if (model.Format != ModelFormat.Opaque)
                    draft.AddPart(new(entry.Name, origin, entry.Length, model));
            }
        }
        return draft.Build();
    }
}
