namespace Coppice.Server.Storage;

/// <summary>A small file of the signed tree.</summary>
sealed class TreeFileRow
{
    public required string Path { get; set; }
    public required byte[] Bytes { get; set; }
}

/// <summary>Who does what one server alone may do.</summary>
sealed class LeaseRow
{
    public required string Name { get; set; }
    public required string Holder { get; set; }
    public long Term { get; set; }
    public DateTimeOffset Until { get; set; }
}

/// <summary>A file of the data folder that all servers have alike.</summary>
sealed class SharedKeyRow
{
    public required string Name { get; set; }
    public required byte[] Sealed { get; set; }
}
