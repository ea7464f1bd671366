namespace Coppice.Formats.Onnx;

/// <summary>Walks graphs, their nodes and the graphs inside those, and collects tensors and operators.</summary>
sealed class OnnxGraph(ByteWindow bytes, ModelDraft draft)
{
    /// <summary>Reads the model's own graph: also its name, inputs and outputs.</summary>
    public void ReadMain(ProtoRun graph)
    {
        var inputs = new List<ModelValue>();
        for (var field = graph.Fields(bytes); field.Next();)
        {
            switch (field.Number)
            {
                case 2: draft.Name = field.Run().Name(bytes); break;
                case 10 when draft.Description is null: draft.Description = field.Run().Text(bytes); break;
                case 11: Add(inputs, field); break;
                case 12: Add(draft.Outputs, field); break;
            }
        }
        var initialisers = Read(graph, "", ReadLimits.Depth);
        draft.Inputs.AddRange(inputs.Where(input => !initialisers.Contains(input.Name)));
    }

    void Add(List<ModelValue> values, in ProtoFields field)
    {
        if (values.Count == ReadLimits.Values)
            throw bytes.Malformed(field.TagAt, $"the graph has more than {ReadLimits.Values} inputs or outputs; the file is damaged.");
        values.Add(OnnxValue.Read(bytes, field.Run()));
    }

    /// <summary>Reads tensors and nodes of a graph; <paramref name="path"/> goes before their names.</summary>
    /// <returns>The names of the initialisers, as the graph writes them.</returns>
    public HashSet<string> Read(ProtoRun graph, string path, int depth)
    {
        if (depth == 0)
            throw bytes.Malformed(graph.Start, $"graphs lie more than {ReadLimits.Depth} deep in one another; the file is damaged.");
        var initialisers = new HashSet<string>();
        for (var field = graph.Fields(bytes); field.Next();)
        {
            switch (field.Number)
            {
                case 1: ReadNode(field.Run(), path, depth); break;
                case 5:
                    var tensor = OnnxTensor.Read(bytes, field.Run());
                    initialisers.Add(tensor.Name);
                    tensor.AddTo(draft, Join(field.TagAt, path, tensor.Name));
                    break;
                case 15:
                    initialisers.Add(ReadSparse(field.Run(), path, null));
                    break;
            }
        }
        return initialisers;
    }

    public void ReadNode(ProtoRun node, string path, int depth)
    {
        ProtoRun name = default, firstOutput = default, op = default, domain = default;
        var attributes = false;
        for (var field = node.Fields(bytes); field.Next();)
        {
            switch (field.Number)
            {
                case 2 when firstOutput == default: firstOutput = field.Run(); break;
                case 3: name = field.Run(); break;
                case 4: op = field.Run(); break;
                case 5: attributes = true; break;
                case 7: domain = field.Run(); break;
            }
        }
        var opType = op.Name(bytes);
        draft.AddOperator(domain.IsEmpty ? "" : domain.Name(bytes) is var named && named == "ai.onnx" ? "" : named, opType);
        if (!attributes)
            return;

        for (var field = node.Fields(bytes); field.Next();)
        {
            if (field.Number == 5)
                ReadAttribute(field.Run(), new(name, firstOutput, opType == "Constant"), path, depth);
        }
    }

    readonly record struct Owner(ProtoRun Name, ProtoRun FirstOutput, bool IsConstant);

    void ReadAttribute(ProtoRun attribute, Owner node, string path, int depth)
    {
        ProtoRun name = default;
        var holds = false;
        for (var field = attribute.Fields(bytes); field.Next();)
        {
            if (field.Number == 1)
                name = field.Run();
            holds |= field.Number is 5 or 6 or 10 or 11 or 22 or 23;
        }
        if (!holds)
            return;

        // A Constant's tensor is known by the value that it gives; others by their node and attribute.
        var own = node.IsConstant && !node.FirstOutput.IsEmpty
            ? Join(attribute.Start, path, node.FirstOutput.Name(bytes))
            : Join(attribute.Start, path, $"{(node.Name.IsEmpty ? node.FirstOutput : node.Name).Name(bytes)}/{name.Name(bytes)}");
        var item = 0;
        for (var field = attribute.Fields(bytes); field.Next();)
        {
            var numbered = field.Number is 10 or 11 or 23 ? $"{own}/{item}" : own;
            switch (field.Number)
            {
                case 5 or 10:
                    OnnxTensor.Read(bytes, field.Run()).AddTo(draft, numbered);
                    item++;
                    break;
                case 6 or 11:
                    Read(field.Run(), $"{numbered}/", depth - 1);
                    item++;
                    break;
                case 22 or 23:
                    ReadSparse(field.Run(), path, numbered);
                    item++;
                    break;
            }
        }
    }

    /// <summary>A sparse tensor is two dense ones: its values, which carry its name, and their indices.</summary>
    string ReadSparse(ProtoRun sparse, string path, string? name)
    {
        OnnxTensor? values = null, indices = null;
        for (var field = sparse.Fields(bytes); field.Next();)
        {
            if (field.Number == 1)
                values = OnnxTensor.Read(bytes, field.Run());
            else if (field.Number == 2)
                indices = OnnxTensor.Read(bytes, field.Run());
        }
        if (values is null)
            throw bytes.Malformed(sparse.Start, "a sparse tensor has no values; the file is damaged.");
        name ??= Join(sparse.Start, path, values.Name);
        values.AddTo(draft, name);
        indices?.AddTo(draft, $"{name}.indices");
        return values.Name;
    }

    string Join(long at, string path, string name)
    {
        bytes.Spend(at, path.Length + name.Length);
        return path.Length == 0 ? name : path + name;
    }
}
