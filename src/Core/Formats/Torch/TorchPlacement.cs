namespace Coppice.Formats.Torch;

/// <summary>Turns views of storages into tensors of the map: byte ranges that are equal or do not touch.</summary>
static class TorchPlacement
{
    /// <param name="bytes">The file.</param>
    /// <param name="draft">Where tensors and notes go.</param>
    /// <param name="names">What the pickle holds.</param>
    /// <param name="places">Where each storage begins and how many bytes it has; a storage that is missing here is not mapped.</param>
    public static void Place(ByteWindow bytes, ModelDraft draft, TorchNames names, Dictionary<string, (long Offset, long Length)> places)
    {
        foreach (var name in names.Skipped)
            draft.AddNote($"tensor '{name}' is made in a way that is not understood, so it is not mapped.");

        var views = new List<(long Offset, long Length, string Name, TorchTensor Tensor)>(names.Found.Count);
        foreach (var (name, tensor) in names.Found)
        {
            if (!places.TryGetValue(tensor.Storage.Key, out var place))
                continue;
            var type = tensor.Type;
            var item = Math.Max(1, type.BitsPerElement() / 8);
            var first = (Int128)tensor.First * item + (Int128)tensor.Storage.Skip * tensor.Storage.ItemBytes;
            var length = (Int128)tensor.Span * item;
            if (first + length > place.Length)
                throw bytes.Malformed(place.Offset, $"tensor '{name}' ends {first + length} bytes into storage '{tensor.Storage.Key}', which has {place.Length}; the file is damaged.");
            views.Add((place.Offset + (long)first, (long)length, name, tensor));
        }

        views.Sort((left, right) => left.Offset != right.Offset ? left.Offset.CompareTo(right.Offset) : right.Length.CompareTo(left.Length));
        var kept = (Start: -1L, End: -1L, Name: "");
        foreach (var (offset, length, name, tensor) in views)
        {
            var end = offset + length;
            if (length > 0 && offset < kept.End && (offset, end) != (kept.Start, kept.End))
            {
                draft.AddNote($"tensor '{name}' is a view inside the bytes of '{kept.Name}', so it is not mapped.");
                continue;
            }
            if (length > 0)
                kept = (offset, end, name);
            Add(draft, name, tensor, offset, length);
        }
    }

    static void Add(ModelDraft draft, string name, TorchTensor tensor, long offset, long length)
    {
        if (tensor.Type == ElementType.Unknown)
            draft.AddCoded(name, ElementType.Unknown, tensor.Shape, offset, length);
        else
            draft.AddTensor(name, tensor.Type, tensor.Shape, offset, length);
    }
}
