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

    /// <param name="patch">At such a record.</param>
    /// <param name="models">Overwritten, by slot.</param>
    /// <param name="spent">Models of earlier records by slot, whose memory is used again; what is read is kept there.</param>
    public static void Read(PatchReader patch, Span<SymbolModel?> models, Span<SymbolModel?> spent)
    {
        var bits = new BitReader(patch.Payload);
        models.Clear();
        var count = bits.Read(6);
        for (var i = 0; i < count; i++)
        {
            var slot = (int)bits.Read(5);
            models[slot] = spent[slot] = SymbolModel.Read(ref bits, spent[slot], out var problem) ?? throw new MalformedPatchException(patch.PayloadOffset, problem);
        }
        if (bits.Overrun || bits.BytesUsed != patch.Payload.Length)
            throw new MalformedPatchException(patch.PayloadOffset, "the models do not fill their record.");
    }
}
