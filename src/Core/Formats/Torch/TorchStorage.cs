namespace Coppice.Formats.Torch;

/// <summary>A run of elements that tensors are views of, as its persistent id names it.</summary>
/// <param name="Key">The entry of the archive, or the number in a legacy file, that holds it.</param>
/// <param name="Type">Elements; UInt8 for an untyped storage.</param>
/// <param name="IsUntyped">The tensor says what the elements are.</param>
/// <param name="Elements">As many as the id says.</param>
/// <param name="Skip">Elements of the kept storage before this view of it (legacy files); 0 when it is no view.</param>
readonly record struct TorchStorage(string Key, ElementType Type, bool IsUntyped, long Elements, long Skip)
{
    public int ItemBytes => Math.Max(1, Type.BitsPerElement() / 8);

    /// <summary>Reads <c>('storage', torch.FloatStorage, key, location, elements[, view])</c>.</summary>
    public static TorchStorage? Of(PickleValue value)
    {
        if (value is not PicklePersistent { Id: PickleList { Items: [PickleText { Value: "storage" }, PickleGlobal type, var id, _, PickleNumber elements, .. var rest] } })
            return null;
        var key = id switch { PickleText text => text.Value, PickleNumber number => $"{number.Value}", _ => null };
        if (key is null || elements.Value < 0)
            return null;
        var skip = rest is [PickleList { Items: [_, PickleNumber offset, PickleNumber] }] ? offset.Value : 0;
        return skip < 0 ? null : new(key, TypeOf(type.Name), type.Name == "UntypedStorage", elements.Value, skip);
    }

    static ElementType TypeOf(string storage) => storage switch
    {
        "DoubleStorage" => ElementType.Float64,
        "FloatStorage" => ElementType.Float32,
        "HalfStorage" => ElementType.Float16,
        "BFloat16Storage" => ElementType.BFloat16,
        "LongStorage" => ElementType.Int64,
        "IntStorage" or "QInt32Storage" => ElementType.Int32,
        "ShortStorage" => ElementType.Int16,
        "CharStorage" or "QInt8Storage" => ElementType.Int8,
        "ByteStorage" or "QUInt8Storage" or "UntypedStorage" or "QUInt4x2Storage" or "QUInt2x4Storage" => ElementType.UInt8,
        "BoolStorage" => ElementType.Bool,
        "ComplexFloatStorage" => ElementType.Complex64,
        "ComplexDoubleStorage" => ElementType.Complex128,
        _ => ElementType.Unknown,
    };

    /// <summary>The type of <c>torch.float8_e4m3fn</c> and its like, by name.</summary>
    public static ElementType TypeOfDtype(string name) => name switch
    {
        "float64" => ElementType.Float64,
        "float32" => ElementType.Float32,
        "float16" => ElementType.Float16,
        "bfloat16" => ElementType.BFloat16,
        "float8_e4m3fn" => ElementType.Float8E4M3FN,
        "float8_e4m3fnuz" => ElementType.Float8E4M3FNUZ,
        "float8_e5m2" => ElementType.Float8E5M2,
        "float8_e5m2fnuz" => ElementType.Float8E5M2FNUZ,
        "float8_e8m0fnu" => ElementType.Float8E8M0,
        "int64" => ElementType.Int64,
        "int32" => ElementType.Int32,
        "int16" => ElementType.Int16,
        "int8" => ElementType.Int8,
        "uint64" => ElementType.UInt64,
        "uint32" => ElementType.UInt32,
        "uint16" => ElementType.UInt16,
        "uint8" => ElementType.UInt8,
        "bool" => ElementType.Bool,
        "complex64" => ElementType.Complex64,
        "complex128" => ElementType.Complex128,
        _ => ElementType.Unknown,
    };
}
