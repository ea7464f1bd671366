namespace Coppice.Formats.Torch;

/// <summary>Finds the tensors in what a pickle builds and names each by the way to it, as a state_dict does: <c>layer.0.weight</c>.</summary>
/// <remarks>A container is entered once, so that cycles end and shared parts cost nothing.</remarks>
sealed class TorchNames(ByteWindow bytes)
{
    // An nn.Module takes three values a level: the call, its state and the dictionary of its children.
    const int Depth = ReadLimits.Depth * 4;

    readonly HashSet<PickleValue> entered = new(ReferenceEqualityComparer.Instance);

    /// <summary>Tensors by name, in the order in which the pickle has them.</summary>
    public List<(string Name, TorchTensor Tensor)> Found { get; } = [];

    /// <summary>Names of tensors whose description is not understood or does not fit its storage.</summary>
    public List<string> Skipped { get; } = [];

    public void Walk(PickleValue value, string path, int depth = Depth)
    {
        switch (value)
        {
            case PickleCall call when TensorOf(call, out var tensor):
                Add(path, tensor);
                break;
            case PickleCall or PickleList or PickleMap:
                if (!entered.Add(value))
                    break;
                if (depth == 0)
                    throw bytes.Malformed(0, $"values lie more than {Depth} deep in one another; the file is damaged.");
                Enter(value, path, depth - 1);
                break;
        }
    }

    void Enter(PickleValue value, string path, int depth)
    {
        switch (value)
        {
            case PickleList list: WalkItems(list.Items, path, depth); break;
            case PickleMap map: WalkPairs(map.Pairs, path, depth); break;
            case PickleCall call:
                if (call.Callee is PickleGlobal { Name: "_rebuild_parameter" or "_rebuild_parameter_with_state" } && call.Arguments is PickleList { Items: [var data, ..] })
                    Walk(data, path, depth);
                else if (call.Callee is PickleGlobal { Name: "_rebuild_from_type_v2" } && call.Arguments is PickleList { Items: [var function, _, var arguments, ..] })
                    Walk(new PickleCall(function, arguments), path, depth);
                else
                    Walk(call.Arguments, path, depth);
                if (call.Pairs is not null)
                    WalkPairs(call.Pairs, path, depth);
                if (call.Items is not null)
                    WalkItems(call.Items, path, depth);
                if (call.State is not null)
                    Walk(call.State, path, depth);
                break;
        }
    }

    void WalkItems(List<PickleValue> items, string path, int depth)
    {
        for (var i = 0; i < items.Count; i++)
        {
            if (MayHold(items[i]))
                Walk(items[i], Join(path, $"{i}"), depth);
        }
    }

    void WalkPairs(List<(PickleValue Key, PickleValue Value)> pairs, string path, int depth)
    {
        foreach (var (key, value) in pairs)
        {
            if (!MayHold(value))
                continue;
            var name = key switch { PickleText text => text.Value, PickleNumber number => $"{number.Value}", _ => "?" };
            Walk(value, name is "_modules" or "_parameters" or "_buffers" ? path : Join(path, name), depth);
        }
    }

    bool MayHold(PickleValue value) => value is PickleCall or PickleList or PickleMap && !entered.Contains(value);

    string Join(string path, string name)
    {
        bytes.Spend(0, path.Length + name.Length);
        return path.Length == 0 ? name : $"{path}.{name}";
    }

    /// <summary>True for a call that makes a tensor; the tensor is null when its arguments do not describe one.</summary>
    static bool TensorOf(PickleCall call, out TorchTensor? tensor)
    {
        tensor = null;
        if (call.Callee is not PickleGlobal { Name: "_rebuild_tensor" or "_rebuild_tensor_v2" or "_rebuild_tensor_v3" or "_rebuild_qtensor" } function)
            return false;
        if (call.Arguments is PickleList arguments)
            tensor = TorchTensor.Of(function.Name, arguments);
        return true;
    }

    void Add(string path, TorchTensor? tensor)
    {
        if (Found.Count == ReadLimits.Tensors)
            throw bytes.Malformed(0, $"the file has more than {ReadLimits.Tensors} tensors; split it.");
        if (tensor is null)
            Skipped.Add(path);
        else
            Found.Add((path, tensor));
    }
}
