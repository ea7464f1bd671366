using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using Amazon;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Coppice.Server.Trust;

namespace Coppice.Server.Storage;

/// <summary>The store of files and patches does not answer, or refuses. Nothing was changed by the call.</summary>
public sealed class BucketException(string place, string what, Exception inner)
    : IOException($"{place} {what} ({inner.Message.TrimEnd('.')}). Nothing half-done is there; look whether the store runs, has room, and takes these keys, then try again.", inner);

/// <summary>Files and patches of the tree in S3-compatible storage.</summary>
/// <remarks>
/// A file is written on the disk of this machine first, and sent when it is whole and its digest is right: an object is there as it must be or not at all. It is sent with its
/// MD5, by which the store checks what it got, and on condition that there is none of the name; large ones in parts, which are given up together when one fails.
/// </remarks>
sealed class BucketFiles : ITreeFiles, IDisposable
{
    /// <summary>Larger objects are sent in parts of this size; the store takes 10,000 of them.</summary>
    const int PartBytes = 64 << 20;

    const int MostRemembered = 100_000;

    readonly AmazonS3Client client;
    readonly BucketAddress address;
    readonly string spool;
    readonly ConcurrentDictionary<string, long> lengths = new(StringComparer.Ordinal); // of objects that are there: a name's bytes never change

    /// <param name="address">Where.</param>
    /// <param name="spool">Folder for files that are being written; made when it is not there.</param>
    public BucketFiles(BucketAddress address, string spool)
    {
        (this.address, this.spool) = (address, spool);
        Directory.CreateDirectory(spool);
        var config = new AmazonS3Config
        {
            AuthenticationRegion = address.Region,
            ForcePathStyle = address.PathStyle,
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED, // newer kinds than MD5 are not known everywhere
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
            MaxErrorRetry = 2,
            Timeout = TimeSpan.FromMinutes(5),
        };
        AWSConfigsS3.UseSignatureVersion4 = true; // for signed addresses too; the older form is refused in newer regions
        // One of them alone: each takes the other back.
        if (address.Endpoint is { } endpoint)
            config.ServiceURL = endpoint.ToString();
        else
            config.RegionEndpoint = Amazon.RegionEndpoint.GetBySystemName(address.Region);
        client = new(config);
    }

    public ITreeWriting LockForWriting() => throw new NotSupportedException("A bucket cannot keep other writers out; the small files of the tree are elsewhere, and do.");

    public long? Length(string path)
    {
        if (lengths.TryGetValue(path, out var known))
            return known;
        try
        {
            var length = Run(client.GetObjectMetadataAsync(new GetObjectMetadataRequest { BucketName = address.Bucket, Key = Key(path) }), "did not say whether it has a file").ContentLength;
            if (lengths.Count >= MostRemembered)
                lengths.Clear();
            return lengths[path] = length;
        }
        catch (BucketException e) when (e.InnerException is AmazonS3Exception { StatusCode: HttpStatusCode.NotFound })
        {
            return null;
        }
    }

    public Stream? Open(string path) => Length(path) is { } length ? new ObjectStream(this, path, length) : null;

    public IReadOnlyList<string> List(string folder)
    {
        var (names, more, prefix) = (new List<string>(), (string?)null, Key(folder) + "/");
        do
        {
            var page = Run(client.ListObjectsV2Async(new ListObjectsV2Request { BucketName = address.Bucket, Prefix = prefix, Delimiter = "/", ContinuationToken = more }), "did not list its files");
            names.AddRange(page.S3Objects.Select(found => found.Key[prefix.Length..]));
            more = page.IsTruncated ? page.NextContinuationToken : null;
        }
        while (more is not null);
        return names;
    }

    public ITreeFile Create(string path) => new ObjectFile(this, path);

    public void Delete(string path)
    {
        lengths.TryRemove(path, out _);
        Run(client.DeleteObjectAsync(address.Bucket, Key(path)), "did not remove a file");
    }

    public void RemoveLeftovers(DateTimeOffset olderThan)
    {
        foreach (var file in new DirectoryInfo(spool).EnumerateFiles().Where(file => file.LastWriteTimeUtc < olderThan.UtcDateTime))
            file.Delete();
        try
        {
            var begun = Run(client.ListMultipartUploadsAsync(new ListMultipartUploadsRequest { BucketName = address.Bucket, Prefix = address.Prefix }), "did not list what was begun");
            foreach (var upload in begun.MultipartUploads.Where(upload => upload.Initiated.ToUniversalTime() < olderThan.UtcDateTime))
                Run(client.AbortMultipartUploadAsync(address.Bucket, upload.Key, upload.UploadId), "did not give up what was begun");
        }
        catch (BucketException)
        {
            // Room that is not given back yet is no reason not to sign metadata; the next hour tries again.
        }
    }

    /// <summary>An address at which anybody can read an object for a while.</summary>
    /// <param name="path">The object's, which is there.</param>
    /// <param name="life">How long it is good, by the machine's clock, which the signature names; shorter when the keys end, as those of a machine's role do.</param>
    public Uri SignedAddress(string path, TimeSpan life) => new(client.GetPreSignedURL(new()
    {
        BucketName = address.Bucket,
        Key = Key(path),
        Verb = HttpVerb.GET,
        Expires = (TimeProvider.System.GetUtcNow() + life).UtcDateTime,
        Protocol = address.Endpoint?.Scheme == Uri.UriSchemeHttp ? Amazon.S3.Protocol.HTTP : Amazon.S3.Protocol.HTTPS,
    }));

    public void Dispose() => client.Dispose();

    string Key(string path) => address.Prefix + path;

    T Run<T>(Task<T> call, string refused)
    {
        try
        {
            return call.GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is AmazonClientException or AmazonServiceException or HttpRequestException or IOException or TaskCanceledException)
        {
            throw new BucketException(address.Place, refused, e);
        }
    }

    void Put(string path, FileStream content)
    {
        content.Position = 0;
        try
        {
            if (content.Length <= PartBytes)
            {
#pragma warning disable CA5351 // the store's own check of what it got; the proof is the SHA-256
                var md5 = Convert.ToBase64String(MD5.HashData(content));
#pragma warning restore CA5351
                content.Position = 0;
                Run(client.PutObjectAsync(new PutObjectRequest { BucketName = address.Bucket, Key = Key(path), InputStream = content, AutoCloseStream = false, MD5Digest = md5, IfNoneMatch = "*", UseChunkEncoding = false }), "refused a file");
            }
            else
                PutParts(path, content);
        }
        catch (BucketException e) when (e.InnerException is AmazonS3Exception { StatusCode: HttpStatusCode.PreconditionFailed })
        {
            // Another server sent the same at the same time.
        }

        lengths.TryRemove(path, out _);
        if (Length(path) != content.Length)
            throw new BucketException(address.Place, $"has {Length(path)} of {content.Length} bytes of {path} after it took them all", new InvalidDataException("the store is not right"));
    }

    void PutParts(string path, FileStream content)
    {
        var upload = Run(client.InitiateMultipartUploadAsync(new InitiateMultipartUploadRequest { BucketName = address.Bucket, Key = Key(path) }), "refused a file").UploadId;
        try
        {
            // Parts as large as the number of them wants.
            var size = Math.Max(PartBytes, (content.Length / 9_000) + 1);
            var parts = new List<PartETag>();
            for (long at = 0; at < content.Length; at += size)
            {
                var number = parts.Count + 1;
                content.Position = at;
                var length = Math.Min(size, content.Length - at);
                var sent = Run(client.UploadPartAsync(new UploadPartRequest
                {
                    BucketName = address.Bucket,
                    Key = Key(path),
                    UploadId = upload,
                    PartNumber = number,
                    InputStream = content,
                    PartSize = length,
                    UseChunkEncoding = false,
                }), "refused a part of a file");
                parts.Add(new(number, sent.ETag));
            }

            Run(client.CompleteMultipartUploadAsync(new CompleteMultipartUploadRequest { BucketName = address.Bucket, Key = Key(path), UploadId = upload, PartETags = parts, IfNoneMatch = "*" }), "refused a file");
        }
        catch (BucketException refused)
        {
            try
            {
                Run(client.AbortMultipartUploadAsync(address.Bucket, Key(path), upload), "did not give up what was begun");
            }
            catch (BucketException)
            {
                throw refused; // it is away: what was begun is given up with the leftovers
            }

            throw;
        }
    }

    /// <summary>A file on this machine until it is committed.</summary>
    sealed class ObjectFile(BucketFiles files, string path) : ITreeFile
    {
        readonly FileStream content = new(Path.Combine(files.spool, Guid.NewGuid().ToString("N")), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 64 * 1024, FileOptions.DeleteOnClose | FileOptions.Asynchronous);

        public Stream Content => content;

        public void Commit()
        {
            content.Flush();
            files.Put(path, content);
        }

        public void Dispose() => content.Dispose();
    }

    /// <summary>An object as a stream that can seek: read in ranges, so that who wants a part fetches little more than that.</summary>
    sealed class ObjectStream(BucketFiles files, string path, long length) : Stream
    {
        const int RangeBytes = 8 << 20;

        GetObjectResponse? range;
        long position;
        long from; // where the next byte of the range is
        long until;

        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length => length;

        public override long Position
        {
            get => position;
            set => position = value;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer) => buffer.IsEmpty || !Open(CancellationToken.None).GetAwaiter().GetResult() ? 0 : Took(range!.ResponseStream.Read(buffer[..(int)Math.Min(buffer.Length, until - from)]));

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            buffer.IsEmpty || !await Open(cancellationToken) ? 0 : Took(await range!.ResponseStream.ReadAsync(buffer[..(int)Math.Min(buffer.Length, until - from)], cancellationToken));

        public override long Seek(long offset, SeekOrigin origin) => position = offset + origin switch
        {
            SeekOrigin.Begin => 0,
            SeekOrigin.Current => position,
            _ => length,
        };

        public override void Flush()
        {
        }

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                range?.Dispose();
            base.Dispose(disposing);
        }

        async Task<bool> Open(CancellationToken cancel)
        {
            if (position >= length)
                return false;
            if (range is not null && position == from && from < until)
                return true;
            range?.Dispose();
            range = null;
            (from, until) = (position, Math.Min(position + RangeBytes, length));
            try
            {
                range = await files.client.GetObjectAsync(new GetObjectRequest { BucketName = files.address.Bucket, Key = files.Key(path), ByteRange = new(from, until - 1) }, cancel);
            }
            catch (Exception e) when (e is AmazonClientException or AmazonServiceException or HttpRequestException)
            {
                throw new BucketException(files.address.Place, $"did not give {path}", e);
            }

            return true;
        }

        int Took(int read)
        {
            if (read == 0)
                throw new BucketException(files.address.Place, $"ended {path} at byte {from} of {length}", new EndOfStreamException("too few bytes came"));
            (position, from) = (position + read, from + read);
            return read;
        }
    }
}
