namespace Coppice.Formats.Onnx;

/// <summary>ONNX: a protobuf ModelProto, read field by field from the wire so that a tensor is a place in the file and never a copy.</summary>
/// <remarks>Field numbers after onnx.proto of ONNX 1.19. Fields that came later are stepped over.</remarks>
static class OnnxReader
{
    const int Graph = 7;

    // ModelProto: ir_version 1, producer_name 2, producer_version 3, domain 4, model_version 5, doc_string 6, graph 7,
    // opset_import 8, metadata_props 14, training_info 20, functions 25, configuration 26
    static bool IsModelField(in ProtoFields field) => field.Number switch
    {
        1 or 5 => field.Wire == Wire.Varint,
        2 or 3 or 4 or 6 or Graph or 8 or 14 or 20 or 25 or 26 => field.Wire == Wire.Bytes,
        _ => false,
    };

    /// <summary>Whether the bytes are fields of a ModelProto up to its graph. Protobuf has no magic number, so this is as sure as it gets.</summary>
    public static bool Looks(ByteWindow bytes)
    {
        var fields = new ProtoFields(bytes, 0, bytes.Length);
        var version = false;
        try
        {
            while (fields.Next())
            {
                if (!IsModelField(fields) || (fields.Number == 1 && fields.Value is 0 or > 1000))
                    return false;
                version |= fields.Number == 1;
                if (fields.Number == Graph && version)
                    return LooksLikeGraph(bytes, fields.Run());
            }
        }
        catch (MalformedFileException)
        {
            // A graph that claims more bytes than there are is an ONNX file cut short; anything else is not ONNX.
            return version && fields is { Number: Graph, Wire: Wire.Bytes } && fields.Start < bytes.Length
                && LooksLikeGraph(bytes, new(fields.Start, bytes.Length));
        }
        return false;
    }

    static bool LooksLikeGraph(ByteWindow bytes, ProtoRun graph)
    {
        if (graph.IsEmpty)
            return true;
        var tag = bytes.Byte(graph.Start);
        return (tag & 7) == (int)Wire.Bytes && (tag >> 3) is 1 or 2 or 5 or 10 or 11 or 12 or 13 or 14 or 15;
    }

    public static ModelFile Read(ByteWindow bytes)
    {
        var draft = new ModelDraft(ModelFormat.Onnx, bytes) { Runtime = "onnxruntime" };
        var graph = new OnnxGraph(bytes, draft);
        ProtoRun? main = null;
        string producer = "", version = "";
        for (var field = new ProtoFields(bytes, 0, bytes.Length); field.Next();)
        {
            switch (field.Number)
            {
                case 1: draft.FormatVersion = field.Int64(); break;
                case 2: producer = field.Run().Name(bytes); break;
                case 3: version = field.Run().Name(bytes); break;
                case 4: AddIfGiven(draft, "domain", field.Run().Text(bytes)); break;
                case 5: draft.AddMetadata("model_version", $"{field.Int64()}"); break;
                case 6: draft.Description = field.Run().Text(bytes); break;
                case Graph when main is not null:
                    throw bytes.Malformed(field.TagAt, "the model has two graphs; the file is damaged.");
                case Graph: main = field.Run(); break;
                case 8: ReadOpset(bytes, field.Run(), draft); break;
                case 14: ReadPair(bytes, field.Run(), draft); break;
                case 20: ReadTraining(bytes, field.Run(), graph); break;
                case 25: ReadFunction(bytes, field.Run(), draft, graph); break;
            }
        }
        draft.Producer = $"{producer} {version}".Trim();
        if (main is null)
            throw bytes.Malformed(0, "the model has no graph; the file is damaged.");
        graph.ReadMain(main.Value);
        return draft.Build();
    }

    static void AddIfGiven(ModelDraft draft, string key, string value)
    {
        if (value.Length > 0)
            draft.AddMetadata(key, value);
    }

    static void ReadOpset(ByteWindow bytes, ProtoRun message, ModelDraft draft)
    {
        var (domain, version) = ("", 0L);
        for (var field = message.Fields(bytes); field.Next();)
        {
            if (field.Number == 1)
                domain = field.Run().Name(bytes);
            else if (field.Number == 2)
                version = field.Int64();
        }
        draft.AddOpset(domain, version);
    }

    static void ReadPair(ByteWindow bytes, ProtoRun message, ModelDraft draft)
    {
        string key = "", value = "";
        for (var field = message.Fields(bytes); field.Next();)
        {
            if (field.Number == 1)
                key = field.Run().Name(bytes);
            else if (field.Number == 2)
                value = field.Run().Text(bytes);
        }
        draft.AddMetadata(key, value);
    }

    static void ReadTraining(ByteWindow bytes, ProtoRun message, OnnxGraph graph)
    {
        for (var field = message.Fields(bytes); field.Next();)
        {
            if (field.Number is 1 or 2)
                graph.Read(field.Run(), field.Number == 1 ? "training/initialisation/" : "training/algorithm/", ReadLimits.Depth);
        }
    }

    static void ReadFunction(ByteWindow bytes, ProtoRun message, ModelDraft draft, OnnxGraph graph)
    {
        string name = "", domain = "";
        for (var field = message.Fields(bytes); field.Next();)
        {
            switch (field.Number)
            {
                case 1: name = field.Run().Name(bytes); break;
                case 9: ReadOpset(bytes, field.Run(), draft); break;
                case 10: domain = field.Run().Name(bytes); break;
            }
        }
        for (var field = message.Fields(bytes); field.Next();)
        {
            if (field.Number == 7)
                graph.ReadNode(field.Run(), domain.Length == 0 ? $"{name}/" : $"{domain}.{name}/", ReadLimits.Depth);
        }
    }
}
