using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Numerics;

namespace Coppice.Formats.Gguf;

/// <summary>GGUF, versions 2 and 3, little-endian: header, key-values, tensor infos, then aligned tensor data.</summary>
/// <remarks>Layout after ggml's docs/gguf.md; types after ggml 0.5.0. Long arrays are stepped over, not kept.</remarks>
static class GgufReader
{
    public const uint Magic = 0x46554747; // "GGUF"

    const int DefaultAlignment = 32;
    const int MaxDimensions = 4; // GGML_MAX_DIMS

    public static ModelFile Read(ByteWindow bytes)
    {
        var draft = new ModelDraft(ModelFormat.Gguf, bytes) { Runtime = "llama.cpp" };
        var at = new GgufCursor(bytes, 4);

        var version = at.UInt32();
        if (version is not (2 or 3))
        {
            throw bytes.Malformed(4, IsSwapped(version)
                ? "the file is big-endian; convert it to little-endian, which is what devices read."
                : $"version {version} is not 2 or 3; convert the file with a current llama.cpp.");
        }
        draft.FormatVersion = version;
        var tensorCount = at.Count(sizeof(ulong) + sizeof(uint) + sizeof(uint) + sizeof(ulong), "tensors");
        var pairCount = at.Count(sizeof(ulong) + sizeof(uint) + 1, "key-values");
        if (tensorCount > ReadLimits.Tensors)
            throw bytes.Malformed(8, $"{tensorCount} tensors are more than {ReadLimits.Tensors}; split the file.");

        var alignment = (long)DefaultAlignment;
        var keys = new HashSet<string>();
        for (var i = 0L; i < pairCount; i++)
        {
            var start = at.Offset;
            var key = at.Name();
            if (keys.Count < ReadLimits.MetadataEntries && !keys.Add(key))
                throw bytes.Malformed(start, $"key '{key}' stands twice; the file is damaged.");
            var value = GgufValue.Read(at, at.UInt32(), ReadLimits.Depth);
            if (key == "general.alignment")
                alignment = Alignment(bytes, start, value);
            draft.AddMetadata(key, value);
            Describe(draft, key, value);
        }

        var infos = new List<(string Name, ElementType Type, ImmutableArray<long> Shape, long Offset, long At)>((int)Math.Min(tensorCount, 1024));
        for (var i = 0L; i < tensorCount; i++)
            infos.Add(TensorInfo(bytes, at, alignment));

        var data = (Int128)at.Offset + (alignment - at.Offset % alignment) % alignment;
        foreach (var (name, type, shape, offset, info) in infos)
        {
            if (!type.TryLength(shape.AsSpan(), out var length))
                throw bytes.Malformed(info, $"tensor '{name}' of {type}[{string.Join(", ", shape)}] does not fill whole blocks or is too large; the file is damaged.");
            if (data + offset > bytes.Length)
                throw bytes.Malformed(info, $"tensor '{name}' begins at byte {data + offset}, but the file has {bytes.Length} bytes; it is cut short, fetch it again.");
            draft.AddTensor(name, type, shape, (long)data + offset, length);
        }
        return draft.Build();
    }

    static bool IsSwapped(uint version) => BinaryPrimitives.ReverseEndianness(version) is 1 or 2 or 3;

    static long Alignment(ByteWindow bytes, long at, string value)
    {
        if (!long.TryParse(value, CultureInfo.InvariantCulture, out var alignment) || alignment is <= 0 or > 1 << 30 || !BitOperations.IsPow2(alignment))
            throw bytes.Malformed(at, $"general.alignment is {value}, not a power of two up to 2^30; the file is damaged.");
        return alignment;
    }

    static void Describe(ModelDraft draft, string key, string value)
    {
        switch (key)
        {
            case "general.architecture": draft.Architecture = value; break;
            case "general.name": draft.Name = value; break;
            case "general.description": draft.Description = value; break;
            case "general.quantized_by" or "general.author": draft.Producer ??= value; break;
        }
    }

    static (string, ElementType, ImmutableArray<long>, long, long) TensorInfo(ByteWindow bytes, GgufCursor at, long alignment)
    {
        var start = at.Offset;
        var name = at.Name();
        var rank = at.UInt32();
        if (rank > MaxDimensions)
            throw bytes.Malformed(start, $"tensor '{name}' has {rank} dimensions, more than {MaxDimensions}; the file is damaged.");
        var shape = new long[rank];
        for (var i = rank; i > 0; i--) // innermost first in the file
        {
            var size = at.UInt64();
            if (size > long.MaxValue)
                throw bytes.Malformed(start, $"tensor '{name}' has a dimension of {size}; the file is damaged.");
            shape[i - 1] = (long)size;
        }
        var code = at.UInt32();
        var type = GgufTypes.Of(code);
        if (type == ElementType.Unknown)
            throw bytes.Malformed(start, $"tensor '{name}' has type {code}, which ggml 0.5.0 does not read; convert the file or update Coppice.");
        var offset = at.UInt64();
        if (offset > long.MaxValue || (long)offset % alignment != 0)
            throw bytes.Malformed(start, $"tensor '{name}' begins {offset} bytes into the data, not a multiple of the alignment {alignment}; the file is damaged.");
        return (name, type, ImmutableArray.Create(shape), (long)offset, start);
    }
}
