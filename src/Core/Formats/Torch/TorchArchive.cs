using System.Collections.Immutable;
using Coppice.Formats.Zip;

namespace Coppice.Formats.Torch;

/// <summary>The zip archive of PyTorch since 1.6 and of TorchScript: pickles, and one stored entry for each storage.</summary>
static class TorchArchive
{
    public static ModelFile Read(ByteWindow bytes, ImmutableArray<ZipEntry> entries, string folder)
    {
        var draft = new ModelDraft(ModelFormat.Torch, bytes) { Runtime = "pytorch", Name = folder };
        var byName = new Dictionary<string, ZipEntry>();
        var script = false;
        foreach (var entry in entries)
        {
            if (!byName.TryAdd(entry.Name, entry))
                throw bytes.Malformed(entry.Offset, $"entry '{entry.Name}' stands twice in the archive; write it again.");
            script |= entry.Name.StartsWith($"{folder}/code/", StringComparison.Ordinal) || entry.Name == $"{folder}/constants.pkl";
        }
        draft.AddMetadata("kind", script ? "TorchScript" : "pickle");
        if (ShortText(bytes, byName, $"{folder}/version") is { } version)
        {
            draft.AddMetadata("version", version);
            draft.FormatVersion = long.TryParse(version, out var number) ? number : null;
        }
        if (ShortText(bytes, byName, $"{folder}/byteorder") is { } order && order != "little")
        {
            draft.AddNote($"the archive is written in byte order '{order}'; its tensors are not mapped.");
            return draft.Build();
        }

        ReadPickle(bytes, draft, byName, $"{folder}/data.pkl", $"{folder}/data/", "");
        if (byName.ContainsKey($"{folder}/constants.pkl"))
            ReadPickle(bytes, draft, byName, $"{folder}/constants.pkl", $"{folder}/constants/", "constants");
        return draft.Build();
    }

    static string? ShortText(ByteWindow bytes, Dictionary<string, ZipEntry> entries, string name) =>
        entries.TryGetValue(name, out var entry) && entry is { IsStored: true, Length: < 64 } ? bytes.Name(entry.Offset, entry.Length).Trim() : null;

    static void ReadPickle(ByteWindow bytes, ModelDraft draft, Dictionary<string, ZipEntry> entries, string pickle, string storages, string path)
    {
        var entry = entries[pickle];
        if (!entry.IsStored)
        {
            draft.AddNote($"'{pickle}' is compressed; PyTorch stores it, so write the archive again to have its tensors mapped.");
            return;
        }
        var inside = new ByteWindow(SliceSource.Of(bytes.Source, entry.Offset, entry.Length), bytes.Format, bytes.Origin + entry.Offset);
        var (root, _) = PickleMachine.Run(inside, 0);
        var names = new TorchNames(inside);
        names.Walk(root, path);

        var places = new Dictionary<string, (long, long)>();
        foreach (var (name, tensor) in names.Found)
        {
            var key = tensor.Storage.Key;
            if (places.ContainsKey(key))
                continue;
            if (!entries.TryGetValue(storages + key, out var storage))
                throw bytes.Malformed(entry.Offset, $"tensor '{name}' is in '{storages}{key}', which the archive does not have; it is damaged, fetch it again.");
            if (storage.IsStored)
                places.Add(key, (storage.Offset, storage.Length));
            else
                draft.AddNote($"storage '{storages}{key}' is compressed, so its tensors are not mapped.");
        }
        TorchPlacement.Place(bytes, draft, names, places);
    }
}
