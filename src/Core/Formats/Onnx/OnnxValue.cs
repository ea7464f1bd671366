using System.Collections.Immutable;

namespace Coppice.Formats.Onnx;

/// <summary>A ValueInfoProto: name, element type and dimensions of an input or output.</summary>
static class OnnxValue
{
    public static ModelValue Read(ByteWindow bytes, ProtoRun message)
    {
        var value = new ModelValue("", ElementType.Unknown, []);
        for (var field = message.Fields(bytes); field.Next();)
        {
            if (field.Number == 1)
                value = value with { Name = field.Run().Name(bytes) };
            else if (field.Number == 2)
                value = ReadType(bytes, field.Run(), value);
        }
        return value;
    }

    static ModelValue ReadType(ByteWindow bytes, ProtoRun type, ModelValue value)
    {
        for (var field = type.Fields(bytes); field.Next();)
        {
            if (field.Number is 1 or 8) // a tensor, dense or sparse; sequences, maps and optionals stay Unknown
                value = ReadTensor(bytes, field.Run(), value);
        }
        return value;
    }

    static ModelValue ReadTensor(ByteWindow bytes, ProtoRun tensor, ModelValue value)
    {
        for (var field = tensor.Fields(bytes); field.Next();)
        {
            if (field.Number == 1)
                value = value with { Type = OnnxTypes.Of(field.Int64()) };
            else if (field.Number == 2)
                value = ReadShape(bytes, field.Run(), value);
        }
        return value;
    }

    static ModelValue ReadShape(ByteWindow bytes, ProtoRun shape, ModelValue value)
    {
        var sizes = ImmutableArray.CreateBuilder<long>(4);
        var symbols = ImmutableArray.CreateBuilder<string?>(4);
        for (var field = shape.Fields(bytes); field.Next();)
        {
            if (field.Number != 1)
                continue;
            if (sizes.Count == ReadLimits.Dimensions)
                throw bytes.Malformed(field.TagAt, $"'{value.Name}' has more than {ReadLimits.Dimensions} dimensions; the file is damaged.");
            var (size, symbol) = (-1L, (string?)null);
            for (var part = field.Run().Fields(bytes); part.Next();)
            {
                if (part.Number == 1)
                    size = Math.Max(-1, part.Int64());
                else if (part.Number == 2)
                    symbol = part.Run().Name(bytes);
            }
            sizes.Add(size);
            symbols.Add(symbol);
        }
        return value with { Shape = sizes.DrainToImmutable(), Symbols = symbols.Any(symbol => symbol is not null) ? symbols.DrainToImmutable() : [] };
    }
}
