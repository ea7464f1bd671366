using Coppice.Delta.Entropy;

namespace Coppice.Delta;

/// <summary>The record that replaces all models: their number in 6 bits, then for each its slot in 5 bits and the model.</summary>
static class ModelRecord
{
    public static byte[] Write(ReadOnlySpan<SymbolModel?> models)
    {
        var bits = new BitWriter();
        var count = 0U;
        foreach (var model in models)
            count += model is null ? 0U : 1;
        bits.Write(count, 6);
        for (var slot = 0; slot < models.Length; slot++)
        {
            if (models[slot] is not { } model)
                continue;
            bits.Write((uint)slot, 5);
            model.WriteTo(bits);
        }
        return bits.ToArray();
    }

    public static void Read(PatchReader patch, Span<SymbolModel?> models)
    {
        var bits = new BitReader(patch.Payload);
        models.Clear();
        var count = bits.Read(6);
        for (var i = 0; i < count; i++)
        {
            var slot = bits.Read(5);
            models[(int)slot] = SymbolModel.Read(ref bits, out var problem) ?? throw new MalformedPatchException(patch.PayloadOffset, problem);
        }
        if (bits.Overrun || bits.BytesUsed != patch.Payload.Length)
            throw new MalformedPatchException(patch.PayloadOffset, "the models do not fill their record.");
    }
}
