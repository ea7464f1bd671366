namespace Coppice.Formats.Torch;

/// <summary>What a pickle builds, as far as tensors need it. Nothing is called, imported or made: a class is its name only.</summary>
abstract class PickleValue
{
    /// <summary>Numbers that are not whole, bytes, long texts, anything that no tensor is found through.</summary>
    public static readonly PickleValue Opaque = new PickleNothing();
}

sealed class PickleNothing : PickleValue;

sealed class PickleNumber(long value) : PickleValue
{
    public long Value => value;
}

sealed class PickleText(string value) : PickleValue
{
    public string Value => value;
}

/// <summary>A class or function by its module and name.</summary>
sealed class PickleGlobal(string module, string name) : PickleValue
{
    public string Module => module;
    public string Name => name;
}

/// <summary>A list, tuple or set.</summary>
sealed class PickleList : PickleValue
{
    public List<PickleValue> Items { get; init; } = [];
}

/// <summary>A dictionary, in the order of its keys.</summary>
sealed class PickleMap : PickleValue
{
    public List<(PickleValue Key, PickleValue Value)> Pairs { get; } = [];
}

/// <summary>A call that Python would make, and what it would set on the result.</summary>
sealed class PickleCall(PickleValue callee, PickleValue arguments) : PickleValue
{
    public PickleValue Callee => callee;
    public PickleValue Arguments => arguments;
    public PickleValue? State { get; set; }

    /// <summary>Items set on the result, as on an OrderedDict.</summary>
    public List<(PickleValue Key, PickleValue Value)>? Pairs { get; set; }

    /// <summary>Items appended to the result, as to a subclass of list.</summary>
    public List<PickleValue>? Items { get; set; }
}

/// <summary>An object that the file keeps outside the pickle: for PyTorch, a storage.</summary>
sealed class PicklePersistent(PickleValue id) : PickleValue
{
    public PickleValue Id => id;
}
