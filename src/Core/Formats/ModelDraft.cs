using System.Collections.Immutable;

namespace Coppice.Formats;

/// <summary>Collects what a reader finds and checks what holds for every format: ranges inside the file, no overlap, one name each.</summary>
sealed class ModelDraft(ModelFormat format, ByteWindow bytes)
{
    readonly List<TensorEntry> tensors = [];
    readonly Dictionary<string, int> names = [];
    readonly List<KeyValuePair<string, string>> metadata = [];
    readonly Dictionary<(string Domain, string Name), int> operators = [];
    readonly Dictionary<string, long> opsets = [];
    readonly List<string> notes = [];
    readonly List<ModelPart> parts = [];
    int metadataDropped;

    public List<ModelValue> Inputs { get; } = [];
    public List<ModelValue> Outputs { get; } = [];
    public string? Runtime { get; init; }
    public long? FormatVersion { get; set; }
    public string? Producer { get; set; }
    public string? Name { get; set; }
    public string? Description { get; set; }
    public string? Architecture { get; set; }
    public string? MinimumRuntime { get; set; }

    public bool Has(string tensor) => names.ContainsKey(tensor);

    /// <summary>Adds a tensor whose bytes follow from type and shape; the bytes found must be as many.</summary>
    /// <remarks>The offset is inside this source; the origin of an archive's entry is added here.</remarks>
    public void AddTensor(string name, ElementType type, ImmutableArray<long> shape, long offset, long found,
        string? externalFile = null, Quantisation? quantisation = null)
    {
        if (!type.TryLength(shape.AsSpan(), out var wanted))
            throw bytes.Malformed(offset, $"tensor '{name}' of {type}[{string.Join(", ", shape)}] has no size that can be stored; the file is damaged.");
        if (wanted != found)
            throw bytes.Malformed(offset, $"tensor '{name}' of {type}[{string.Join(", ", shape)}] needs {wanted} bytes, but the file gives it {found}; the file is damaged.");
        Add(new(name, type, shape, offset, found) { ExternalFile = externalFile, Quantisation = quantisation });
    }

    /// <summary>Adds a tensor whose bytes are coded, so that their number says nothing about type and shape.</summary>
    public void AddCoded(string name, ElementType type, ImmutableArray<long> shape, long offset, long length)
    {
        if (!ElementLayout.TryCount(shape.AsSpan(), out _))
            throw bytes.Malformed(offset, $"tensor '{name}' has the impossible shape [{string.Join(", ", shape)}]; the file is damaged.");
        Add(type is ElementType.String or ElementType.Unknown
            ? new(name, type, shape, offset, length)
            : new(name, ElementType.Unknown, shape, offset, length) { CodedType = type });
    }

    void Add(TensorEntry tensor)
    {
        if (tensors.Count == ReadLimits.Tensors)
            throw bytes.Malformed(tensor.Offset, $"the file has more than {ReadLimits.Tensors} tensors; split it.");
        if (tensor.ExternalFile is null)
            bytes.Check(tensor.Offset, tensor.Length, $"tensor '{tensor.Name}'");
        tensors.Add(tensor with { Name = Unique(tensor.Name), Offset = tensor.ExternalFile is null ? tensor.Offset + bytes.Origin : tensor.Offset });
    }

    string Unique(string name)
    {
        if (name.Length == 0)
            name = $"tensor {tensors.Count}";
        if (names.TryAdd(name, 1))
            return name;
        for (; ; )
        {
            var candidate = $"{name}#{++names[name]}";
            if (names.TryAdd(candidate, 1))
                return candidate;
        }
    }

    public void AddMetadata(string key, string value)
    {
        if (metadata.Count < ReadLimits.MetadataEntries)
            metadata.Add(new(key, Shorten(value)));
        else
            metadataDropped++;
    }

    public void AddOperator(string domain, string name, int count = 1)
    {
        ref var uses = ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(operators, (domain, name), out var known);
        if (!known && operators.Count > ReadLimits.Operators)
            throw bytes.Malformed(0, $"the graph uses more than {ReadLimits.Operators} different operators; the file is damaged.");
        uses += count;
    }

    /// <summary>Keeps the highest version that is asked of a domain.</summary>
    public void AddOpset(string domain, long version)
    {
        if (domain == "ai.onnx")
            domain = "";
        if (!opsets.TryGetValue(domain, out var known) || version > known)
            opsets[domain] = version;
        if (opsets.Count > ReadLimits.Operators)
            throw bytes.Malformed(0, $"the model imports more than {ReadLimits.Operators} operator sets; the file is damaged.");
    }

    public void AddNote(string note)
    {
        if (notes.Count < ReadLimits.Notes && !notes.Contains(note))
            notes.Add(note);
    }

    /// <summary>Takes over a model that lies in an entry of this archive; its offsets count from the start of the archive already.</summary>
    public void AddPart(ModelPart part)
    {
        parts.Add(part);
        foreach (var tensor in part.File.Tensors)
        {
            if (tensors.Count == ReadLimits.Tensors)
                throw bytes.Malformed(tensor.Offset, $"the archive has more than {ReadLimits.Tensors} tensors; split it.");
            bytes.Spend(part.Offset, part.Entry.Length + tensor.Name.Length);
            tensors.Add(tensor with { Name = Unique($"{part.Entry}/{tensor.Name}") });
        }
        foreach (var (key, value) in part.File.Map.Metadata)
            AddMetadata($"{part.Entry}/{key}", value);
        foreach (var use in part.File.Needs.Operators)
            AddOperator(use.Domain, use.Name, use.Count);
        foreach (var note in part.File.Notes)
            AddNote($"{part.Entry}: {note}");
    }

    public ModelFile Build()
    {
        tensors.Sort(ByPlace);
        CheckOverlap();
        if (metadataDropped > 0)
            AddNote($"{metadataDropped} more key-values are not shown.");

        return new()
        {
            Format = format,
            Map = new(format, bytes.Length, [.. tensors], [.. metadata]),
            Inputs = [.. Inputs],
            Outputs = [.. Outputs],
            Producer = NullIfEmpty(Producer),
            Name = NullIfEmpty(Name),
            Description = NullIfEmpty(Description),
            Parts = [.. parts],
            ExternalFiles = [.. tensors.Where(tensor => tensor.ExternalFile is not null)
                .GroupBy(tensor => tensor.ExternalFile!).Select(group => new ExternalFile(group.Key, group.Max(tensor => tensor.Offset + tensor.Length)))],
            Notes = [.. notes],
            Needs = new()
            {
                Runtime = Runtime,
                FormatVersion = FormatVersion,
                Opsets = [.. opsets.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => new OpsetImport(pair.Key, pair.Value))],
                Architecture = NullIfEmpty(Architecture),
                MinimumRuntime = NullIfEmpty(MinimumRuntime),
                Operators = [.. operators.OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key.Name, StringComparer.Ordinal)
                    .Select(pair => new OperatorUse(pair.Key.Domain, pair.Key.Name, pair.Value))],
            },
        };
    }

    static int ByPlace(TensorEntry left, TensorEntry right)
    {
        var order = string.CompareOrdinal(left.ExternalFile, right.ExternalFile);
        if (order == 0)
            order = left.Offset.CompareTo(right.Offset);
        if (order == 0)
            order = left.Length.CompareTo(right.Length); // empty tensors before the one that begins where they are
        return order == 0 ? string.CompareOrdinal(left.Name, right.Name) : order;
    }

    void CheckOverlap()
    {
        TensorEntry? before = null;
        foreach (var tensor in tensors)
        {
            if (tensor.Length == 0)
                continue;
            if (before is not null && before.ExternalFile == tensor.ExternalFile && tensor.Offset < before.Offset + before.Length
                && (tensor.Offset, tensor.Length) != (before.Offset, before.Length))
            {
                throw new MalformedFileException(bytes.Format, tensor.Offset,
                    $"tensor '{tensor.Name}' overlaps '{before.Name}', which ends at byte {before.Offset + before.Length}; the file is damaged.");
            }
            before = tensor;
        }
    }

    static string Shorten(string value) => value.Length <= ReadLimits.MetadataCharacters + 32
        ? value : $"{value.AsSpan(0, ReadLimits.MetadataCharacters)}… ({value.Length} characters)";

    static string? NullIfEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text;
}
