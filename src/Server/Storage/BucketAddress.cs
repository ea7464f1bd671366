using System.Diagnostics.CodeAnalysis;

namespace Coppice.Server.Storage;

/// <summary>Where files and patches are in S3-compatible storage: <c>s3://bucket/prefix?region=eu-north-1</c>, elsewhere than at Amazon with <c>&amp;endpoint=https://objects.example.org</c>.</summary>
/// <remarks>The keys come from where Amazon's own programs take them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the machine's role.</remarks>
public sealed class BucketAddress
{
    BucketAddress(string bucket, string prefix, Uri? endpoint, string region, bool pathStyle) =>
        (Bucket, Prefix, Endpoint, Region, PathStyle) = (bucket, prefix, endpoint, region, pathStyle);

    /// <summary>The bucket, which is there.</summary>
    public string Bucket { get; }

    /// <summary>What the names of objects begin with: empty, or ending with '/'.</summary>
    public string Prefix { get; }

    /// <summary>Null for Amazon's own, by the region.</summary>
    public Uri? Endpoint { get; }

    /// <summary>Signed into every request.</summary>
    public string Region { get; }

    /// <summary>Whether the bucket is in the path and not in the host's name.</summary>
    public bool PathStyle { get; }

    /// <summary>For messages.</summary>
    public string Place => $"s3://{Bucket}/{Prefix}{(Endpoint is null ? "" : $" at {Endpoint}")}";

    /// <summary>Reads an address.</summary>
    /// <param name="text">The address.</param>
    /// <param name="address">Null when it is none.</param>
    /// <param name="problem">What is wrong with it; empty when it is good.</param>
    public static bool TryParse(string text, [NotNullWhen(true)] out BucketAddress? address, out string problem)
    {
        address = null;
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme != "s3" || url.Host.Length == 0 || url.UserInfo.Length > 0)
        {
            problem = "is no address of a bucket; write s3://BUCKET/PREFIX?region=REGION, and give the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.";
            return false;
        }

        problem = "";
        Uri? endpoint = null;
        string? region = null;
        bool? pathStyle = null;
        foreach (var part in url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var pair = part.Split('=', 2);
            var value = pair.Length > 1 ? Uri.UnescapeDataString(pair[1]) : "";
            switch (pair[0])
            {
                case "endpoint" when Uri.TryCreate(value, UriKind.Absolute, out endpoint) && endpoint.Scheme is "http" or "https":
                    break;
                case "endpoint":
                    problem = $"has endpoint={value}; write https://objects.example.org.";
                    break;
                case "region" when value.Length > 0:
                    region = value;
                    break;
                case "path-style" when value is "true" or "false":
                    pathStyle = value == "true";
                    break;
                default:
                    problem = $"has the setting '{part}', which is not known; endpoint=URL, region=NAME and path-style=true|false are.";
                    break;
            }
        }

        if (problem.Length == 0 && region is null && endpoint is null)
            problem = "names no region; add ?region=NAME, or ?endpoint=URL for storage that is not Amazon's.";
        if (problem.Length > 0)
            return false;
        var prefix = Uri.UnescapeDataString(url.AbsolutePath).Trim('/');
        address = new(url.Host, prefix.Length == 0 ? "" : prefix + "/", endpoint, region ?? "us-east-1", pathStyle ?? endpoint is not null);
        return true;
    }
}
