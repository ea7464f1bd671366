namespace Coppice.Delta;

/// <summary>What a record of a patch does. The values are part of the format.</summary>
enum RecordKind : byte
{
    /// <summary>The patch is complete.</summary>
    End = 0,
    /// <summary>Replaces the models of symbols.</summary>
    Models = 1,
    /// <summary>Begins a tensor, whose frames follow.</summary>
    Tensor = 2,
    /// <summary>The next frame of the tensor.</summary>
    Frame = 3,
    /// <summary>A range of the old files.</summary>
    Copy = 4,
    /// <summary>Bytes of the new file, coded by the byte matcher.</summary>
    Bytes = 5,
    /// <summary>Bytes that <see cref="Take"/> records will put in place, coded by the byte matcher.</summary>
    Pool = 6,
    /// <summary>The next bytes of the pool.</summary>
    Take = 7,
}

static class PatchLimits
{
    /// <summary>Bytes of one record's payload; the largest is factor B of a tensor with 65,536 columns.</summary>
    public static int MostPayload(RecordKind kind) => kind switch
    {
        RecordKind.Tensor => 16 << 20,
        RecordKind.Models or RecordKind.Frame => 1 << 20,
        RecordKind.Bytes or RecordKind.Pool => MostBytes + (1 << 16),
        _ => 64,
    };

    /// <summary>Bytes of the new file that one record makes: a device gathers no more before it writes.</summary>
    public const int MostBytes = Bytes.ByteDecoder.LongestFrame;

    public const int MostOldFiles = 64;
}
