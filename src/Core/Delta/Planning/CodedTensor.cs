using Coppice.Delta.Entropy;
using Coppice.Delta.Tensors;

namespace Coppice.Delta.Planning;

/// <summary>A frame whose symbols are known, while its models are not yet.</summary>
/// <param name="Mode">How its bytes are made.</param>
/// <param name="Side">Scales, ratios, factors or corrections; null when the frame has none.</param>
/// <param name="Contexts">One per element, when it is coded.</param>
/// <param name="Symbols">One per element, when it is coded.</param>
/// <param name="Raw">Raw bits, or the bytes of a stored frame.</param>
/// <param name="Checksum">Of the frame's new bytes.</param>
sealed record CodedFrame(FrameMode Mode, SideWriter? Side, byte[] Contexts, byte[] Symbols, byte[] Raw, uint Checksum);

/// <summary>A tensor's symbols, ready to be counted and written.</summary>
sealed record CodedTensor(TensorRecord Record, SideWriter Header, List<CodedFrame> Frames)
{
    /// <summary>Turns a planned tensor into symbols.</summary>
    /// <param name="work">The plan.</param>
    /// <param name="bytes">The tensor's new bytes.</param>
    /// <param name="scratch">The worker's memory.</param>
    public static CodedTensor Of(TensorWork work, ReadOnlySpan<byte> bytes, FrameScratch scratch)
    {
        var tensor = work.Record;
        MeasureScales(work, scratch);
        var header = new SideWriter();
        tensor.WriteSide(header, work.RightScales);
        var frames = new List<CodedFrame>();
        var rowsPerFrame = tensor.ElementsPerFrame / tensor.Columns;
        for (var frame = 0; frame < tensor.Frames; frame++)
        {
            var rows = FrameRows(tensor, frame, rowsPerFrame);
            var start = (int)tensor.Lattice.BytesOf((long)rows[0] * tensor.Columns);
            var count = (int)Math.Min(tensor.ElementsPerFrame, tensor.Elements - (long)rows[0] * tensor.Columns);
            frames.Add(Code(work, rows, bytes.Slice(start, (int)tensor.Lattice.BytesOf(count)), scratch));
        }
        return new(tensor, header, frames);
    }

    static int[] FrameRows(TensorRecord tensor, int frame, int rowsPerFrame)
    {
        var first = frame * rowsPerFrame;
        var rows = new int[(int)Math.Min(rowsPerFrame, tensor.Rows - first)];
        for (var i = 0; i < rows.Length; i++)
            rows[i] = first + i;
        return rows;
    }

    static void MeasureScales(TensorWork work, FrameScratch scratch)
    {
        var tensor = work.Record;
        var columns = (tensor.Flags & TensorFlags.ColumnScales) != 0;
        tensor.Flags &= ~TensorFlags.ColumnScales;
        var rowSums = new double[tensor.Rows];
        var columnSums = new double[tensor.Columns];
        var rowsPerFrame = tensor.ElementsPerFrame / tensor.Columns;
        for (var frame = 0; frame < tensor.Frames; frame++)
        {
            var rows = FrameRows(tensor, frame, rowsPerFrame);
            var count = work.Load(rows, scratch);
            FrameCoder.Predict(tensor, scratch, count);
            FrameCoder.Measure(tensor, scratch, count, rowSums.AsSpan(rows[0], rows.Length), columnSums);
        }
        work.RowScales = new int[tensor.Rows];
        FrameCoder.SetScales(tensor, rowSums, columnSums, tensor.Elements, columns, work.RowScales);
    }

    static CodedFrame Code(TensorWork work, int[] rows, ReadOnlySpan<byte> bytes, FrameScratch scratch)
    {
        var tensor = work.Record;
        var checksum = Checksum.Of(bytes);
        if (IsExact(work, rows, scratch))
            return new(FrameMode.Exact, null, [], [], [], checksum);

        var count = work.Load(rows, scratch);
        FrameCoder.Predict(tensor, scratch, count);
        var raw = new BitWriter();
        var changed = FrameCoder.Symbols(tensor, scratch, count, raw);
        var scales = work.LeftScales.Length == 0 ? [] : work.LeftScales.AsSpan(rows[0], rows.Length);
        var side = new SideWriter();
        if (tensor.Technique != Technique.FloatFields && changed < count / 512)
        {
            FrameSide.Write(tensor, count, FrameMode.Corrected, side, scratch, scales);
            WriteCorrections(tensor, count, changed, side, scratch);
            return new(FrameMode.Corrected, side, [], [], [], checksum);
        }
        FrameSide.Write(tensor, count, FrameMode.Coded, side, scratch, scales);
        return new(FrameMode.Coded, side, scratch.Contexts.AsSpan(0, count).ToArray(), scratch.Symbols.AsSpan(0, count).ToArray(), raw.ToArray(), checksum);
    }

    /// <summary>Whether the frame is as predicted with steps, ratios and factors that need not be sent.</summary>
    static bool IsExact(TensorWork work, int[] rows, FrameScratch scratch)
    {
        var tensor = work.Record;
        if (!tensor.HasOld || tensor.Technique == Technique.FloatFields)
            return false;
        var count = work.Load(rows, scratch);
        if (tensor.Lattice.IsBlock)
        {
            var fields = BlockHeads.FieldsOf(tensor.Lattice, count);
            if (!scratch.NewHeads.AsSpan(0, fields).SequenceEqual(scratch.OldHeads.AsSpan(0, fields)))
                return false;
        }
        scratch.Ratios.AsSpan(0, rows.Length).Fill(1 << 16);
        scratch.Left.AsSpan(0, rows.Length * tensor.Rank).Clear();
        FrameCoder.Predict(tensor, scratch, count);
        for (var i = 0; i < count; i++)
            if ((tensor.Technique == Technique.FloatDifference
                ? FloatDifference.Of(tensor.Lattice, scratch.Predicted[i], scratch.New[i])
                : IntegerPrediction.Difference(tensor.Lattice, scratch.Predicted[i], scratch.New[i])) != 0)
                return false;
        return true;
    }

    static void WriteCorrections(TensorRecord tensor, int count, int changed, SideWriter side, FrameScratch scratch)
    {
        side.Number(SideModels.Slot, SideModels.Gap, (uint)changed);
        for (int i = 0, last = -1; i < count; i++)
        {
            var difference = tensor.Technique == Technique.FloatDifference
                ? FloatDifference.Of(tensor.Lattice, scratch.Predicted[i], scratch.New[i])
                : IntegerPrediction.Difference(tensor.Lattice, scratch.Predicted[i], scratch.New[i]);
            if (difference == 0)
                continue;
            side.Number(SideModels.Slot, SideModels.Gap, (uint)(i - last - 1));
            side.Signed(SideModels.Slot, SideModels.Correction, difference);
            last = i;
        }
    }

    /// <summary>Counts the tensor's symbols.</summary>
    public void CountInto(ReadOnlySpan<Histogram?> histograms)
    {
        Header.CountInto(histograms);
        foreach (var frame in Frames)
        {
            frame.Side?.CountInto(histograms);
            histograms[Record.Slot]!.Add(frame.Contexts, frame.Symbols);
        }
    }

    /// <summary>The payload of one frame.</summary>
    public byte[] Encode(CodedFrame frame, ReadOnlySpan<SymbolModel?> models)
    {
        var record = new RecordWriter();
        record.Byte((byte)frame.Mode);
        if (frame.Side is { } side)
        {
            var (words, raw) = side.Encode(models);
            record.Number(words.Length);
            record.Bytes(words);
            record.Number(raw.Length);
            record.Bytes(raw);
        }
        if (frame.Mode == FrameMode.Coded)
        {
            var words = RansEncoder.Encode(frame.Contexts, frame.Symbols, models[Record.Slot]!);
            record.Number(words.Length);
            record.Bytes(words);
        }
        record.Bytes(frame.Raw);
        return record.Written.ToArray();
    }
}
