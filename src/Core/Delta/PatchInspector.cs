using System.Collections.Immutable;
using Coppice.Delta.Entropy;
using Coppice.Delta.Tensors;

namespace Coppice.Delta;

/// <summary>Reads what a patch says of itself, without old files: every record is checked as far as that goes.</summary>
public static class PatchInspector
{
    /// <summary>Walks through a patch.</summary>
    /// <param name="patch">Read from its position to the end of the patch.</param>
    /// <returns>The header, and the parts of the new file in its order.</returns>
    /// <exception cref="MalformedPatchException">The patch is damaged.</exception>
    public static (PatchHeader Header, PatchExplanation Explanation) Read(Stream patch)
    {
        ArgumentNullException.ThrowIfNull(patch);
        var reader = new PatchReader(patch);
        var header = PatchHeader.Read(reader);
        var inspection = new Inspection(reader, header, null);
        inspection.Run();
        return (header, new(header.NewLength, reader.Position, inspection.Parts.ToImmutable()));
    }

    /// <summary>Sees every record; frames with their tensor and their index in it.</summary>
    internal delegate void Visitor(RecordKind kind, RecordReader record, TensorRecord? tensor, long frame, PatchHeader header);

    /// <summary>Walks through a patch and shows every record.</summary>
    internal static PatchHeader Walk(Stream patch, Visitor visitor)
    {
        var reader = new PatchReader(patch);
        var header = PatchHeader.Read(reader);
        new Inspection(reader, header, visitor).Run();
        return header;
    }

    sealed class Inspection(PatchReader patch, PatchHeader header, Visitor? visitor)
    {
        readonly SymbolModel?[] models = new SymbolModel?[SideModels.Slots];
        readonly SymbolModel?[] spent = new SymbolModel?[SideModels.Slots];
        readonly TensorMemory memory = new();
        TensorRecord? tensor;
        long frames;
        long tensorBytes;
        long offset;
        long pool;

        public ImmutableArray<PatchPart>.Builder Parts { get; } = ImmutableArray.CreateBuilder<PatchPart>();

        public void Run()
        {
            do
            {
                var start = patch.Position;
                patch.Next();
                Visit(patch.Record, () => patch.Position - start);
            }
            while (patch.Kind != RecordKind.End);
            if (offset != header.NewLength || pool != 0)
                throw patch.Record.Wrong($"the patch makes {offset} of {header.NewLength} bytes; fetch it again.");
        }

        void Visit(RecordReader record, Func<long> size)
        {
            if (tensor is not null && (patch.Kind != RecordKind.Frame || frames == 0))
                throw record.Wrong($"a {patch.Kind} record stands between the frames of a tensor.");
            visitor?.Invoke(patch.Kind, record, tensor, tensor is null ? 0 : tensor.Frames - frames, header);
            switch (patch.Kind)
            {
                case RecordKind.Models:
                    ModelRecord.Read(patch, models, spent);
                    Add("", "models", 0, size(), 0);
                    break;
                case RecordKind.Tensor:
                    tensor = TensorRecord.Read(record, models, header.OldLength, header.NewLength - offset, memory);
                    (frames, tensorBytes) = (tensor.Frames, size());
                    break;
                case RecordKind.Frame when tensor is not null:
                    tensorBytes += size();
                    if (--frames > 0)
                        break;
                    Add(tensor.Name, tensor.ToString(), tensor.NewBytes, tensorBytes, tensor.Technique == Technique.Strided ? 0 : tensor.Elements);
                    tensor = null;
                    break;
                case RecordKind.Frame:
                    throw record.Wrong("a frame belongs to no tensor.");
                case RecordKind.Copy:
                    record.Number(header.OldLength);
                    Add("", "copy", record.Number(Math.Min(PatchLimits.MostBytes, header.NewLength - offset)), size(), 0);
                    break;
                case RecordKind.Bytes:
                    Add("", "bytes", record.Number(Math.Min(PatchLimits.MostBytes, header.NewLength - offset)), size(), 0);
                    break;
                case RecordKind.Pool:
                    if (pool != 0)
                        throw record.Wrong($"{pool} bytes of the pool were not used.");
                    pool = record.Number(Math.Min(PatchLimits.MostBytes, header.NewLength - offset));
                    Add("", "bytes between tensors", 0, size(), 0);
                    break;
                case RecordKind.Take:
                    var count = record.Number(Math.Min(pool, header.NewLength - offset));
                    pool -= count;
                    Add("", "from the bytes between tensors", count, size(), 0);
                    break;
                default:
                    record.End();
                    break;
            }
        }

        void Add(string name, string technique, long length, long patchBytes, long elements)
        {
            Parts.Add(new(name, technique, offset, length, patchBytes, elements));
            offset += length;
        }
    }
}
