namespace Coppice.Protocol;

/// <summary>The request header by which the bytes of a repository's file are asked of the server itself, also where it would send the caller elsewhere for them.</summary>
public static class DirectRequest
{
    /// <summary>Its name.</summary>
    public const string Header = "Coppice-Direct";

    /// <summary>Its one value.</summary>
    public const string Value = "1";
}
