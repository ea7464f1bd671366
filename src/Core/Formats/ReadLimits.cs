namespace Coppice.Formats;

/// <summary>What a reader holds at most, whatever a file says. A file beyond a limit is refused, except where shortening is named.</summary>
public static class ReadLimits
{
    /// <summary>Tensors in one file, nested models included.</summary>
    public const int Tensors = 1 << 18;

    /// <summary>Dimensions of one tensor.</summary>
    public const int Dimensions = 64;

    /// <summary>Bytes of one name.</summary>
    public const int NameBytes = 4096;

    /// <summary>Bytes of all names, texts and structure that are kept of one file; see also <see cref="TextPerFileByte"/>.</summary>
    public const long TextBytes = 128L << 20;

    /// <summary>Formats with pointers could name the same text again and again: a file may have it read this many times its own length.</summary>
    public const int TextPerFileByte = 4;

    /// <summary>Key-values that are kept; later ones are dropped and counted in a note.</summary>
    public const int MetadataEntries = 4096;

    /// <summary>Characters of a metadata value that are kept; longer ones are shortened and say how long they were.</summary>
    public const int MetadataCharacters = 1024;

    /// <summary>Items of a metadata list that are shown.</summary>
    public const int MetadataItems = 8;

    /// <summary>Levels of messages, lists or archives inside one another.</summary>
    public const int Depth = 64;

    /// <summary>Different operators of a graph that are counted.</summary>
    public const int Operators = 4096;

    /// <summary>Inputs or outputs of a model.</summary>
    public const int Values = 4096;

    /// <summary>Notes about a file that are kept.</summary>
    public const int Notes = 64;

    /// <summary>Bytes of a safetensors header; the limit of its reference implementation.</summary>
    public const int SafetensorsHeader = 100_000_000;

    /// <summary>Bytes of one string in a safetensors header.</summary>
    public const int SafetensorsToken = 4 << 20;

    /// <summary>Entries of an archive.</summary>
    public const int ArchiveEntries = 1 << 18;

    /// <summary>Bytes of one pickle, after inflating it where it is compressed.</summary>
    public const int PickleBytes = 64 << 20;

    /// <summary>Values that one pickle may build.</summary>
    public const int PickleValues = 1 << 22;
}
