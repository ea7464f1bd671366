using System.Buffers.Binary;

namespace Coppice.Formats.Torch;

/// <summary>The file that PyTorch wrote before 1.6: five pickles, then each storage with its number of elements in front.</summary>
static class TorchLegacy
{
    // 80 02 8A 0A, ten bytes of 0x1950A86A20F9469CFC6C, 2E: a pickle of one long number. The protocol may be another.
    static ReadOnlySpan<byte> Magic => [0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, (byte)'.'];

    const int ProtocolBytes = 2;

    public static bool Looks(ByteWindow bytes) =>
        bytes.Length >= ProtocolBytes + Magic.Length && bytes.Byte(0) == 0x80 && bytes.Slice(ProtocolBytes, Magic.Length).SequenceEqual(Magic);

    public static ModelFile Read(ByteWindow bytes)
    {
        var draft = new ModelDraft(ModelFormat.TorchLegacy, bytes) { Runtime = "pytorch" };
        var (version, afterVersion) = PickleMachine.Run(bytes, ProtocolBytes + Magic.Length);
        var (_, afterSystem) = PickleMachine.Run(bytes, afterVersion);
        var (root, afterRoot) = PickleMachine.Run(bytes, afterSystem);
        var (keys, at) = PickleMachine.Run(bytes, afterRoot);
        if (version is not PickleNumber { Value: 1001 })
            throw bytes.Malformed(ProtocolBytes + Magic.Length, "the protocol version is not 1001; write the file again with a current PyTorch.");
        draft.FormatVersion = 1001;

        var names = new TorchNames(bytes);
        names.Walk(root, "");
        var storages = new Dictionary<string, TorchStorage>();
        foreach (var (_, tensor) in names.Found)
            storages.TryAdd(tensor.Storage.Key, tensor.Storage);

        if (keys is not PickleList list)
            throw bytes.Malformed(afterRoot, "the list of storages is missing; the file is damaged, fetch it again.");
        TorchPlacement.Place(bytes, draft, names, Places(bytes, draft, list, storages, at));
        return draft.Build();
    }

    static Dictionary<string, (long, long)> Places(
        ByteWindow bytes, ModelDraft draft, PickleList keys, Dictionary<string, TorchStorage> storages, long at)
    {
        var places = new Dictionary<string, (long, long)>();
        foreach (var item in keys.Items)
        {
            var key = item switch { PickleText text => text.Value, PickleNumber number => $"{number.Value}", _ => "" };
            bytes.Check(at, sizeof(long), $"storage '{key}'");
            var elements = BinaryPrimitives.ReadInt64LittleEndian(bytes.Slice(at, sizeof(long)));
            at += sizeof(long);
            if (!storages.TryGetValue(key, out var storage))
            {
                draft.AddNote($"storage '{key}' belongs to no tensor that is understood; it and those after it are not mapped.");
                return places;
            }
            var length = (Int128)elements * storage.ItemBytes;
            if (elements < 0 || length > bytes.Length - at)
                throw bytes.Malformed(at - sizeof(long), $"storage '{key}' of {elements} elements does not fit into the {bytes.Length - at} bytes that are left; the file is cut short, fetch it again.");
            if (!places.TryAdd(key, (at, (long)length)))
                throw bytes.Malformed(at - sizeof(long), $"storage '{key}' stands twice in the list; the file is damaged.");
            at += (long)length;
        }
        if (places.Count < storages.Count)
            throw bytes.Malformed(at, $"{storages.Count - places.Count} storages are missing from the list; the file is damaged, fetch it again.");
        return places;
    }
}
