using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text.Json;

namespace Coppice.Formats.Safetensors;

/// <summary>Safetensors: the header's length, a JSON header, then tensors without holes.</summary>
/// <remarks>As the format orders, duplicate names, holes, overlaps and bytes after the last tensor are refused.</remarks>
static class SafetensorsReader
{
    const int LengthBytes = sizeof(ulong);
    const int TensorFields = 3;

    public static bool Looks(ByteWindow bytes)
    {
        if (bytes.Length < LengthBytes + 2)
            return false;
        var head = bytes.Slice(0, LengthBytes + 2);
        var header = BinaryPrimitives.ReadUInt64LittleEndian(head);
        return header is >= 2 and <= ReadLimits.SafetensorsHeader && head[8] == (byte)'{' && head[9] is (byte)'"' or (byte)'}' or (byte)' ' or (byte)'\n';
    }

    public static ModelFile Read(ByteWindow bytes)
    {
        var draft = new ModelDraft(ModelFormat.Safetensors, bytes);
        var header = bytes.UInt64(0);
        if (header > ReadLimits.SafetensorsHeader)
            throw bytes.Malformed(0, $"the header has {header} bytes, more than {ReadLimits.SafetensorsHeader}; the file is damaged.");
        bytes.Check(LengthBytes, (long)header, "the header");

        var data = LengthBytes + (long)header;
        var json = new HeaderTokens(bytes, LengthBytes, data);
        try
        {
            ReadHeader(ref json, draft, bytes, data);
        }
        catch (Exception problem) when (problem is JsonException or InvalidOperationException) // the latter: text that is no UTF-8
        {
            throw bytes.Malformed(json.Offset, $"the header is not valid JSON ({problem.Message.Split('.')[0]}); the file is damaged, fetch it again.");
        }

        var model = draft.Build();
        CheckGapless(bytes, model.Tensors, data);
        return model;
    }

    static void ReadHeader(ref HeaderTokens json, ModelDraft draft, ByteWindow bytes, long data)
    {
        json.Expect(JsonTokenType.StartObject);
        var metadata = false;
        while (json.Next() == JsonTokenType.PropertyName)
        {
            var at = json.Offset;
            var name = json.Text();
            if (name == "__metadata__")
            {
                if (metadata)
                    throw bytes.Malformed(at, "'__metadata__' stands twice in the header; write the file again.");
                metadata = true;
                ReadMetadata(ref json, draft, bytes);
                continue;
            }
            if (draft.Has(name))
                throw bytes.Malformed(at, $"tensor '{name}' stands twice in the header; write the file again.");
            ReadTensor(ref json, draft, bytes, name, data);
        }
        json.ExpectEnd();
    }

    static void ReadMetadata(ref HeaderTokens json, ModelDraft draft, ByteWindow bytes)
    {
        json.Expect(JsonTokenType.StartObject);
        var keys = new HashSet<string>();
        while (json.Next() == JsonTokenType.PropertyName)
        {
            var key = json.Text();
            if (keys.Count < ReadLimits.MetadataEntries && !keys.Add(key))
                throw bytes.Malformed(json.Offset, $"key '{key}' stands twice in '__metadata__'; write the file again.");
            json.Expect(JsonTokenType.String);
            var value = json.Text();
            draft.AddMetadata(key, value);
            if (key == "format")
                draft.Producer = value;
        }
    }

    static void ReadTensor(ref HeaderTokens json, ModelDraft draft, ByteWindow bytes, string name, long data)
    {
        var start = json.Offset;
        string? dtype = null;
        ImmutableArray<long> shape = default, offsets = default;
        json.Expect(JsonTokenType.StartObject);
        var fields = 0;
        while (json.Next() == JsonTokenType.PropertyName)
        {
            var field = json.Text();
            fields++;
            if (field == "dtype" && dtype is null)
            {
                json.Expect(JsonTokenType.String);
                dtype = json.Text();
            }
            else if (field == "shape" && shape.IsDefault)
                shape = Numbers(ref json, bytes, name);
            else if (field == "data_offsets" && offsets.IsDefault)
                offsets = Numbers(ref json, bytes, name);
            else
                throw bytes.Malformed(json.Offset, $"tensor '{name}' has a field '{field}' that is unknown or stands twice; it may have dtype, shape and data_offsets.");
        }
        if (fields != TensorFields)
            throw bytes.Malformed(start, $"tensor '{name}' has {fields} of the fields dtype, shape and data_offsets; it needs all three.");
        if (offsets.Length != 2 || offsets[0] > offsets[1] || offsets[1] > bytes.Length - data)
            throw bytes.Malformed(start, $"tensor '{name}' has data_offsets [{string.Join(", ", offsets)}], but {bytes.Length - data} bytes follow the header; the file is cut short or damaged, fetch it again.");

        var (offset, length) = (data + offsets[0], offsets[1] - offsets[0]);
        if (SixBits(dtype!))
        {
            if (!ElementLayout.TryCount(shape.AsSpan(), out var elements) || (Int128)elements * 6 != (Int128)length * 8)
                throw bytes.Malformed(start, $"tensor '{name}' of {dtype}[{string.Join(", ", shape)}] does not fit its {length} bytes; the file is damaged.");
            draft.AddCoded(name, ElementType.Unknown, shape, offset, length);
            return;
        }
        var type = TypeOf(dtype!);
        if (type == ElementType.Unknown)
            throw bytes.Malformed(start, $"tensor '{name}' has dtype '{dtype}', which is not known; update Coppice or convert the file.");
        draft.AddTensor(name, type, shape, offset, length);
    }

    static ImmutableArray<long> Numbers(ref HeaderTokens json, ByteWindow bytes, string tensor)
    {
        json.Expect(JsonTokenType.StartArray);
        var numbers = ImmutableArray.CreateBuilder<long>(4);
        while (json.Next() == JsonTokenType.Number)
        {
            if (!json.TryNumber(out var number) || number < 0)
                throw bytes.Malformed(json.Offset, $"tensor '{tensor}' has a size or offset that is no whole number from 0 to 2^63 - 1; the file is damaged.");
            if (numbers.Count == ReadLimits.Dimensions)
                throw bytes.Malformed(json.Offset, $"tensor '{tensor}' has more than {ReadLimits.Dimensions} dimensions; the file is damaged.");
            numbers.Add(number);
        }
        json.ExpectHere(JsonTokenType.EndArray);
        return numbers.DrainToImmutable();
    }

    static void CheckGapless(ByteWindow bytes, ImmutableArray<TensorEntry> tensors, long data)
    {
        var end = data + bytes.Origin;
        foreach (var tensor in tensors)
        {
            if (tensor.Length == 0)
                continue;
            if (tensor.Offset < end)
                throw new MalformedFileException(bytes.Format, tensor.Offset, $"tensor '{tensor.Name}' shares its bytes with another one, which the format forbids; write the file again.");
            if (tensor.Offset > end)
                throw new MalformedFileException(bytes.Format, end, $"{tensor.Offset - end} bytes before tensor '{tensor.Name}' belong to no tensor, which the format forbids; write the file again.");
            end += tensor.Length;
        }
        if (end != bytes.Length + bytes.Origin)
            throw new MalformedFileException(bytes.Format, end, $"{bytes.Length + bytes.Origin - end} bytes at the end belong to no tensor, which the format forbids; fetch the file again.");
    }

    static bool SixBits(string dtype) => dtype is "F6_E2M3" or "F6_E3M2";

    static ElementType TypeOf(string dtype) => dtype switch
    {
        "F64" => ElementType.Float64,
        "F32" => ElementType.Float32,
        "F16" => ElementType.Float16,
        "BF16" => ElementType.BFloat16,
        "F8_E4M3" => ElementType.Float8E4M3FN,
        "F8_E4M3FNUZ" => ElementType.Float8E4M3FNUZ,
        "F8_E5M2" => ElementType.Float8E5M2,
        "F8_E5M2FNUZ" => ElementType.Float8E5M2FNUZ,
        "F8_E8M0" => ElementType.Float8E8M0,
        "F4" => ElementType.Float4E2M1,
        "I64" => ElementType.Int64,
        "I32" => ElementType.Int32,
        "I16" => ElementType.Int16,
        "I8" => ElementType.Int8,
        "U64" => ElementType.UInt64,
        "U32" => ElementType.UInt32,
        "U16" => ElementType.UInt16,
        "U8" => ElementType.UInt8,
        "BOOL" => ElementType.Bool,
        "C64" => ElementType.Complex64,
        _ => ElementType.Unknown,
    };
}
