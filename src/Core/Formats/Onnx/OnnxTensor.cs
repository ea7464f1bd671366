using System.Collections.Immutable;

namespace Coppice.Formats.Onnx;

/// <summary>A TensorProto: where its elements are, in the message itself or in a file beside the model.</summary>
sealed class OnnxTensor
{
    const int FirstList = 4, Strings = 6, LastList = 11;

    readonly ByteWindow bytes;
    readonly ProtoRun message;
    readonly List<long> dimensions = [];
    ProtoRun? raw;
    ProtoRun? list;
    int listField;
    int listRuns;
    bool listPacked;
    bool external;
    string? location;
    long externalOffset;
    long? externalLength;

    OnnxTensor(ByteWindow bytes, ProtoRun message) => (this.bytes, this.message) = (bytes, message);

    public string Name { get; private set; } = "";

    public ElementType Type { get; private set; }

    public static OnnxTensor Read(ByteWindow bytes, ProtoRun message)
    {
        var tensor = new OnnxTensor(bytes, message);
        for (var field = message.Fields(bytes); field.Next();)
            tensor.Take(field);
        return tensor;
    }

    void Take(in ProtoFields field)
    {
        switch (field.Number)
        {
            case 1: ProtoRun.AddNumbers(bytes, field, dimensions, ReadLimits.Dimensions); break;
            case 2: Type = OnnxTypes.Of(field.Int64()); break;
            case 8: Name = field.Run().Name(bytes); break;
            case 9: raw = field.Run(); break;
            case 13: TakeExternal(field.Run()); break;
            case 14: external = field.Int64() == 1; break;
            case (>= FirstList and <= 7) or 10 or LastList: TakeList(field); break;
        }
    }

    void TakeList(in ProtoFields field)
    {
        if (list is not null && listField != field.Number)
            throw bytes.Malformed(field.TagAt, $"tensor '{Name}' keeps elements in fields {listField} and {field.Number}; it may use one.");
        listField = field.Number;
        listRuns++;
        listPacked = field.Wire == Wire.Bytes && field.Number != Strings;
        list = new(list?.Start ?? (listPacked ? field.Start : field.TagAt), field.End);
    }

    void TakeExternal(ProtoRun entry)
    {
        string key = "", value = "";
        for (var field = entry.Fields(bytes); field.Next();)
        {
            if (field.Number == 1)
                key = field.Run().Name(bytes);
            else if (field.Number == 2)
                value = field.Run().Name(bytes);
        }
        switch (key)
        {
            case "location": location = ExternalPath(entry.Start, value); break;
            case "offset": externalOffset = ExternalNumber(entry.Start, value); break;
            case "length": externalLength = ExternalNumber(entry.Start, value); break;
        }
    }

    long ExternalNumber(long at, string value) =>
        long.TryParse(value, System.Globalization.NumberStyles.None, null, out var number)
            ? number
            : throw bytes.Malformed(at, $"'{value}' is no offset or length of external data; the file is damaged.");

    string ExternalPath(long at, string path)
    {
        var parts = path.Split('/', '\\').Where(part => part != ".").ToArray();
        if (path.Length == 0 || path.Contains('\0') || path.Contains(':') || parts.Length == 0 || parts.Any(part => part is "" or ".."))
            throw bytes.Malformed(at, $"external data at '{path}' is not inside the model's folder; only relative paths without '..' are followed.");
        return string.Join('/', parts);
    }

    /// <summary>Adds the tensor to the draft, by the name that its place in the graph gives it.</summary>
    public void AddTo(ModelDraft draft, string name)
    {
        var shape = ImmutableArray.CreateRange(dimensions);
        if (external)
            AddExternal(draft, name, shape);
        else if (raw is { } data)
        {
            if (Type is ElementType.Unknown or ElementType.String)
                draft.AddCoded(name, Type, shape, data.Start, data.Length);
            else
                draft.AddTensor(name, Type, shape, data.Start, data.Length);
        }
        else if (list is { } items)
            AddList(draft, name, shape, items);
        else if (!ElementLayout.TryCount(shape.AsSpan(), out var elements) || elements > 0)
            throw bytes.Malformed(message.Start, $"tensor '{name}' of {Type}[{string.Join(", ", shape)}] has no elements in the file; the file is damaged.");
        else if (Type is ElementType.Unknown or ElementType.String)
            draft.AddCoded(name, Type, shape, message.Start, 0);
        else
            draft.AddTensor(name, Type, shape, message.Start, 0);
    }

    void AddList(ModelDraft draft, string name, ImmutableArray<long> shape, ProtoRun items)
    {
        if (Type != ElementType.Unknown && listField != OnnxTypes.ListField(Type))
            throw bytes.Malformed(items.Start, $"tensor '{name}' of {Type} keeps its elements in field {listField}, which is not the one for its type; the file is damaged.");

        // Only floats and doubles in one packed run lie in the file as they do in memory.
        if (listPacked && listRuns == 1 && listField is 4 or 10)
            draft.AddTensor(name, Type, shape, items.Start, items.Length);
        else
            draft.AddCoded(name, Type, shape, items.Start, items.Length);
    }

    void AddExternal(ModelDraft draft, string name, ImmutableArray<long> shape)
    {
        if (location is null)
            throw bytes.Malformed(message.Start, $"tensor '{name}' has external data without a location; the file is damaged.");
        if (!Type.TryLength(shape.AsSpan(), out var wanted))
            throw bytes.Malformed(message.Start, $"tensor '{name}' of {Type}[{string.Join(", ", shape)}] cannot be external data; the file is damaged.");
        if (externalOffset > long.MaxValue - wanted)
            throw bytes.Malformed(message.Start, $"tensor '{name}' begins at byte {externalOffset} of '{location}', which no file has; the file is damaged.");
        draft.AddTensor(name, Type, shape, externalOffset, externalLength ?? wanted, location);
    }
}
